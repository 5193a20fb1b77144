"""Data: a catalogue of image sets, typed and sealed splits, and batches cut from memory.

>>> from adlib.data import load, Batches, to_symmetric
>>> split = load("elpv/mono", size=64)
>>> batch = next(Batches(split.train.images, batch_size=32, seed=0))      # uint8 (32, 1, 64, 64)
>>> to_symmetric(batch)                                                   # float32 in [-1, 1]

A set takes three steps: its loader delivers a Collection (images and everything known about them), `make_split` cuts
that into a Split (train, validation-normal, sealed test), and Batches gives the training its batches.
"""

from adlib.data.augment import AUGMENTATIONS
from adlib.data.batches import Augment, Batches, StreamedBatches, stream_folder
from adlib.data.catalogue import DATA_SETS, catalogue, load
from adlib.data.collection import Collection
from adlib.data.cutting import make_split
from adlib.data.images import ImageFileError
from adlib.data.inputs import ImageBatch, ImageListing, ImageSource, as_images, find_images, image_from_file
from adlib.data.ranges import to_symmetric, to_uint8, to_unit
from adlib.data.registry import DataSet, Entry
from adlib.data.splits import (
    LabelledAnomalies,
    SealedTest,
    Split,
    SplitSettings,
    TrainImages,
    Truth,
    ValidationImages,
)

__all__ = [
    "AUGMENTATIONS",
    "DATA_SETS",
    "Augment",
    "Batches",
    "Collection",
    "DataSet",
    "Entry",
    "ImageBatch",
    "ImageFileError",
    "ImageListing",
    "ImageSource",
    "LabelledAnomalies",
    "SealedTest",
    "Split",
    "SplitSettings",
    "StreamedBatches",
    "TrainImages",
    "Truth",
    "ValidationImages",
    "as_images",
    "catalogue",
    "find_images",
    "image_from_file",
    "load",
    "make_split",
    "stream_folder",
    "to_symmetric",
    "to_uint8",
    "to_unit",
]
