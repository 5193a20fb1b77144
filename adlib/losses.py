"""Losses, one equation each, named as in the papers. Pure functions of tensors; they know no network.

Norms in the papers are written as norms and implemented, by everybody, as means over all elements.
Here they are means too, so that a weight means the same at every resolution.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def contextual_loss(images: Tensor, reconstructions: Tensor) -> Tensor:
    """Mean absolute error between image and reconstruction: L_con of GANomaly, L_recon elsewhere.

    mean |x - G(x)|

    Args:
        images: x, (B, C, H, W) in [-1, 1].
        reconstructions: G(x), same shape and range.

    Returns:
        Scalar in [0, 2]; 0 when the reconstruction is perfect.

    Source: Akcay et al. 2018, Eq. 2.
    """
    return F.l1_loss(reconstructions.float(), images.float())


def feature_matching_loss(real_features: Tensor, fake_features: Tensor) -> Tensor:
    """Mean squared difference of discriminator features: L_adv of GANomaly's generator.

    mean (f(x) - f(G(x)))^2, image by image. The paper's text has the expectation inside the norm; the
    released code, which we follow, matches each reconstruction to its own input.

    Args:
        real_features: f(x), any shape (B, ...); taken as a constant by the caller's `detach`.
        fake_features: f(G(x)), same shape.

    Returns:
        Scalar, >= 0; 0 when both are equal.

    Source: Akcay et al. 2018, Eq. 1, as in the released code.
    """
    return F.mse_loss(fake_features.float(), real_features.float())


def latent_loss(latent: Tensor, latent_again: Tensor) -> Tensor:
    """Mean squared difference of the codes of input and reconstruction: L_enc (Tang et al.: L_lat).

    mean (G_E(x) - E(G(x)))^2

    Args:
        latent: G_E(x), (B, latent).
        latent_again: E(G(x)), same shape.

    Returns:
        Scalar, >= 0; 0 when both are equal.

    Source: Akcay et al. 2018, Eq. 3.
    """
    return F.mse_loss(latent_again.float(), latent.float())


def real_fake_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Binary cross-entropy of the discriminator, real images 1 and reconstructions 0, halved.

    (BCE(D(x), 1) + BCE(D(G(x)), 0)) / 2

    Args:
        real_logits: D's logits for real images, any shape.
        fake_logits: D's logits for reconstructions, any shape.

    Returns:
        Scalar, >= 0; log 2 = 0.693 when D is undecided on everything.

    Source: the released GANomaly code.
    """
    real = F.softplus(-real_logits.float()).mean()
    fake = F.softplus(fake_logits.float()).mean()
    return (real + fake) / 2
