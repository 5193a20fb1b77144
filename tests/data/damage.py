"""Image files of each format, whole and damaged on purpose, the same ones for the same seed."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
from PIL import Image

SIDE = 24
# Name of a format -> mode of the picture, and what `save` takes.
FORMATS: dict[str, tuple[str, dict[str, object]]] = {
    "grey.png": ("L", {}),
    "colour.png": ("RGB", {}),
    "palette.png": ("P", {}),
    "alpha.png": ("RGBA", {}),
    "grey_alpha.png": ("LA", {}),
    "deep.png": ("I;16", {}),
    "one_bit.png": ("1", {}),
    "colour.jpg": ("RGB", {}),
    "grey.jpg": ("L", {}),
    "cmyk.jpg": ("CMYK", {}),
    "turned.jpg": (
        "RGB",
        {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"},
    ),
    "plain.tif": ("RGB", {}),
    "deflate.tif": ("L", {"compression": "tiff_adobe_deflate"}),
    "lzw.tif": ("RGB", {"compression": "tiff_lzw"}),
    "jpeg.tif": ("RGB", {"compression": "jpeg"}),
    "fax.tif": ("1", {"compression": "group4"}),
    "deep.tif": ("I;16", {}),
    "float.tif": ("F", {}),
    "lossy.webp": ("RGB", {}),
    "lossless.webp": ("RGBA", {"lossless": True}),
    "photo.avif": ("RGB", {}),
    "picture.gif": ("P", {}),
    "picture.bmp": ("RGB", {}),
    "grey.bmp": ("L", {}),
    "picture.jp2": ("RGB", {}),
    "picture.pgm": ("L", {}),
    "deep.pgm": ("I", {}),
    "picture.tga": ("RGB", {"compression": "tga_rle"}),
    "picture.pcx": ("RGB", {}),
    "picture.sgi": ("RGB", {}),
    "picture.dds": ("RGBA", {}),
    "picture.ico": ("RGBA", {}),
    "picture.icns": ("RGBA", {}),
    "picture.qoi": ("RGB", {}),
    "picture.xbm": ("1", {}),
    "picture.msp": ("1", {}),
    "picture.blp": ("P", {}),
}


def whole_file(name: str) -> bytes:
    """A picture of `SIDE` pixels with a ramp and some noise, as a file of that name."""
    mode, options = FORMATS[name]
    noise = np.random.default_rng(len(name)).integers(0, 40, (SIDE, SIDE, 3))
    colour = (np.add.outer(np.arange(SIDE), np.arange(SIDE))[..., None] * [2, 3, 4] + noise).astype(np.uint8)
    if mode == "I;16":
        picture = Image.fromarray(colour[..., 0].astype(np.uint16) * 257)
    elif mode == "I":
        picture = Image.fromarray(colour[..., 0].astype(np.int32) * 257)
    elif mode == "F":
        picture = Image.fromarray(colour[..., 0].astype(np.float32) / 255)
    else:
        picture = Image.fromarray(colour).convert(mode)
    buffer = io.BytesIO()
    Image.init()
    picture.save(buffer, Image.EXTENSION["." + name.rpartition(".")[2]], **options)
    return buffer.getvalue()


def damaged(whole: bytes, random: np.random.Generator) -> bytes:
    """A file with one fault: bytes changed, cut off, blanked, put in, taken out, or numbers made large."""
    data = bytearray(whole)
    # Headers are short and matter most: half of the places are among the first bytes.
    limit = len(data) if random.random() < 0.5 else min(len(data), 128)
    place = int(random.integers(limit))
    length = int(random.integers(1, 9))
    fault = int(random.integers(7))
    if fault == 0:
        for _ in range(length):
            data[int(random.integers(limit))] ^= 1 << int(random.integers(8))
    elif fault == 1:
        data[place : place + length] = random.bytes(len(data[place : place + length]))
    elif fault == 2:
        del data[place:]
    elif fault == 3:
        data[place : place + 16 * length] = bytes(len(data[place : place + 16 * length]))
    elif fault == 4:
        data[place:place] = random.bytes(length)
    elif fault == 5:
        del data[place : place + length]
    else:
        data[place : place + 4] = [0xFF, 0x7F, 0x7F, 0xFF][: len(data[place : place + 4])]
    return bytes(data)


def damaged_files(name: str, count: int, seed: int) -> Iterator[bytes]:
    """`count` damaged versions of one file; with the same seed the same ones."""
    whole, random = whole_file(name), np.random.default_rng([seed, *name.encode()])
    return (damaged(whole, random) for _ in range(count))
