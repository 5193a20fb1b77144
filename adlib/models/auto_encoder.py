"""Auto-encoders with a narrow code and nothing that leads around it: a small one and the SSIM auto-encoder.

Both end linearly: with a sigmoid or tanh at the end a short training can get stuck at a constant image.

Source: Bergmann et al. 2018 for the SSIM auto-encoder; the small one is ours, for images of 32 pixels.
"""

from __future__ import annotations

import itertools

from torch import Tensor, nn


class AutoEncoder(nn.Module):
    """Encoder and decoder around a code.

    forward: (B, channels, size, size) in [-1, 1] -> same shape, unbounded.
    encode: the same -> (B, code). decode: (B, code) -> (B, channels, size, size).
    """

    encoder: nn.Sequential
    decoder: nn.Sequential

    def encode(self, images: Tensor) -> Tensor:
        """(B, channels, size, size) -> (B, moments * code), unbounded."""
        return self.encoder(images).flatten(1)

    def decode(self, codes: Tensor) -> Tensor:
        """(B, code) -> (B, channels, size, size)."""
        return self.decoder(codes[:, :, None, None])

    def forward(self, images: Tensor) -> Tensor:
        return self.decode(self.encode(images))


class SmallAutoEncoder(AutoEncoder):
    """Three convolutions 4/2/1 down to the code, three transposed ones up again. 460,257 parameters for grey 32 px.

    forward: (B, channels, size, size) in [-1, 1] -> same shape, unbounded unless `bounded`.

    Args:
        size: side of the images, a multiple of 8.
        channels: of the images.
        code: length of the code.
        widths: channels after each convolution.
        bounded: end in tanh.
        moments: numbers that the encoder gives per element of the code; 2 (mean, log-variance) for the VAE.

    Raises:
        ValueError: another side.

    Source: ours; the paper on style distillation shows its auto-encoder in a figure without numbers.
    """

    def __init__(
        self,
        size: int,
        channels: int = 1,
        code: int = 32,
        widths: tuple[int, int, int] = (32, 64, 128),
        bounded: bool = False,
        moments: int = 1,
    ):
        super().__init__()
        _refuse_side(size, 8)
        inside = (channels, *widths)
        down = [_down(a, b, 4) for a, b in zip(inside, widths)]
        up = [_up(b, a) for a, b in itertools.pairwise(widths)][::-1]
        end: nn.Module = nn.Tanh() if bounded else nn.Identity()
        self.encoder = nn.Sequential(*down, nn.Conv2d(widths[-1], moments * code, size // 8))
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(code, widths[-1], size // 8),
            nn.LeakyReLU(0.2, inplace=True),
            *up,
            nn.ConvTranspose2d(widths[0], channels, 4, 2, 1),
            end,
        )


class SsimAutoEncoder(AutoEncoder):
    """The SSIM auto-encoder: nine convolutions to the code, their mirror back. Biases, no BatchNorm.

    forward: (B, channels, size, size) in [-1, 1] -> same shape, unbounded.
    1,048,549 parameters at 128 px grey, code 100; 1,050,599 in colour; 2,722,231 at 256 px in colour, code 500.

    Args:
        size: side of the images. The paper has 128 and, with one more convolution at each end, 256; other
            multiples of 16 up to 128 follow the plan for 128, the last kernel as large as what is left (size / 16).
        channels: of the images.
        code: length of the code, 100 for textures and 500 for objects in the paper.
        moments: numbers that the encoder gives per element of the code; 2 (mean, log-variance) for the VAE.

    Raises:
        ValueError: another side.

    Source: Bergmann et al. 2018, Table 1; the convolution for 256 pixels as in public re-implementations.
    """

    def __init__(self, size: int, channels: int = 1, code: int = 100, moments: int = 1):
        super().__init__()
        if size != 256:
            _refuse_side(size, 16, 128)
        extra = size == 256
        rest = size // (32 if extra else 16)
        self.encoder = nn.Sequential(
            _down(channels, 32, 4),
            _down(32, 32, 4),
            *([_down(32, 32, 4)] if extra else []),
            _same(32, 32),
            _down(32, 64, 4),
            _same(64, 64),
            _down(64, 128, 4),
            _same(128, 64),
            _same(64, 32),
            nn.Conv2d(32, moments * code, rest),
        )
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(code, 32, rest),
            nn.LeakyReLU(0.2, inplace=True),
            _same(32, 64),
            _same(64, 128),
            _up(128, 64),
            _same(64, 64),
            _up(64, 32),
            _same(32, 32),
            *([_up(32, 32)] if extra else []),
            _up(32, 32),
            nn.ConvTranspose2d(32, channels, 4, 2, 1),
        )
        self.apply(initialise_he)


def initialise_he(module: nn.Module) -> None:
    """Weights N(0, sqrt(2 / (1.04 inputs))), biases 0, for use with `network.apply`.

    Eighteen layers without BatchNorm need it: with PyTorch's own initialisation differences between images have
    died away before they reach the code, and training stays at the mean image.

    Source: He et al. 2015, Eq. 15, for a slope of 0.2. The initialisation used by Bergmann et al. is not published.
    """
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        inputs = module.in_channels * module.kernel_size[0] ** 2
        if isinstance(module, nn.ConvTranspose2d):
            # With stride 2 each output receives every second weight, down and across; from a code of one pixel, one.
            inputs //= 4 if module.stride[0] == 2 else module.kernel_size[0] ** 2
        nn.init.normal_(module.weight, 0.0, (2 / (1.04 * inputs)) ** 0.5)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def auto_encoder(size: int, channels: int, code: int, moments: int = 1) -> AutoEncoder:
    """The auto-encoder for images of a side: the small one below 64 pixels, the SSIM auto-encoder from there on.

    Args:
        size: side of the images. channels: of the images. code: its length. moments: 2 for a VAE.

    Raises:
        ValueError: a side that the network cannot take.

    Source: the division is ours; see both classes.
    """
    if size < 64:
        return SmallAutoEncoder(size, channels, code, moments=moments)
    return SsimAutoEncoder(size, channels, code, moments=moments)


def _refuse_side(size: int, step: int, largest: int | None = None) -> None:
    if size < step or size % step or (largest and size > largest):
        limit = f" up to {largest}, or 256" if largest else ""
        near = max(step, min(largest or size, size // step * step))
        raise ValueError(
            f"image side {size} does not fit this auto-encoder: use a multiple of {step}{limit} "
            f"(near: {near}); load(..., size={near}) resizes."
        )


def _down(inside: int, outside: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inside, outside, kernel, 2, 1), nn.LeakyReLU(0.2, inplace=True))


def _same(inside: int, outside: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inside, outside, 3, 1, 1), nn.LeakyReLU(0.2, inplace=True))


def _up(inside: int, outside: int) -> nn.Sequential:
    return nn.Sequential(nn.ConvTranspose2d(inside, outside, 4, 2, 1), nn.LeakyReLU(0.2, inplace=True))
