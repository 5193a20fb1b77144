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
    squares = (first.float() - second.float()).square().flatten(1).mean(1)
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
    return F.softplus(-fake_logits.float()).mean()


def critic_loss(real_values: Tensor, fake_values: Tensor) -> Tensor:
    """The critic's side of the Wasserstein game, without its penalty: mean C(G(z)) - mean C(x).

    Args:
        real_values: C(x), any shape. fake_values: C(G(z)), any shape.

    Returns:
        Scalar of any sign; its negative estimates the distance of the two distributions.

    Source: Arjovsky et al. 2017. The generator minimises -mean C(G(z)).
    """
    return fake_values.float().mean() - real_values.float().mean()


def gradient_penalty(gradients: Tensor) -> Tensor:
    """What keeps the critic's slope near one: mean (||grad C||_2 - 1)^2.

    Args:
        gradients: of the critic's values, with respect to images between real and generated ones,
            (B, C, H, W).

    Returns:
        Scalar, >= 0; 1 for a constant critic.

    Source: Gulrajani et al. 2017, Eq. 3.
    """
    return (gradients.float().flatten(1).norm(dim=1) - 1).square().mean()


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
