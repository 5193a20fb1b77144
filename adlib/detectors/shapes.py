"""What the papers' networks take for granted about an image's shape: that it is square."""

from __future__ import annotations


def square_side(image_shape: tuple[int, int, int], name: str) -> int:
    """The side of square images.

    Args:
        image_shape: (C, H, W).
        name: of the detector, for the message.

    Raises:
        ValueError: the images are not square. (Whether the side suits the network, the network says.)
    """
    _, height, width = image_shape
    if height != width:
        raise ValueError(
            f"images are {height} x {width}; {name} needs square ones: load(..., size={height})."
        )
    return height
