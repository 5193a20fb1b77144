"""Anomaly scores and maps, one equation each. Pure functions of tensors; larger means more anomalous.

A score is one number per image, taken from that image alone: nothing here looks at the rest of a batch.
"""

from __future__ import annotations

import math

from torch import Tensor, nn

from adlib.devices import at_least_float32
from adlib.losses import gaussian_rows


def latent_distance(latent: Tensor, latent_again: Tensor) -> Tensor:
    """D0, GANomaly's own score: sum |G_E(x) - E(G(x))|.

    Args:
        latent: G_E(x), (B, latent).
        latent_again: E(G(x)), (B, latent).

    Returns:
        (B,), >= 0.

    Source: Akcay et al. 2018, Eq. 5; called D0 here, beside Tang's three.
    """
    return _difference(latent, latent_again).abs().flatten(1).sum(1)


def feature_distance_l1(features: Tensor, features_again: Tensor) -> Tensor:
    """D1: sum |p_i - q_i| over the discriminator's features of image and reconstruction.

    Args:
        features: p = f(x), (B, ...).
        features_again: q = f(G(x)), same shape.

    Returns:
        (B,), >= 0.

    Source: Tang et al., residual distance D1.
    """
    return _difference(features, features_again).abs().flatten(1).sum(1)


def feature_distance_l2(features: Tensor, features_again: Tensor) -> Tensor:
    """D2: sqrt(sum (p_i - q_i)^2), the Euclidean sister of D1; never larger than D1.

    Args:
        features: p = f(x), (B, ...).
        features_again: q = f(G(x)), same shape.

    Returns:
        (B,), >= 0.

    Source: Tang et al., residual distance D2.
    """
    return _difference(features, features_again).flatten(1).norm(dim=1)


def pixel_distance(images: Tensor, reconstructions: Tensor) -> Tensor:
    """D3: sum |P(r, c) - Q(r, c)| over all pixels and channels (the paper's formula has no channel index).

    Args:
        images: P = x, (B, C, H, W) in [-1, 1].
        reconstructions: Q = G(x), same shape and range.

    Returns:
        (B,), in [0, 2 C H W].

    Source: Tang et al., residual distance D3.
    """
    return _difference(images, reconstructions).abs().flatten(1).sum(1)


def residual_map(images: Tensor, reconstructions: Tensor) -> Tensor:
    """Anomaly map: |x - G(x)| per pixel, averaged over the channels.

    Args:
        images: (B, C, H, W) in [-1, 1].
        reconstructions: same shape and range.

    Returns:
        (B, H, W) in [0, 2].

    Source: the residual heat map of Tang et al. 2020 (DAGAN), without its colours.
    """
    return _difference(images, reconstructions).abs().mean(1)


def worst_patch(maps: Tensor, side: int = 8) -> Tensor:
    """The largest mean of the map over a square patch: a small defect counts as much as a large one.

    Patches overlap by half; where they do not tile the map, the last are cut at its border. A mean over the whole
    image drowns a defect of one per cent of it.

    Args:
        maps: anomaly maps, (B, H, W), >= 0.
        side: of a patch in pixels, an even number up to the side of the map.

    Returns:
        (B,), >= 0.

    Source: none; the usual image score of localisation methods, taken over patches instead of pixels.
    """
    patches = nn.functional.avg_pool2d(at_least_float32(maps)[:, None], side, side // 2, ceil_mode=True)
    return patches.flatten(1).amax(1)


def gaussian_blur(maps: Tensor, sigma: float) -> Tensor:
    """Maps smoothed by a Gaussian that is cut at three standard deviations, mirrored at the border.

    Args:
        maps: (B, H, W). sigma: standard deviation, pixels, > 0.

    Returns:
        (B, H, W).

    Source: none; how PatchCore and PaDiM smooth their maps (Roth et al. 2022, Defard et al. 2021).
    """
    maps = at_least_float32(maps)
    windows = [min(2 * math.ceil(3 * sigma) + 1, side - 1 + side % 2) for side in maps.shape[1:]]
    rows, columns = (
        gaussian_rows(side, window, sigma, maps.dtype, maps.device)
        for side, window in zip(maps.shape[1:], windows)
    )
    return rows @ maps @ columns.T


# ---------------------------------------------------------------------- chapter 2: DAGAN and its family
def residual_l2(images: Tensor, reconstructions: Tensor) -> Tensor:
    """DAGAN's residual score: R(x) = ||x - G(x)||_2, or with D(G(x)) in the place of G(x).

    Args:
        images: x, (B, C, H, W) in [-1, 1].
        reconstructions: same shape.

    Returns:
        (B,), >= 0.

    Source: Tang et al. 2020 (DAGAN), section 3.3.
    """
    return _difference(images, reconstructions).flatten(1).norm(dim=1)


def rescaled(scores: Tensor, normal_scores: Tensor) -> Tensor:
    """Scores mapped linearly so that the validation-normal ones span 0 to 1.

    (A - min A_normal) / (max A_normal - min A_normal)

    The papers take minimum and maximum over the test set, which makes a score depend on the other test
    images, and divides by zero for a single one. Here an anomaly may well exceed 1: that is its message.

    Args:
        scores: (N,), of any images.
        normal_scores: (M,), of validation-normal images, by the same detector.

    Returns:
        (N,). AUROC is the same before and after.

    Raises:
        ValueError: the normal scores are all equal.

    Source: Tang et al. 2020 (DAGAN), section 3.3, step 3, and Akcay et al. 2018, Eq. 6, both over the test set.
    """
    low, high = normal_scores.min(), normal_scores.max()
    if not high > low:
        raise ValueError(
            f"the {normal_scores.numel()} validation-normal scores are all {float(low):.6g}: a scale needs "
            "two different ones. Use more validation images."
        )
    return (scores - low) / (high - low)


def skip_ganomaly_score(
    images: Tensor, reconstructions: Tensor, features: Tensor, features_again: Tensor, share: float
) -> Tensor:
    """A of Skip-GANomaly: share mean (x - G(x))^2 + (1 - share) mean (f(x) - f(G(x)))^2.

    Args:
        images, reconstructions: (B, C, H, W). features, features_again: (B, ...).
        share: weight of the pixels, 0.9 as published.

    Returns:
        (B,), >= 0.

    Source: Akcay et al. 2019, Eq. 6.
    """
    return share * _mean_squares(images, reconstructions) + (1 - share) * _mean_squares(
        features, features_again
    )


def f_anogan_score(
    images: Tensor, reconstructions: Tensor, features: Tensor, features_again: Tensor, kappa: float
) -> Tensor:
    """A of f-AnoGAN: mean (x - G(E(x)))^2 + kappa mean (f(x) - f(G(E(x))))^2.

    Args:
        images, reconstructions: (B, C, H, W). features, features_again: (B, ...).
        kappa: weight of the features, 1 as published.

    Returns:
        (B,), >= 0. Its mean over a batch is the encoder's training loss (izi_f).

    Source: Schlegl et al. 2019, Eq. 4.
    """
    return _mean_squares(images, reconstructions) + kappa * _mean_squares(features, features_again)


def anogan_score(
    images: Tensor, generated: Tensor, features: Tensor, features_again: Tensor, share: float
) -> Tensor:
    """A of AnoGAN: (1 - share) mean |x - G(z)| + share mean |f(x) - f(G(z))|.

    The paper has sums; with means the share (lambda in the paper) means the same at every resolution.

    Args:
        images, generated: (B, C, H, W). features, features_again: (B, ...).
        share: weight of the features, 0.1 as published.

    Returns:
        (B,), >= 0. It is what the search for z minimises.

    Source: Schlegl et al. 2017, Eq. 4.
    """
    pixels = _difference(images, generated).abs().flatten(1).mean(1)
    matching = _difference(features, features_again).abs().flatten(1).mean(1)
    return (1 - share) * pixels + share * matching


def _difference(first: Tensor, second: Tensor) -> Tensor:
    """first - second, not taken in half precision: where both are nearly equal nothing would be left of it."""
    return at_least_float32(first) - at_least_float32(second)


def _mean_squares(values: Tensor, again: Tensor) -> Tensor:
    return _difference(values, again).square().flatten(1).mean(1)
