"""Whether a part lies in the same place in every photograph; detectors that compare place by place need that."""

from __future__ import annotations

import numpy as np

THUMBNAIL = 64  # pixels; what alignment is looked at in
MISPLACED = 0.02  # a spread, in sides of the image, that is worth a word
MOST = 2000  # images looked at
ANYWHERE = frozenset(
    ["feature_dictionary", "patch_memory", "mean_intensity"]
)  # detectors that do not ask where


def place_spread(thumbnails: np.ndarray) -> float:
    """Standard deviation of the part's place, in sides of the image, along the axis where it is larger.

    Taken from the quartiles, so that one odd image is no spread. 0 for fewer than three images that resemble the first
    one, such as textures.

    Args:
        thumbnails: (N, 64, 64), grey.
    """
    shifts = displacements(thumbnails[:MOST])
    if len(shifts) < 3:
        return 0.0
    quartiles = np.quantile(shifts, [0.25, 0.75], axis=0)
    return float((quartiles[1] - quartiles[0]).max()) / 1.349 / THUMBNAIL


def displacements(thumbnails: np.ndarray) -> np.ndarray:
    """How far each image lies from the first one, by the peak of their cross-correlation.

    Args:
        thumbnails: (N, S, S), grey.

    Returns:
        (M, 2) rows and columns in pixels, M <= N: images that do not resemble the first one are left out, as textures,
        which have no place.
    """
    if not len(thumbnails):
        return np.zeros((0, 2), int)
    centred = thumbnails - thumbnails.mean((1, 2), keepdims=True)
    centred /= np.maximum(np.linalg.norm(centred, axis=(1, 2), keepdims=True), 1e-6)
    side = thumbnails.shape[1]
    spectra = np.fft.rfft2(centred)
    products = np.fft.irfft2(spectra * spectra[0].conj(), s=(side, side))
    peaks = products.reshape(len(products), -1)
    rows, columns = np.unravel_index(peaks.argmax(1), (side, side))
    shifts = (np.stack([rows, columns], 1) + side // 2) % side - side // 2
    return shifts[peaks.max(1) > 0.6]
