"""What every detector promises: fit, score, map, verdict, save, load."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from adlib import training
from adlib.data import (
    Augment,
    ImageSource,
    LabelledAnomalies,
    StreamedBatches,
    TrainImages,
    ValidationImages,
    as_images,
    to_symmetric,
    to_uint8,
)
from adlib.data.outputs import refuse_as_output
from adlib.detectors.registry import detector_class, register
from adlib.devices import network_dtype, pick_device, threads_for
from adlib.environment import source_hash, versions
from adlib.errors import unknown_name
from adlib.files import read_tensors, write_tensors
from adlib.folding import FoldedNetworks
from adlib.training import History, Schedule

M = TypeVar("M", bound=nn.Module)
THRESHOLD_QUANTILE = 0.95  # of the validation-normal scores: about 5 % false alarms by construction
FORMAT = 2  # of saved files; 1: without format, version and digest
PORTION_PIXELS = 2**20  # of images that are scored together: 64 of 128 x 128
MAP_QUANTILE = 0.999  # of the validation-normal pixels: the top of the shared colour scale
# Networks that score in the place of a detector's own, by its id(); of this thread, so that others may score too.
_SCORING: ContextVar[Mapping[int, nn.ModuleDict]] = ContextVar("scoring", default=MappingProxyType({}))


class Examination(NamedTuple):
    """Everything a detector says about a batch, from one forward pass.

    scores: name -> (N,), larger is more anomalous. maps: (N, H, W), larger is more anomalous.
    reconstructions: (N, C, H, W), nominally in [-1, 1] (networks without a bound at their end may overshoot); for
        detectors that do not reconstruct, the images themselves.
    other_maps: name -> (N, H, W), other readings of the same pass; measured, and shown where a page asks for them.
    """

    scores: dict[str, Tensor]
    maps: Tensor
    reconstructions: Tensor
    other_maps: Mapping[str, Tensor] = MappingProxyType({})


@dataclass(frozen=True)
class Config:
    """Settings that every detector has; each detector adds its own and fills the four profiles.

    steps, batch_size, checkpoints, precision, ema_decay: see `adlib.training.Schedule`.
    score: name of the score that `anomaly_score` and `predict` use.

    `paper()` holds what is printed, as far as anything is. Where a profile departs from it, the settings of the
    detector say so under "Not as printed"; the page "Printed settings, and ours" has every setting with its source. Not
    as printed in any detector that trains by steps: `ema_decay` 0.99 instead of 0.0, as no paper averages weights.
    """

    score: str
    steps: int
    batch_size: int = 32
    checkpoints: int = 8
    precision: str = "fp32"
    # Records older than this field ended with the last weights; at that value it is no part of a record's id.
    ema_decay: float = field(default=0.99, metadata={"before": 0.0})

    def schedule(self) -> Schedule:
        """The part of the settings that the training loop reads."""
        return Schedule(**{field.name: getattr(self, field.name) for field in fields(Schedule)})


@dataclass(frozen=True)
class AtOnceConfig(Config):
    """Settings of a detector that learns from all images at once, not by steps."""

    steps: int = 1
    ema_decay: float = 0.0


Settings = Config  # within `Detector`, "Config" is each detector's own class of settings


class Detector(ABC):
    """An anomaly detector for images of one shape.

    Args:
        image_shape: (C, H, W) of the images to come.
        config: the detector's settings.
        seed: fixes initialisation, batch order and every random draw in training.
        device: "auto" takes CUDA, then MPS, then the CPU.

    Raises:
        ValueError: a shape, seed or setting that no detector can work with.

    A subclass builds `networks` and `optimisers`, takes one step in `training_step` and looks at images in
    `inference_step`; everything else stands here.
    """

    name: ClassVar[str]  # for code and records
    title: ClassVar[str]  # for pages and figures
    config: Config
    Config: ClassVar[type[Config]]
    localises: ClassVar[bool] = True  # False: the map only repeats the score, and pixel metrics do not apply
    searches: ClassVar[bool] = False  # scoring one image is an optimisation of its own, as in AnoGAN
    borrows: ClassVar[bool] = False  # asks a network that was trained on photographs, see adlib.features
    learns_from_anomalies: ClassVar[bool] = False  # supervised: `fit` needs labelled anomalies
    # What `training_step` returns and what an image can be scored by, for drawings of the networks; empty: not drawn.
    loss_names: ClassVar[tuple[str, ...]] = ()
    score_names: ClassVar[tuple[str, ...]] = ()
    # Names of the networks that end with averaged weights; None: all. Detectors that train in phases name those of
    # the last phase: the others are fixed by then, and their weights must stay as that phase has used them.
    averaged: ClassVar[tuple[str, ...] | None] = None
    # How often a weight is used, beside a network that halves its maps with each layer; see adlib.devices.threads_for.
    reuse: ClassVar[float] = 1.0

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        config: Settings,
        seed: int = 0,
        device: str | torch.device = "auto",
    ) -> None:
        if len(image_shape) != 3 or image_shape[0] not in (1, 3) or min(image_shape) < 1:
            raise ValueError(
                f"image_shape is {tuple(image_shape)}; expected (channels, height, width) with 1 (grey) or 3 (RGB) "
                "channels: pass split.image_shape."
            )
        if seed < 0:
            raise ValueError(f"seed is {seed}; expected 0 or a positive whole number.")
        config.schedule()  # refuses settings that cannot be trained with, before anything is built
        channels, height, width = image_shape
        self.image_shape = (channels, height, width)
        self.config = config
        self.seed = seed
        self.device = pick_device(device, config.precision)
        self.dtype = network_dtype(config.precision)
        self.generator = torch.Generator().manual_seed(seed)
        self.history: History | None = None
        self.thresholds: dict[str, float] = {}
        self.map_scale: float | None = None
        self.other_scales: dict[str, float] = {}  # of the Examination's other_maps, by name
        self.anomalies: Tensor | None = None
        self.value_range: tuple[float, float] | None = (
            None  # of images of more than 8 bits: what is 0 and 255
        )
        self._folded = FoldedNetworks()
        with self.seeded(), _default_dtype(self.dtype):
            self.networks = nn.ModuleDict(self.build())
        self.networks.to(self.device).to(memory_format=torch.channels_last)

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        if "name" in cls.__dict__:
            register(cls)

    # ------------------------------------------------------------------ what a subclass writes
    @abstractmethod
    def build(self) -> dict[str, nn.Module]:
        """The networks by name, freshly initialised (the random state is already seeded)."""

    def build_optimisers(self) -> dict[str, torch.optim.Optimizer]:
        """The optimisers by name; none for detectors that do not train by steps."""
        return {}

    @property
    def networks(self) -> nn.ModuleDict:
        """The networks by name; while images are scored, a copy with BatchNorm folded into the convolutions."""
        return _SCORING.get().get(id(self), self._networks)

    @networks.setter
    def networks(self, networks: nn.ModuleDict) -> None:
        self._networks = networks

    @functools.cached_property
    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        """The optimisers by name, made when a training asks for them: torch imports its compiler for the first one."""
        return self.build_optimisers()

    @property
    def averaged_networks(self) -> nn.ModuleDict:
        """The networks whose weights the loop averages, by name."""
        return nn.ModuleDict({name: self.networks[name] for name in self.averaged or self.networks})

    def training_step(self, images: Tensor) -> dict[str, Tensor]:
        """One update from a batch (B, C, H, W) in [-1, 1] on the detector's device; returns detached scalar losses.

        Must not read a value (`.item()`, `if loss < …`), which would synchronise the GPU: decisions on values belong
        in `after_step`.
        """
        raise NotImplementedError(f"{self.name} does not train by steps")

    def after_step(self, losses: dict[str, float]) -> None:  # noqa: B027 - most detectors decide nothing here
        """Called after every step with the losses as numbers."""

    @abstractmethod
    def inference_step(self, images: Tensor) -> Examination:
        """Scores, maps and reconstructions of a batch (B, C, H, W) in [-1, 1], networks in evaluation mode."""

    def score_step(self, images: Tensor, score: str) -> Tensor:
        """One score (B,) of a batch (B, C, H, W) in [-1, 1]; for detectors whose other scores cost more than it.

        Args:
            images: in [-1, 1]. score: a name of `inference_step`'s scores.
        """
        return self._score_of(self.inference_step(images), score)

    # ------------------------------------------------------------------ helpers for subclasses
    def part(self, name: str, kind: type[M]) -> M:
        """One of the networks, known to be of a class: for its attributes."""
        network = self.networks[name]
        assert isinstance(network, kind)
        return network

    @contextlib.contextmanager
    def seeded(self) -> Iterator[None]:
        """Global random state seeded from this detector's own generator, and put back afterwards."""
        seed = int(torch.randint(2**62, (), generator=self.generator))
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(seed)  # of the processor and of every card
            yield

    def draw_normal(self, *shape: int) -> Tensor:
        """Standard normal numbers from the detector's generator, in its type, on its device."""
        return torch.randn(shape, generator=self.generator, dtype=self.dtype).to(self.device)

    def draw_uniform(self, *shape: int) -> Tensor:
        """Numbers uniform in [0, 1) from the detector's generator, in its type, on its device."""
        return torch.rand(shape, generator=self.generator, dtype=self.dtype).to(self.device)

    def adam(
        self, network: nn.Module, learning_rate: float, betas: tuple[float, float] = (0.9, 0.999)
    ) -> torch.optim.Optimizer:
        """Adam over one network's parameters, fused where the device has it."""
        fused = self.device.type in ("cpu", "cuda")
        return torch.optim.Adam(network.parameters(), lr=learning_rate, betas=betas, fused=fused)

    def descend(self, **losses: Tensor) -> None:
        """One step of each named optimiser down its own loss, which reaches its own parameters and no others.

        A generator's loss may flow through the discriminator: it moves nothing there. All gradients are taken before
        anything moves.

        Args:
            losses: name of an optimiser -> scalar.
        """
        for number, (name, loss) in enumerate(losses.items(), 1):
            optimiser = self.optimisers[name]
            optimiser.zero_grad()
            own = [parameter for group in optimiser.param_groups for parameter in group["params"]]
            loss.backward(inputs=own, retain_graph=number < len(losses))
        for name in losses:
            self.optimisers[name].step()

    def normalise(self, images: Tensor) -> Tensor:
        """uint8 (N, C, H, W) -> floats of the detector's type in [-1, 1] on its device."""
        images = to_symmetric(images.to(self.device), self.dtype)
        return images.contiguous(memory_format=torch.channels_last)

    # ------------------------------------------------------------------ what a user calls
    def fit(
        self,
        train: TrainImages | StreamedBatches | ImageSource,
        validation: ValidationImages | None = None,
        *,
        anomalies: LabelledAnomalies | None = None,
        augment: Augment | None = None,
        progress: str = "auto",
        on_checkpoint: Callable[[Detector, int], None] | None = None,
        resume: str | Path | None = None,
    ) -> Detector:
        """Train on normal images, then learn thresholds and map scale from validation-normal ones.

        Args:
            train: training images, `split.train`, uint8 (N, C, H, W) or whatever `adlib.data.as_images` takes; or
                `stream_folder(...)` for sets larger than memory, with this detector's batch size and seed.
            validation: `split.validation`; without it the detector scores but gives no verdicts.
            anomalies: `split.anomalies`, for detectors that learn from labelled anomalies, and for them only.
            augment: changes each training batch: (uint8 (B, C, H, W) on the device, generator) -> the same shape.
            progress: "auto", "notebook", "terminal" or "quiet".
            on_checkpoint: called with (detector, step) at every checkpoint.
            resume: safetensors file to go on from, written as training goes.

        Returns:
            The detector itself.

        Raises:
            ValueError: images of another shape, or a stream of another batch size or seed. TypeError: images that
                are not uint8, validation images that did not come from a split, a stream for a detector that
                does not train by steps, or anomalies for one that learns from normal images only.
        """
        self._take_anomalies(anomalies)
        images = self._training_images(train, augment)
        normals = None if validation is None else self._checked(_validation_only(validation).images)
        self.thresholds, self.map_scale, self.other_scales = {}, None, {}  # of an earlier fit
        self.history = History(precision="fp64" if self.dtype == torch.float64 else "fp32")
        with self._threads(self.config.batch_size) if self.optimisers else contextlib.nullcontext():
            self._fit(
                images,
                normals,
                augment=augment,
                progress=progress,
                on_checkpoint=on_checkpoint,
                resume=resume,
            )
        self.networks.eval()
        if validation is not None:
            self.calibrate(validation)
        return self

    def _take_anomalies(self, anomalies: LabelledAnomalies | None) -> None:
        if not self.learns_from_anomalies:
            if anomalies is not None:
                raise TypeError(
                    f"{self.name} learns from normal images only; leave `anomalies` out, or take a supervised "
                    "detector such as dual_discriminator."
                )
            return
        if not isinstance(anomalies, LabelledAnomalies) or len(anomalies) == 0:
            raise TypeError(
                f"{self.name} learns from labelled anomalies and got {anomalies!r}: load(..., anomalies=1.0) puts them "
                "into the split, fit(split.train, split.validation, anomalies=split.anomalies) takes them."
            )
        self.anomalies = self._checked(anomalies.images)

    def _training_images(
        self, train: TrainImages | StreamedBatches | ImageSource, augment: Augment | None
    ) -> Tensor | StreamedBatches:
        if (isinstance(train, StreamedBatches) or augment is not None) and not self.optimisers:
            raise TypeError(
                f"{self.name} learns from all images at once, not by steps; pass images in memory, such as "
                "split.train, without augment."
            )
        if isinstance(train, (TrainImages, StreamedBatches)):
            self.value_range = train.value_range
        if not isinstance(train, StreamedBatches):
            return self._checked(train.images if isinstance(train, TrainImages) else train)
        if train.image_shape != self.image_shape:
            raise ValueError(
                f"the stream gives images of {train.image_shape}; this {self.name} was made for "
                f"{self.image_shape} (channels, height, width). Make either anew with the other's."
            )
        return train

    def _fit(self, images: Tensor | StreamedBatches, validation: Tensor | None, **how: Any) -> None:
        self.history = training.fit(self, images, self.config.schedule(), validation=validation, **how)

    def calibrate(self, validation: ValidationImages) -> None:
        """Learn a threshold per score (95th percentile) and each map's scale (99.9th) from validation-normal images.

        Raises:
            ValueError: a score is no finite number.
        """
        seen = self.examine(_validation_only(validation).images)
        _refuse_nonfinite(self._score_of(seen, self.config.score), "no threshold can be set")
        self.thresholds = {
            name: float(torch.quantile(score.double(), THRESHOLD_QUANTILE))
            for name, score in seen.scores.items()
        }
        self.map_scale = _map_scale(seen.maps)
        self.other_scales = {name: _map_scale(maps) for name, maps in seen.other_maps.items()}

    def examine(self, images: ImageSource, batch_size: int | None = None) -> Examination:
        """Scores, maps and reconstructions of images, in portions, on the CPU.

        Args:
            images: uint8 (N, C, H, W), or whatever `adlib.data.as_images` takes: paths, a folder, Pillow images, camera
                frames as numpy arrays in RGB (OpenCV gives BGR: image[..., ::-1]). What had to be converted or squeezed
                is said in a warning.
            batch_size: images per portion; it does not change a score (beyond float rounding). None: 64, and fewer
                above 128 x 128 pixels, where larger portions take more memory and no less time.
        """
        images = self._checked(images, 3)
        with self._scoring(len(images)):
            parts = [self.inference_step(part) for part in self._portions(images, batch_size)]

        def whole(tensors: Iterable[Tensor]) -> Tensor:
            return torch.cat([tensor.to("cpu", self.dtype) for tensor in tensors])

        return Examination(
            scores={name: whole(part.scores[name] for part in parts) for name in parts[0].scores},
            maps=whole(part.maps for part in parts),
            reconstructions=whole(part.reconstructions for part in parts),
            other_maps={name: whole(part.other_maps[name] for part in parts) for name in parts[0].other_maps},
        )

    def anomaly_score(self, images: ImageSource) -> Tensor:
        """(N,) scores by `config.score`; larger means more anomalous. images: as in `examine`."""
        images = self._checked(images, 3)
        with self._scoring(len(images)):
            parts = [self.score_step(part, self.config.score) for part in self._portions(images)]
        return torch.cat([part.to("cpu", self.dtype) for part in parts])

    def anomaly_map(self, images: ImageSource) -> Tensor:
        """(N, H, W) maps; larger means more anomalous. Show them on one scale, 0 to `map_scale`."""
        return self.examine(images).maps

    def reconstruct(self, images: ImageSource) -> Tensor:
        """Reconstructions, uint8 (N, C, H, W)."""
        return to_uint8(self.examine(images).reconstructions)

    def predict(self, images: ImageSource) -> Tensor:
        """(N,) bool verdicts: score above the threshold learnt from validation-normal images.

        Raises:
            RuntimeError: no threshold was learnt yet. ValueError: a score is no finite number.
        """
        if self.config.score not in self.thresholds:
            raise RuntimeError(
                f"{self.name} has no threshold yet: fit(..., validation=split.validation) or "
                "calibrate(split.validation) learns one from normal images."
            )
        scores = self.anomaly_score(images)
        _refuse_nonfinite(scores, "no verdict can be given")
        return scores > self.thresholds[self.config.score]

    def _target(self, images: Tensor) -> Tensor:
        """What reconstructions of images, (B, C, H, W), are compared with."""
        return images

    def validation_error(self, images: Tensor) -> float | None:
        """Mean absolute reconstruction error, >= 0 and rarely above 2: what checkpoints are chosen by.

        Args:
            images: validation-normals, uint8 (N, C, H, W).

        Returns:
            The error, smaller is better; None where normal images cannot tell checkpoints apart: in a phase of the
            training before the one that scores, and for classifiers, which reconstruct nothing.
        """
        images = self._checked(images, 3)
        with self._scoring(len(images)):
            errors = [self._reconstruction_errors(part) for part in self._portions(images)]
        return float(torch.cat(errors).mean())

    def _reconstruction_errors(self, images: Tensor) -> Tensor:
        residuals = self.inference_step(images).reconstructions.to(self.dtype) - self._target(images)
        return residuals.abs().flatten(1).mean(1)

    # ------------------------------------------------------------------ keeping
    def identity(self) -> str:
        """Name and a hash of shape, settings and seed: equal for equal runs."""
        text = json.dumps([self.name, self.image_shape, asdict(self.config), self.seed], sort_keys=True)
        return f"{self.name}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"

    def save(self, path: str | Path, **beside: str) -> Path:
        """Write networks, settings, thresholds and map scales as one safetensors file, atomically.

        Args:
            path: the file, by habit `*.safetensors`.
            beside: further metadata by name, for `adlib.files.read_tensors`.

        Raises:
            ValueError: the path has the ending of a photograph.
        """
        refuse_as_output(path)
        metadata = {
            "format": FORMAT,
            "version": versions().get("adlib-book", "a checkout"),
            "name": self.name,
            "image_shape": self.image_shape,
            "config": asdict(self.config),
            "seed": self.seed,
            "thresholds": self.thresholds,
            "map_scale": self.map_scale,
            "other_scales": self.other_scales,
            "value_range": self.value_range,
            "adlib": source_hash(),
        }
        return write_tensors(path, self.networks.state_dict(), {"adlib": json.dumps(metadata), **beside})

    def in_float32(self) -> Detector:
        """A copy on the CPU, ready to score, whose weights are float32: what was trained in float64, as it is used."""
        config = replace(self.config, precision="fp32")
        copy = type(self)(self.image_shape, config, self.seed, "cpu")
        weights = self.networks.state_dict().items()
        copy.networks.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in weights})
        copy.networks.eval()
        copy.thresholds, copy.map_scale = self.thresholds, self.map_scale
        copy.other_scales, copy.value_range = self.other_scales, self.value_range
        return copy

    @staticmethod
    def load(path: str | Path, device: str | torch.device = "auto") -> Detector:
        """The detector that `save` wrote, ready to score.

        Raises:
            FileNotFoundError: no such file. ValueError: a file of another kind, damaged, changed since it was written,
                or of a newer version; an unknown detector, or one whose settings or networks this version does not
                know.
        """
        tensors, header = read_tensors(path)
        if "adlib" not in header:
            raise ValueError(
                f"{path} holds tensors but no adlib detector; write one with detector.save(...)."
            )
        try:
            return Detector._restored(path, tensors, json.loads(header["adlib"]), device)
        except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
            raise ValueError(
                f"{path} holds no detector that can be read ({type(error).__name__}: {error}). It was not written by "
                "detector.save(...), or changed since; fit it again."
            ) from error

    @staticmethod
    def _restored(
        path: str | Path, tensors: dict[str, Tensor], metadata: dict[str, Any], device: str | torch.device
    ) -> Detector:
        if metadata.get("format", 1) > FORMAT:
            raise ValueError(
                f"{path} was written by a newer version of adlib ({metadata.get('version')}, format "
                f"{metadata['format']}); this one reads up to format {FORMAT}. Update adlib-book, or "
                "fit again."
            )
        kind = detector_class(metadata["name"])
        settings: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in metadata["config"].items()
        }
        unknown: list[str] = sorted(set(settings) - {field.name for field in fields(kind.Config)})
        if not unknown:
            detector = kind(metadata["image_shape"], kind.Config(**settings), metadata["seed"], device)
            try:
                missing, more = detector.networks.load_state_dict(tensors, strict=False)
                unknown = [*missing, *more]
            except RuntimeError as error:  # of another shape
                unknown = [str(error).splitlines()[-1].strip()]
        if unknown:
            raise ValueError(
                f"{path} was written by another version of the package (sources {metadata.get('adlib')}; these are "
                f"{source_hash()}) and does not fit this {kind.name}: {', '.join(unknown[:3])}. Fit it again, or "
                "check out the version that wrote it."
            )
        detector.networks.eval()
        detector.thresholds, detector.map_scale = metadata["thresholds"], metadata["map_scale"]
        detector.other_scales = metadata.get("other_scales", {})
        detector.value_range = None if (scale := metadata.get("value_range")) is None else tuple(scale)
        return detector

    def _score_of(self, seen: Examination, score: str) -> Tensor:
        """One score by name."""
        if score not in seen.scores:
            raise unknown_name(f"score of {self.name}", score, seen.scores)
        return seen.scores[score]

    @contextlib.contextmanager
    def _scoring(self, count: int) -> Iterator[None]:
        """Evaluation mode, no gradients, BatchNorm folded, and threads for so many images."""
        self.networks.eval()
        token = _SCORING.set({**_SCORING.get(), id(self): self._folded.of(self.networks)})
        try:
            with torch.no_grad(), self._threads(min(count, self._portion)):
                yield
        finally:
            _SCORING.reset(token)

    def _threads(self, images: int) -> contextlib.AbstractContextManager[None]:
        """Threads for a batch of so many images."""
        if self.borrows:  # a large network, which is none of its own
            return threads_for(math.inf, self.device)
        weights = sum(parameter.numel() for parameter in self._networks.parameters())
        return threads_for(self.reuse * weights * math.prod(self.image_shape[1:]) * images, self.device)

    @property
    def _portion(self) -> int:
        """How many images are scored together."""
        return min(64, max(1, PORTION_PIXELS // math.prod(self.image_shape[1:])))

    def _portions(self, images: Tensor, batch_size: int | None = None) -> Iterator[Tensor]:
        """Images, uint8, as batches in [-1, 1] on the device."""
        return map(self.normalise, images.split(self._portion if batch_size is None else batch_size))

    def _checked(self, images: ImageSource, stacklevel: int = 4) -> Tensor:
        if not isinstance(images, Tensor):
            batch = as_images(images, self.image_shape, value_range=self.value_range)
            for note in batch.notes:
                warnings.warn(note, stacklevel=stacklevel)
            images = batch.images
        if images.dtype != torch.uint8:
            raise TypeError(
                f"images are {images.dtype}; expected a uint8 tensor (N, C, H, W) with values 0 to 255. "
                "adlib.load(...) gives such images, adlib.data.as_images(...) makes them of frames and files."
            )
        if images.ndim != 4 or tuple(images.shape[1:]) != self.image_shape or len(images) == 0:
            expected = "(N, " + ", ".join(map(str, self.image_shape)) + ") with N >= 1"
            raise ValueError(
                f"images have shape {tuple(images.shape)}; this {self.name} was made for {expected}. "
                "One image needs a leading dimension: image[None]."
            )
        return images

    def __repr__(self) -> str:
        count = sum(p.numel() for p in self.networks.parameters())
        shape = " x ".join(map(str, self.image_shape))
        return f"{type(self).__name__}(images {shape}, {count:,} parameters, {self.device}, seed {self.seed})"


@contextlib.contextmanager
def _default_dtype(dtype: torch.dtype) -> Iterator[None]:
    """Modules made inside have weights of this type, drawn in it."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


class AtOnceDetector(Detector):
    """A detector that learns from all images at once, not by steps. It writes `_learn` in the place of a step."""

    def _fit(self, images: Tensor | StreamedBatches, validation: Tensor | None, **how: Any) -> None:
        assert isinstance(images, Tensor)  # `fit` refuses streams for detectors without optimisers
        self._learn(images)

    @abstractmethod
    def _learn(self, images: Tensor) -> None:
        """Learn from the training images, uint8 (N, C, H, W)."""


def _validation_only(validation: ValidationImages) -> ValidationImages:
    if not isinstance(validation, ValidationImages):
        raise TypeError(
            f"thresholds are learnt from validation-normal images only, not from {type(validation).__name__}. "
            "Pass split.validation (never test images: a threshold that has seen them is no longer a test)."
        )
    return validation


def _refuse_nonfinite(scores: Tensor, consequence: str) -> None:
    """NaN is above no threshold: every image would pass as normal."""
    if not scores.isfinite().all():
        which = int(scores.isfinite().logical_not().nonzero()[0])
        raise ValueError(
            f"the score of image {which} is {float(scores[which])}, so {consequence}. The training has diverged: fit "
            "again, with a lower learning rate or another seed."
        )


def _map_scale(maps: Tensor) -> float:
    pixels = maps.flatten().double()
    return float(pixels.kthvalue(max(1, round(MAP_QUANTILE * pixels.numel()))).values)
