"""A one-class detector by self-supervision: it learns to tell by how many quarter turns an image was turned.

Every normal image is shown in four positions, and a classifier learns which is which. That needs no labels: who turns
an image knows by how much. To tell the positions apart it has to learn what the images show. With images of another
kind it is less sure, and that is the score: the mean negative log-probability of the right turn over the four.

It cannot work where the four positions look alike, on a texture without a direction or a part that is round; nor does
it say where.

Sources: Gidaris, Singh, Komodakis 2018 (four quarter turns as a task); Golan and El-Yaniv 2018, "Deep anomaly
detection using geometric transformations" (72 transformations, of which the quarter turns are four, as a detector).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adlib.detectors import base
from adlib.detectors.base import Detector, Examination
from adlib.detectors.shapes import square_side
from adlib.models.wide_residual import WideResidualClassifier

TURNS = 4  # by 0, 90, 180 and 270 degrees
SMALLEST = 8  # pixels


@dataclass(frozen=True)
class Config(base.Config):
    """Settings of the classifier of turns.

    batch_size: images of a step; each is shown in its four positions.
    widening: of the network, see `adlib.models.wide_residual`. learning_rate, betas: of Adam.

    Not as printed. In `book`: `steps` 1,000 instead of 7,812; `widening` 1 instead of 4. In every profile: `score`
    log_probability instead of weighed by a fitted Dirichlet distribution; the number of transformations is four (those
    of Gidaris et al.) where Golan and El-Yaniv have 72, with shifts and mirrored images; and the decay of the weights
    is left out.
    """

    score: str = "log_probability"
    steps: int = 1000
    batch_size: int = 32
    checkpoints: int = 4
    widening: int = 1
    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)

    def __post_init__(self) -> None:
        if self.widening < 1:
            raise ValueError(f"widening is {self.widening}; expected 1 or more.")

    @classmethod
    def smoke(cls) -> Config:
        """Seconds on any machine."""
        return cls(steps=12, batch_size=4, checkpoints=2, precision="fp64")

    @classmethod
    def live(cls) -> Config:
        """A fifth of the steps, in half the batch."""
        return cls(steps=200, batch_size=16, checkpoints=1)

    @classmethod
    def book(cls) -> Config:
        """An eighth of the steps, a quarter of the width: minutes on one core at 32 pixels."""
        return cls()

    @classmethod
    def paper(cls) -> Config:
        """The network, rate and batches of Golan and El-Yaniv: 50 epochs of the 4 x 5,000 turned images of CIFAR-10."""
        return cls(steps=7812, widening=4, checkpoints=20)


class TurnClassifier(Detector):
    """The score is "log_probability": how little sure the classifier is of the four turns, on average, >= 0.

    Images are square, from 8 pixels on. The map of an image carries its score at every pixel.
    """

    name = "turn_classifier"
    title = "classifier of turns"
    config: Config
    Config = Config
    localises = False
    reuse = 16.0  # four positions, and maps that are halved twice only

    def build(self) -> dict[str, nn.Module]:
        side = square_side(self.image_shape, "the classifier of turns")
        if side < SMALLEST:
            raise ValueError(
                f"image side {side} is too small for a turn to be seen: use {SMALLEST} pixels or more."
            )
        return {"classifier": WideResidualClassifier(self.image_shape[0], TURNS, self.config.widening)}

    def build_optimisers(self) -> dict[str, torch.optim.Optimizer]:
        config = self.config
        return {"classifier": self.adam(self.networks["classifier"], config.learning_rate, config.betas)}

    def training_step(self, images: Tensor) -> dict[str, Tensor]:
        loss = self._unsure(images).mean()
        self.descend(classifier=loss)
        return {"cross_entropy": loss.detach()}

    def _unsure(self, images: Tensor) -> Tensor:
        """Images (B, C, H, H) -> negative log-probability of the right turn, averaged over the four, (B,)."""
        lying = images.transpose(2, 3)  # what torch.rot90 gives, in operations that ONNX has
        turned = torch.cat([images, lying.flip(2), images.flip(2, 3), lying.flip(3)])
        turned = turned.contiguous(memory_format=torch.channels_last)
        right = torch.arange(TURNS, device=images.device).repeat_interleave(len(images))
        answers = self.networks["classifier"](turned).to(self.dtype)
        return F.cross_entropy(answers, right, reduction="none").view(TURNS, len(images)).mean(0)

    def inference_step(self, images: Tensor) -> Examination:
        unsure = self._unsure(images)
        maps = unsure[:, None, None].expand(-1, *images.shape[2:])
        return Examination({"log_probability": unsure}, maps, images)

    def validation_error(self, images: Tensor) -> float:
        """Mean score of validation-normals, uint8 (N, C, H, W): how little sure it is of normal images, >= 0."""
        return float(self.examine(images).scores["log_probability"].double().mean())
