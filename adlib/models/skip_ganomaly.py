"""Skip-GANomaly's discriminator. Its generator is `adlib.models.unet.UNet`."""

from __future__ import annotations

from torch import Tensor, nn

from adlib.models.ganomaly import Encoder


class FeatureDiscriminator(nn.Module):
    """GANomaly's encoder to `latent` features, and a classifier on top of them.

    forward: (B, channels, size, size) in [-1, 1] -> (logits (B,), features (B, latent)). The released code's
    sigmoid is left to the loss. Its classifier is a 3 x 3 convolution on one padded pixel: only the weights
    in its middle have an effect; the others stay, so that parameter counts can be compared.
    """

    def __init__(self, size: int, channels: int = 3, latent: int = 100, width: int = 64):
        super().__init__()
        self.encoder = Encoder(size, channels, latent, width)
        self.classifier = nn.Conv2d(latent, 1, 3, 1, 1, bias=False)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features = self.encoder(images)
        return self.classifier(features[:, :, None, None]).flatten(), features
