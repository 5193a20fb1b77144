"""Losses, one equation each, named as in the papers. Pure functions of tensors; they know no network.

Norms in the papers are written as norms and implemented, by everybody, as means over all elements.
Here they are means too, so that a weight means the same at every resolution.
"""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F
from torch import Tensor

from adlib.devices import at_least_float32


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
    return F.l1_loss(at_least_float32(reconstructions), at_least_float32(images))


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
    return F.mse_loss(at_least_float32(fake_features), at_least_float32(real_features))


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
    return F.mse_loss(at_least_float32(latent_again), at_least_float32(latent))


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
    real = F.softplus(-at_least_float32(real_logits)).mean()
    fake = F.softplus(at_least_float32(fake_logits)).mean()
    return (real + fake) / 2


# ---------------------------------------------------------------------- chapter 2: DAGAN and its family
def l2_reconstruction_loss(images: Tensor, reconstructions: Tensor, squared: bool = True) -> Tensor:
    """L_Gcon of DAGAN with G(x), L_Dcon with D(x), and the loss of the U-Net alone.

    squared: mean (x - G(x))^2.  Otherwise: mean over the images of sqrt(mean (x - G(x))^2).

    The paper writes a norm, || . ||_2, and does not say whether it is squared. The difference is in the
    gradient: that of the square fades as the error shrinks, that of the norm does not.

    Args:
        images: x, (B, C, H, W) in [-1, 1].
        reconstructions: G(x) or D(x), same shape.
        squared: which of the two readings.

    Returns:
        Scalar, >= 0.

    Source: Tang et al. 2020 (DAGAN), section 3.2.
    """
    return _l2(images, reconstructions, squared)


def dual_adversarial_loss(
    images_redrawn: Tensor, reconstructions_redrawn: Tensor, squared: bool = True
) -> Tensor:
    """L_adv of DAGAN: how differently the discriminator, an auto-encoder, redraws image and reconstruction.

    squared: mean (D(x) - D(G(x)))^2.  Otherwise: mean over the images of the root of that.

    The paper prints one sum for both players, L = L_adv + 40 L_Gcon + L_Dcon. Its text says that they pull
    L_adv in opposite directions: G minimises L_adv + 40 L_Gcon, D minimises L_Dcon - L_adv.

    Args:
        images_redrawn: D(x), (B, C, H, W).
        reconstructions_redrawn: D(G(x)), same shape.
        squared: as in `l2_reconstruction_loss`.

    Returns:
        Scalar, >= 0; when D ends in tanh at most 4 (squared) or 2, unbounded otherwise.

    Source: Tang et al. 2020, section 3.2.
    """
    return _l2(images_redrawn, reconstructions_redrawn, squared)


def _l2(first: Tensor, second: Tensor, squared: bool) -> Tensor:
    squares = (at_least_float32(first) - at_least_float32(second)).square().flatten(1).mean(1)
    # The root's slope is infinite at 0: equal images get no gradient instead of NaN.
    return squares.mean() if squared else squares.clamp_min(1e-12).sqrt().mean()


def non_saturating_loss(fake_logits: Tensor) -> Tensor:
    """Generator's side of the classical game: -log D(G(z)), averaged.

    Args:
        fake_logits: D's logits for generated images, any shape.

    Returns:
        Scalar, >= 0; its gradient does not vanish where the discriminator is sure (log(1 - D)'s does).

    Source: Goodfellow et al. 2014.
    """
    return F.softplus(-at_least_float32(fake_logits)).mean()


def critic_loss(real_values: Tensor, fake_values: Tensor) -> Tensor:
    """The critic's side of the Wasserstein game, without its penalty: mean C(G(z)) - mean C(x).

    Args:
        real_values: C(x), any shape. fake_values: C(G(z)), any shape.

    Returns:
        Scalar of any sign; its negative estimates the distance of the two distributions.

    Source: Arjovsky et al. 2017. The generator minimises -mean C(G(z)).
    """
    return at_least_float32(fake_values).mean() - at_least_float32(real_values).mean()


def gradient_penalty(gradients: Tensor) -> Tensor:
    """What keeps the critic's slope near one: mean (||grad C||_2 - 1)^2.

    Args:
        gradients: of the critic's values, with respect to images between real and generated ones,
            (B, C, H, W).

    Returns:
        Scalar, >= 0; 1 for a constant critic.

    Source: Gulrajani et al. 2017, Eq. 3.
    """
    return (at_least_float32(gradients).flatten(1).norm(dim=1) - 1).square().mean()


def equilibrium(k: Tensor, real_error: Tensor, fake_error: Tensor, gamma: float, rate: float) -> Tensor:
    """BEGAN's control: the next k_t, by which the discriminator weighs the generated images.

    k + rate (gamma l(x) - l(G(z))), kept in [0, 1], with l(v) = mean |v - D(v)|

    Args:
        k: k_t, scalar. real_error: l(x), scalar. fake_error: l(G(z)), scalar.
        gamma: the ratio l(G(z)) / l(x) to hold. rate: lambda_k, how fast k moves.

    Returns:
        k_{t+1}, scalar in [0, 1].

    Source: Berthelot et al. 2017, section 3.4.
    """
    return (k + rate * (gamma * real_error - fake_error)).clamp(0, 1)


def convergence_measure(real_error: Tensor, fake_error: Tensor, gamma: float) -> Tensor:
    """BEGAN's number for how far training is: l(x) + |gamma l(x) - l(G(z))|, >= 0.

    Args:
        real_error: l(x), scalar. fake_error: l(G(z)), scalar. gamma: as in `equilibrium`.

    Source: Berthelot et al. 2017, section 3.4.1.
    """
    return real_error + (gamma * real_error - fake_error).abs()


# ---------------------------------------------------------------------- chapter 4: auto-encoders and style
SSIM_SIGMA = 1.5  # pixels; width of the Gaussian window


def ssim_window(side: int) -> int:
    """Side of the SSIM window for images of a side: 11 as published, 7 below 64 pixels.

    Source: Wang et al. 2004 and Bergmann et al. 2018 for 11; 7 for small images is ours.
    """
    return 11 if side >= 64 else 7


def ssim_map(images: Tensor, others: Tensor, window: int) -> Tensor:
    """Structural similarity at every pixel, averaged over the channels.

    SSIM(p, q) = (2 mu_p mu_q + c1)(2 sigma_pq + c2) / ((mu_p^2 + mu_q^2 + c1)(sigma_p^2 + sigma_q^2 + c2))

    Means, variances and covariance are taken in a Gaussian window around the pixel (sigma 1.5), on images mapped
    to [0, 1], where c1 = 0.01^2 and c2 = 0.03^2. At the border the image is mirrored, as scikit-image does, so the
    map is as large as the image.

    Args:
        images: p, (B, C, H, W) in [-1, 1]. others: q, same shape; may overshoot the range.
        window: side of the window in pixels, odd.

    Returns:
        (B, H, W), at most 1, which equal images reach; negative where structure is inverted.

    Raises:
        ValueError: an even window, or one larger than the image.

    Source: Wang et al. 2004, Eq. 13; Bergmann et al. 2018, Eq. 3 (which prints c1 = 0.01, c2 = 0.03).
    """
    # Variances are small differences of large numbers: half precision would leave nothing of them.
    with torch.autocast("cpu" if images.is_meta else images.device.type, enabled=False):
        p, q = at_least_float32(images) / 2 + 0.5, at_least_float32(others) / 2 + 0.5
        rows = gaussian_rows(p.shape[2], window, SSIM_SIGMA, p.dtype, p.device)
        columns = gaussian_rows(p.shape[3], window, SSIM_SIGMA, p.dtype, p.device)
        moments = rows @ torch.stack([p, q, p * p, q * q, p * q]) @ columns.T
        mean_p, mean_q, square_p, square_q, product = moments
        spread = square_p - mean_p**2 + square_q - mean_q**2
        covariance = product - mean_p * mean_q
        above = (2 * mean_p * mean_q + 0.01**2) * (2 * covariance + 0.03**2)
        below = (mean_p**2 + mean_q**2 + 0.01**2) * (spread + 0.03**2)
        return (above / below).mean(1)


@functools.cache
def gaussian_rows(side: int, window: int, sigma: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    """A Gaussian filter along one axis as a matrix: row i weighs the pixels around pixel i, mirrored at both ends.

    A product of small matrices is several times faster on a processor than a convolution with one channel.

    Args:
        side: of the image, pixels. window: odd, up to the side. sigma: standard deviation, pixels.
        dtype, device: of the matrix.

    Returns:
        (side, side), each row adds up to 1.

    Raises:
        ValueError: an even window, or one larger than the side.
    """
    if window % 2 == 0 or not 1 <= window <= side:
        raise ValueError(
            f"the Gaussian window is {window} pixels on images of {side}; expected an odd number up to {side}."
        )
    offsets = torch.arange(window) - window // 2
    weights = torch.exp(-(offsets.double() ** 2) / (2 * sigma**2))
    pixels = torch.arange(side)[:, None] + offsets
    pixels = torch.where(pixels < 0, -1 - pixels, pixels)
    pixels = torch.where(pixels >= side, 2 * side - 1 - pixels, pixels)
    matrix = torch.zeros((side, side), dtype=torch.double)
    matrix.scatter_add_(1, pixels, (weights / weights.sum()).expand(side, window).contiguous())
    return matrix.to(dtype).to(device)


def dssim_map(images: Tensor, others: Tensor, window: int) -> Tensor:
    """Structural dissimilarity at every pixel: (1 - SSIM) / 2.

    Args:
        images, others: (B, C, H, W) in [-1, 1]. window: as in `ssim_map`.

    Returns:
        (B, H, W) in [0, 1]; 0 where both are equal.

    Source: Chung et al. 2020; the SSIM auto-encoder's 1 - SSIM, halved.
    """
    return (1 - ssim_map(images, others, window)) / 2


def dssim_loss(images: Tensor, others: Tensor, window: int) -> Tensor:
    """Mean structural dissimilarity: mean (1 - SSIM) / 2.

    Args:
        images, others: (B, C, H, W) in [-1, 1]. window: as in `ssim_map`.

    Returns:
        Scalar in [0, 1]; 0 when both are equal. Its gradient is finite on constant images too.

    Source: Bergmann et al. 2018, Eq. 4, halved.
    """
    return dssim_map(images, others, window).mean()


def style_distance(images: Tensor, others: Tensor, window: int) -> Tensor:
    """d of the style distillation networks: DSSIM + MSE, one to one, on images mapped to [0, 1].

    The paper's "mean squared displacement" is no usual loss of images; we read it as mean squared error. Its
    weight beside DSSIM is not published.

    Args:
        images, others: (B, C, H, W) in [-1, 1]. window: as in `ssim_map`.

    Returns:
        Scalar, >= 0; 0 when both are equal.

    Source: Chung et al. 2020, section III.
    """
    squares = F.mse_loss(at_least_float32(others) / 2, at_least_float32(images) / 2)
    return dssim_loss(images, others, window) + squares


def kl_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Distance of the code's Gaussian from the standard one, summed over the code, averaged over the batch.

    1/2 sum (mu^2 + sigma^2 - log sigma^2 - 1)

    Args:
        mean: mu, (B, code). log_variance: log sigma^2, same shape.

    Returns:
        Scalar, >= 0; 0 for the standard Gaussian.

    Source: Kingma and Welling 2014, appendix B.
    """
    mean, log_variance = at_least_float32(mean), at_least_float32(log_variance)
    return 0.5 * (mean**2 + log_variance.exp() - log_variance - 1).sum(1).mean()


def soft_boundary_loss(distances: Tensor, radius: Tensor, nu: float) -> Tensor:
    """Soft-boundary Deep SVDD: R^2 + 1/nu mean max(0, ||phi(x) - c||^2 - R^2).

    Args:
        distances: ||phi(x) - c||^2, (B,). radius: R, scalar.
        nu: share of the training images that may lie outside, in (0, 1].

    Returns:
        Scalar, >= 0. The one-class loss is the mean of the distances themselves.

    Source: Ruff et al. 2018, Eq. 3, without its weight decay.
    """
    boundary = at_least_float32(radius) ** 2
    return boundary + F.relu(at_least_float32(distances) - boundary).mean() / nu


# ---------------------------------------------------------------------- chapter 3: the dual discriminator
def reconstruction_errors(images: Tensor, reconstructions: Tensor) -> Tensor:
    """L1 error of each image: e = mean |x - G(x)| over its pixels and channels.

    The mean over the normal images is L_recon; for anomalies e goes into `abc_loss`. It is also the score.

    Args:
        images: x, (B, C, H, W) in [-1, 1]. reconstructions: G(x), same shape.

    Returns:
        (B,) in [0, 2].

    Source: Kim et al. 2020, section 3. The paper writes a norm and does not say whether it is a sum or a mean;
    `abc_loss` says why it cannot be the sum.
    """
    return (at_least_float32(images) - at_least_float32(reconstructions)).abs().flatten(1).mean(1)


def patch_loss(
    images: Tensor, reconstructions: Tensor, side: int = 16, stride: int = 8, worst: int = 3
) -> Tensor:
    """L_patch: the mean of the `worst` largest of an image's patch errors, averaged over the images.

    A patch error is the mean |x - G(x)| of one window. 32 pixels hold 9 windows, 128 pixels 225.

    Args:
        images: x, (B, C, H, W) in [-1, 1]. reconstructions: G(x), same shape.
        side: of a window, pixels. stride: from one window to the next, pixels.
        worst: n, at most the number of windows.

    Returns:
        Scalar in [0, 2].

    Raises:
        ValueError: images smaller than a window, or fewer windows than `worst`.

    Source: Kim et al. 2020, section 3.
    """
    height, width = images.shape[-2:]
    down, across = (max(0, (length - side) // stride + 1) for length in (height, width))
    windows = down * across
    if windows < worst:
        raise ValueError(
            f"images of {height} x {width} pixels hold {windows} windows of {side} pixels; expected at least {worst}: "
            "use larger images, 32 pixels or more with the paper's windows."
        )
    errors = (at_least_float32(images) - at_least_float32(reconstructions)).abs().mean(1, keepdim=True)
    patches = F.avg_pool2d(errors, side, stride).flatten(1)
    return patches.topk(worst, dim=1).values.mean()


def latent_l1_loss(latent: Tensor, latent_again: Tensor) -> Tensor:
    """L_enc: mean |G_E(x) - G_E(G(x))|, both codes from the generator's own encoder.

    Args:
        latent: G_E(x), any shape (B, ...). latent_again: G_E(G(x)), same shape.

    Returns:
        Scalar, >= 0.

    Source: Kim et al. 2020, section 3.
    """
    return F.l1_loss(at_least_float32(latent_again), at_least_float32(latent))


def abc_loss(errors: Tensor) -> Tensor:
    """L_ABC, the autoencoding binary classifier's loss of an anomaly: -log(1 - exp(-e)), averaged.

    exp(-e) is read as the probability that the image is normal, so that e itself is the loss of a normal image and
    this one that of an anomaly: small when the anomaly is drawn badly.

    The slope is -1 / (exp(e) - 1), about -1/e for an anomaly that is drawn well: e is kept above 1e-6. With the sum
    over 3,072 values in the place of the mean, exp(-e) is 0 from the first step on and nothing is learnt.

    Args:
        errors: e, mean absolute errors of anomalous images, (B,), >= 0.

    Returns:
        Scalar, >= 0, finite for every e >= 0; 0 for large errors.

    Source: Yamanaka et al. 2019, as used by Kim et al. 2020, section 3.
    """
    bounded = at_least_float32(errors).clamp_min(1e-6)
    return -torch.log(-torch.expm1(-bounded)).mean()


def lsgan_discriminator_loss(real_maps: Tensor, redrawn_maps: Tensor) -> Tensor:
    """L_D of either discriminator: mean (D(x) - 1)^2 + mean D(G(x))^2.

    D_n judges normal images and D_a anomalies, each against its own reconstructions. That real anomalies are what
    D_a takes for real follows from the paper's architecture and is not written there.

    Args:
        real_maps: D(x), any shape. redrawn_maps: D(G(x)), any shape.

    Returns:
        Scalar, >= 0; 1/2 when D answers 1/2 to everything.

    Source: Mao et al. 2017 (LSGAN) with a = 0, b = 1, as in Kim et al. 2020, section 3.
    """
    return (at_least_float32(real_maps) - 1).square().mean() + at_least_float32(redrawn_maps).square().mean()


def normal_adversarial_loss(redrawn_maps: Tensor) -> Tensor:
    """L_adv^n: mean (D_n(G(x)) - 1)^2. The generator wants its normal images taken for real.

    Args:
        redrawn_maps: D_n(G(x)), any shape.

    Returns:
        Scalar, >= 0.

    Source: Kim et al. 2020, section 3.
    """
    return (at_least_float32(redrawn_maps) - 1).square().mean()


def anomaly_adversarial_loss(redrawn_maps: Tensor) -> Tensor:
    """L_adv^a: mean D_a(G(x))^2. The generator wants its anomalies told from real ones.

    So does D_a, whose loss has the same term: here the two do not play against each other, they work together.

    Args:
        redrawn_maps: D_a(G(x)), any shape.

    Returns:
        Scalar, >= 0.

    Source: Kim et al. 2020, section 3.
    """
    return at_least_float32(redrawn_maps).square().mean()
