"""The networks of GANomaly: DCGAN-shaped encoder, decoder and discriminator.

Source: Akcay, Atapour-Abarghouei and Breckon 2018; layer list as in the authors' released code.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn


class Generated(NamedTuple):
    """What the encoder-decoder-encoder generator returns for a batch.

    image: the reconstruction, (B, C, H, W) in [-1, 1].
    latent: code of the input, (B, latent).
    latent_again: code of the reconstruction by the second encoder, (B, latent).
    """

    image: Tensor
    latent: Tensor
    latent_again: Tensor


def initialise_dcgan(module: nn.Module) -> None:
    """DCGAN initialisation, for use with `network.apply`.

    Convolutions N(0, 0.02); BatchNorm gain N(1, 0.02) and bias 0. Source: Radford et al. 2015.
    """
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)


def doublings(size: int) -> int:
    """How many times 4 has to be doubled to give `size`.

    Raises:
        ValueError: the side is not 4 times a power of two, or below 16. (The released code asks for a
            multiple of 16 only, and its decoder then never ends at, say, 48 pixels.)
    """
    count = (size // 4).bit_length() - 1
    if size < 16 or 4 * 2**count != size:
        near = 4 * 2 ** max(2, count)
        raise ValueError(
            f"image side {size} cannot be halved down to 4: use 16, 32, 64, 128 or 256 "
            f"(nearest below: {near}); load(..., size={near}) resizes."
        )
    return count


def _halve(channels_in: int, channels_out: int) -> list[nn.Module]:
    return [
        nn.Conv2d(channels_in, channels_out, 4, 2, 1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.LeakyReLU(0.2, inplace=True),
    ]


def _trunk(size: int, channels: int, width: int) -> nn.Sequential:
    """(B, channels, size, size) -> (B, width * size / 8, 4, 4)."""
    layers: list[nn.Module] = [
        nn.Conv2d(channels, width, 4, 2, 1, bias=False),
        nn.LeakyReLU(0.2, inplace=True),
    ]
    for step in range(doublings(size) - 1):
        layers += _halve(width * 2**step, width * 2 ** (step + 1))
    return nn.Sequential(*layers)


class Encoder(nn.Module):
    """Image to code: convolutions 4/2/1 down to 4x4, then 4/1/0 to the code. No bias anywhere.

    forward: (B, channels, size, size) in [-1, 1] -> (B, latent), unbounded.
    """

    def __init__(self, size: int, channels: int = 3, latent: int = 100, width: int = 64):
        super().__init__()
        self.trunk = _trunk(size, channels, width)
        self.code = nn.Conv2d(width * size // 8, latent, 4, 1, 0, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        return self.code(self.trunk(images)).flatten(1)


class Decoder(nn.Module):
    """Code to image, the encoder's mirror with ReLU, ending in tanh.

    forward: (B, latent) -> (B, channels, size, size) in [-1, 1].
    """

    def __init__(self, size: int, channels: int = 3, latent: int = 100, width: int = 64):
        super().__init__()
        widest = width * size // 8
        layers: list[nn.Module] = [
            nn.ConvTranspose2d(latent, widest, 4, 1, 0, bias=False),
            nn.BatchNorm2d(widest),
            nn.ReLU(inplace=True),
        ]
        for step in range(doublings(size) - 1):
            inside, outside = widest // 2**step, widest // 2 ** (step + 1)
            layers += [
                nn.ConvTranspose2d(inside, outside, 4, 2, 1, bias=False),
                nn.BatchNorm2d(outside),
                nn.ReLU(inplace=True),
            ]
        layers += [nn.ConvTranspose2d(width, channels, 4, 2, 1, bias=False), nn.Tanh()]
        self.layers = nn.Sequential(*layers)

    def forward(self, latent: Tensor) -> Tensor:
        return self.layers(latent[:, :, None, None])


class Generator(nn.Module):
    """GANomaly's generator: encoder, decoder, second encoder.

    forward: (B, channels, size, size) in [-1, 1] -> Generated. 10,729,856 parameters at 64 px RGB,
    latent 100, width 64.
    """

    def __init__(self, size: int, channels: int = 3, latent: int = 100, width: int = 64):
        super().__init__()
        self.encoder = Encoder(size, channels, latent, width)
        self.decoder = Decoder(size, channels, latent, width)
        self.second_encoder = Encoder(size, channels, latent, width)

    def forward(self, images: Tensor) -> Generated:
        latent = self.encoder(images)
        image = self.decoder(latent)
        return Generated(image, latent, self.second_encoder(image))


class Discriminator(nn.Module):
    """The encoder's trunk with a one-number head.

    forward: (B, channels, size, size) in [-1, 1] -> (logits (B,), features (B, width * size / 8, 4, 4)).
    The features are the last activation before the head: f in the papers. The paper's sigmoid is left
    to the loss (`binary_cross_entropy_with_logits`): the same function, without its rounding.
    """

    def __init__(self, size: int, channels: int = 3, width: int = 64):
        super().__init__()
        self.trunk = _trunk(size, channels, width)
        self.head = nn.Conv2d(width * size // 8, 1, 4, 1, 0, bias=False)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features = self.trunk(images)
        return self.head(features).flatten(), features


def count_parameters(module: nn.Module) -> int:
    """Number of trainable values; running statistics of BatchNorm do not count."""
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)
