"""Networks: one file per family, tensors in, tensors out, no training code."""
