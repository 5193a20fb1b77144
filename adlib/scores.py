"""Anomaly scores and maps, one equation each. Pure functions of tensors; larger means more anomalous.

A score is one number per image, taken from that image alone: nothing here looks at the rest of a batch.
"""

from __future__ import annotations

from torch import Tensor


def latent_distance(latent: Tensor, latent_again: Tensor) -> Tensor:
    """D0, GANomaly's own score: sum |G_E(x) - E(G(x))|.

    Args:
        latent: G_E(x), (B, latent).
        latent_again: E(G(x)), (B, latent).

    Returns:
        (B,), >= 0.

    Source: Akcay et al. 2018, Eq. 5; called D0 here, beside Tang's three.
    """
    return (latent.float() - latent_again.float()).abs().flatten(1).sum(1)


def feature_distance_l1(features: Tensor, features_again: Tensor) -> Tensor:
    """D1: sum |p_i - q_i| over the discriminator's features of image and reconstruction.

    Args:
        features: p = f(x), (B, ...).
        features_again: q = f(G(x)), same shape.

    Returns:
        (B,), >= 0.

    Source: Tang et al., residual distance D1.
    """
    return (features.float() - features_again.float()).abs().flatten(1).sum(1)


def feature_distance_l2(features: Tensor, features_again: Tensor) -> Tensor:
    """D2: sqrt(sum (p_i - q_i)^2), the Euclidean sister of D1; never larger than D1.

    Args:
        features: p = f(x), (B, ...).
        features_again: q = f(G(x)), same shape.

    Returns:
        (B,), >= 0.

    Source: Tang et al., residual distance D2.
    """
    return (features.float() - features_again.float()).flatten(1).norm(dim=1)


def pixel_distance(images: Tensor, reconstructions: Tensor) -> Tensor:
    """D3: sum |P(r, c) - Q(r, c)| over all pixels and channels (the paper's formula has no channel index).

    Args:
        images: P = x, (B, C, H, W) in [-1, 1].
        reconstructions: Q = G(x), same shape and range.

    Returns:
        (B,), in [0, 2 C H W].

    Source: Tang et al., residual distance D3.
    """
    return (images.float() - reconstructions.float()).abs().flatten(1).sum(1)


def residual_map(images: Tensor, reconstructions: Tensor) -> Tensor:
    """Anomaly map: |x - G(x)| per pixel, averaged over the channels.

    Args:
        images: (B, C, H, W) in [-1, 1].
        reconstructions: same shape and range.

    Returns:
        (B, H, W) in [0, 2].
    """
    return (images.float() - reconstructions.float()).abs().mean(1)
