"""Batches cut by index from uint8 images, in memory or streamed from disk, with exact resume.

Which images make batch number k follows from (number of images, batch size, seed, k) alone. A run that is
interrupted therefore needs to remember one integer, not the state of a random number generator.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from adlib.data.images import ImageFileError, ValueRange, checked_range, image_header
from adlib.data.inputs import as_images, find_images
from adlib.files import as_path

Augment = Callable[[Tensor, torch.Generator], Tensor]


def _generator(*key: int) -> torch.Generator:
    """A CPU generator whose stream depends on all parts of `key`."""
    seed = np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> np.uint64(1)  # torch wants < 2^63
    return torch.Generator().manual_seed(int(seed))


class IndexBatches:
    """Endless index batches over a chain of fresh permutations of range(count).

    Every batch is full: where an epoch ends inside a batch, or `batch_size` exceeds `count`, the batch goes
    on in the next permutation. Each index is therefore drawn exactly once per `count` draws.

    Args:
        count: number of images, >= 1.
        batch_size: images per batch, >= 1.
        seed: >= 0; the whole sequence follows from it.

    Raises:
        ValueError: if count or batch_size is below 1, or seed is negative.
    """

    def __init__(self, count: int, batch_size: int, seed: int):
        if count < 1:
            raise ValueError("there is no image to make batches of (count=0); give at least one image.")
        if batch_size < 1:
            raise ValueError(f"batch_size={batch_size}; expected a whole number of at least 1.")
        if seed < 0:
            raise ValueError(f"seed={seed}; expected 0 or a positive whole number.")
        self.count, self.batch_size, self.seed = count, batch_size, seed
        self.batches_drawn = 0
        self._epoch = -1
        self._order = torch.empty(0, dtype=torch.int64)

    def _permutation(self, epoch: int) -> Tensor:
        if epoch != self._epoch:
            self._order = torch.randperm(self.count, generator=_generator(self.seed, 0, epoch))
            self._epoch = epoch
        return self._order

    def __iter__(self) -> Iterator[Tensor]:
        return self

    def __next__(self) -> Tensor:
        """Indices of the next batch, int64 (batch_size,), each in 0 .. count - 1."""
        position, missing, parts = self.batches_drawn * self.batch_size, self.batch_size, []
        while missing:
            epoch, offset = divmod(position, self.count)
            part = self._permutation(epoch)[offset : offset + missing]
            parts.append(part)
            position, missing = position + len(part), missing - len(part)
        self.batches_drawn += 1
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def state_dict(self) -> dict[str, int]:
        """Everything needed to go on exactly here; plain integers, so it fits into JSON."""
        return {
            "count": self.count,
            "batch_size": self.batch_size,
            "seed": self.seed,
            "batches_drawn": self.batches_drawn,
        }

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on where `state` was taken.

        Raises:
            ValueError: if the state belongs to other data, another batch size or another seed.
        """
        for key, mine in (("count", self.count), ("batch_size", self.batch_size), ("seed", self.seed)):
            if int(state[key]) != mine:
                raise ValueError(
                    f"cannot resume: the interrupted run had {key}={state[key]}, this one has {key}={mine}.\n"
                    "Resume with the same data and settings, or start afresh."
                )
        self.batches_drawn = int(state["batches_drawn"])


class Batches:
    """Endless batches from images held in memory; the hot path is one index_select, no Python per image.

    >>> batches = Batches(split.train.images, batch_size=32, seed=0, device="cpu")
    >>> next(batches).shape                                                            # uint8 (32, C, H, W)

    Args:
        images: uint8 (N, C, H, W). Copied to `device` once.
        batch_size: images per batch B; may exceed N.
        seed: >= 0; permutations and augmentations follow from it.
        device: where the batches live.
        augment: optional callable (uint8 (B, C, H, W) on device, CPU generator) -> uint8 (B, C, H, W). Its
            generator is seeded from (seed, number of the batch), so resuming repeats the same augmentations.

    Raises:
        TypeError: if `images` is not uint8.
        ValueError: if there is no image, batch_size < 1 or seed < 0.
    """

    def __init__(
        self,
        images: Tensor,
        batch_size: int,
        seed: int = 0,
        device: str | torch.device = "cpu",
        augment: Augment | None = None,
    ):
        if images.dtype != torch.uint8 or images.ndim != 4:
            raise TypeError(
                f"Batches got {images.dtype} of shape {tuple(images.shape)}; expected uint8 (N, C, H, W).\n"
                "Pass the images of a split, e.g. split.train.images; they become floats after the cut."
            )
        self._indices = IndexBatches(len(images), batch_size, seed)
        self._images = images.to(device)
        self._augment = augment

    def __len__(self) -> int:
        """Batches until every image has been seen once (the iterator itself never ends)."""
        return -(-self._indices.count // self._indices.batch_size)

    def __iter__(self) -> Batches:
        return self

    def __next__(self) -> Tensor:
        """The next batch, uint8 (B, C, H, W) on the device."""
        number = self._indices.batches_drawn
        batch = self._images.index_select(0, next(self._indices).to(self._images.device))
        if self._augment is not None:
            batch = self._augment(batch, _generator(self._indices.seed, 1, number))
        return batch

    def state_dict(self) -> dict[str, int]:
        """Plain integers from which `load_state_dict` goes on exactly here."""
        return self._indices.state_dict()

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on where `state` was taken; ValueError if it belongs to other data or settings."""
        self._indices.load_state_dict(state)


class _ImageFiles(Dataset[Tensor]):
    """Decodes one file per index, in the loader's workers."""

    def __init__(self, files: list[Path], image_shape: tuple[int, int, int], value_range: ValueRange | None):
        self.files, self.image_shape, self.value_range = files, image_shape, value_range

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Tensor:
        return as_images([self.files[index]], self.image_shape, value_range=self.value_range).images[0]


class StreamedBatches:
    """Endless batches decoded from disk as they are needed: `Batches` for sets larger than memory.

    Made by `stream_folder`; `Detector.fit` takes it in the place of training images. Same protocol: next() gives
    uint8 (B, C, H, W), state_dict() resumes exactly. `image_shape` is (C, H, W), `value_range` what became 0 and 255
    (None: what images of 8 bits have), `notes` says what was passed over.
    """

    def __init__(
        self,
        files: list[Path],
        size: int,
        batch_size: int,
        seed: int,
        device: str | torch.device,
        channels: int,
        workers: int,
        value_range: ValueRange | None = None,
        notes: tuple[str, ...] = (),
    ):
        self.image_shape = (channels, size, size)
        self.value_range, self.notes = value_range, notes
        self._dataset = _ImageFiles(files, self.image_shape, value_range)
        self._settings = (len(files), batch_size, seed)
        self._device, self._workers = device, workers
        self._state = IndexBatches(*self._settings).state_dict()
        self._loader: Iterator[Tensor] | None = None

    @property
    def fingerprint(self) -> str:
        """Ten hex digits that change with names, sizes and times of the files; hashing all pixels would take long."""
        listing = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in self._dataset.files]
        return hashlib.sha256(repr(listing).encode()).hexdigest()[:10]

    def __len__(self) -> int:
        return -(-self._settings[0] // self._settings[1])

    def __iter__(self) -> StreamedBatches:
        return self

    def __next__(self) -> Tensor:
        """The next batch, uint8 (B, C, H, W) on the device."""
        if self._loader is None:
            indices = IndexBatches(*self._settings)
            indices.load_state_dict(self._state)
            loader = DataLoader(self._dataset, batch_sampler=indices, num_workers=self._workers)  # type: ignore[arg-type]
            self._loader = iter(loader)
        batch = next(self._loader)
        self._state["batches_drawn"] += 1  # batches handed out, not batches the workers fetched ahead
        return batch.to(self._device)

    def state_dict(self) -> dict[str, int]:
        """Plain integers from which `load_state_dict` goes on exactly here."""
        return dict(self._state)

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on where `state` was taken; ValueError if it belongs to other files or settings."""
        IndexBatches(*self._settings).load_state_dict(state)
        self._state, self._loader = dict(state), None


def stream_folder(
    path: str | os.PathLike[str],
    size: int = 64,
    batch_size: int = 32,
    *,
    seed: int = 0,
    device: str | torch.device = "cpu",
    channels: int = 3,
    workers: int = 2,
    value_range: ValueRange | None = None,
) -> StreamedBatches:
    """Training batches straight from a folder of images too large for memory.

    All images below `path` are training images, so point it at `train/good` and keep validation and test
    images elsewhere. Files are listed now and decoded in the loader's processes when their turn comes. Where those
    are started afresh (Windows, macOS), a script has to call this below `if __name__ == "__main__":`.

    Args:
        path: folder searched recursively for files that Pillow reads; what is hidden is passed over.
        size: side of the square images, pixels.
        batch_size: images per batch B.
        seed: order of the images follows from it.
        device: where the batches live.
        channels: 1 (grey) or 3 (RGB). Coloured images are refused where it is 1.
        workers: decoding processes; 0 decodes in this one.
        value_range: as in `as_images`: what becomes black and white in images of more than 8 bits.

    Returns:
        Endless iterator of uint8 (B, channels, size, size). Its `notes` say what was passed over.

    Raises:
        FileNotFoundError: if `path` is no folder or holds no image.
        ValueError: if channels is neither 1 nor 3, or another setting is out of range.
        ImageFileError: on next(), when a file cannot be read, or is coloured and channels is 1.
    """
    if channels not in (1, 3):
        raise ValueError(f"channels={channels}; expected 1 (grey) or 3 (RGB).")
    folder = as_path(path)
    if not folder.is_dir():
        raise FileNotFoundError(f"'{folder}' is not a folder.\nCheck the path; it has to hold image files.")
    files, notes = find_images(folder)
    value_range = checked_range(value_range)
    return StreamedBatches(
        files,
        size,
        batch_size,
        seed,
        device,
        channels,
        workers,
        value_range,
        (*notes, *_shape_note(files, size)),
    )


def _shape_note(files: list[Path], size: int, most: int = 200) -> list[str]:
    """A sentence about images that will be squeezed, from some of the files: opening all would take long."""
    looked_at = files[:: -(-len(files) // most)]
    sizes = [header.size for header in map(image_header, looked_at) if header]
    oblong = sum(width != height for width, height in sizes)
    if not oblong:
        return []
    return [f"{oblong} of {len(sizes)} images looked at are not square; such are squeezed to {size}x{size}."]


__all__ = ["Augment", "Batches", "ImageFileError", "IndexBatches", "StreamedBatches", "stream_folder"]
