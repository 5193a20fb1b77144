"""DAGAN's discriminator: an auto-encoder. Its generator is `adlib.models.unet.UNet`."""

from __future__ import annotations

from torch import Tensor, nn


class AutoEncoderDiscriminator(nn.Module):
    """A shallow auto-encoder that judges by redrawing: D(x) is an image, not a probability.

    forward: (B, channels, H, W) in [-1, 1] -> same shape, in [-1, 1]. H and W must be multiples of 4.
    Width 64, RGB: 1,315,587 parameters.

    Args:
        channels: of the images.
        width: channels at full resolution; they double twice.
        bounded: end in tanh. Without it the discriminator can push D(x) and D(G(x)) apart forever.

    Source: the paper (Tang et al. 2020) gives no layer list; this one is that of the only public
    re-implementation we found (CompetitiveReconstructionNetworks).
    """

    def __init__(self, channels: int = 3, width: int = 64, bounded: bool = True):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, width, 3, 1, 1),
            nn.Conv2d(width, 2 * width, 4, 2, 1),
            nn.LeakyReLU(0.01),
            nn.BatchNorm2d(2 * width),
            nn.Conv2d(2 * width, 4 * width, 4, 2, 1),
            nn.LeakyReLU(0.01),
            nn.BatchNorm2d(4 * width),
            nn.ConvTranspose2d(4 * width, 2 * width, 4, 2, 1),
            nn.ReLU(),
            nn.ConvTranspose2d(2 * width, width, 4, 2, 1),
            nn.ReLU(),
            nn.Conv2d(width, channels, 3, 1, 1),
            nn.Tanh() if bounded else nn.Identity(),
        )

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images)
