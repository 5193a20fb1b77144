"""The dual-discriminator GAN: an auto-encoder that is taught to redraw normal images well and anomalies badly.

It is supervised: labelled anomalies are half of its training images. A normal image is to be redrawn, as a whole,
in its worst patches and in its code, well enough that a discriminator of normal images takes it for real. An anomaly
is to be redrawn so badly that a binary classifier tells it by its error, and a discriminator of anomalies tells it
from real anomalies. At test time only the generator is needed: 97,744 parameters.

Source: Kim, Jeong, Choi, Seo, "GAN-based anomaly detection in imbalance problems", ECCV 2020 Workshops,
LNCS 12540, doi 10.1007/978-3-030-65414-6_11.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from adlib import losses, scores
from adlib.detectors import supervised
from adlib.detectors.base import Examination
from adlib.detectors.phases import StepCounter
from adlib.detectors.shapes import square_side
from adlib.detectors.supervised import SupervisedDetector, one_cycle, set_rate
from adlib.models.dual_discriminator import DualDiscriminator, DualGenerator


@dataclass(frozen=True)
class Config(supervised.Config):
    """Settings of the dual-discriminator GAN.

    reconstruction, abc, adversarial, patch, latent, anomaly_adversarial: weights of the generator's six losses; a loss
        of weight 0 is not computed, and a discriminator whose loss weight is 0 is not trained.
    normalisation: "image" or "batch", see `adlib.models.dual_discriminator`.
    mixed: normal images and anomalies go through the networks in one batch. False sends them one after the other:
        the statistics of BatchNorm then differ between the two, which tells the networks which of them they see.
    turns: each step takes normal images or anomalies, with equal chance, instead of both.
    shared: one discriminator judges both groups, in the place of two: for it every image of the batch is real and every
        reconstruction fake, while the generator wants its answers to be 1 for normal images and 0 for anomalies. This
        is what the paper argues against, for a comparison; no paper has it.
    halve_every: steps after which the learning rate is halved; None takes one cycle up and down over the run.

    Not as printed. In `book`: `steps` 1,000 instead of 3,600,000; `batch_size` 32 instead of 1, and as many anomalies
    in the same step; `turns` False instead of True; `normalisation` batch instead of image; `learning_rate` 0.004
    instead of 0.0001; `halve_every` None instead of 600,000: one cycle, up and down, takes the place of the halvings;
    `augmentation` none instead of crop. The ledger of chapter 3 trains on MNIST with the paper's crop, on Fashion-MNIST
    and CIFAR-10 with crop_mirror, where the paper has flips and quarter turns, and on CIFAR-10 changes of colour, too
    (crop_turn, crop_turn_colour), and on metal with turn, as the paper. In `paper` length and `augmentation` are those
    of MNIST for every set: for the others pass `augmentation`, and for CIFAR-10 steps=3_000_000, halve_every=500_000.
    """

    score: str = "error"
    steps: int = 1000
    batch_size: int = 32
    checkpoints: int = 4
    precision: str = "fp32"  # networks so small gain nothing from bf16
    reconstruction: float = 1.5  # Table 2, as the next five
    abc: float = 0.5
    adversarial: float = 0.5
    patch: float = 1.5
    latent: float = 0.5
    anomaly_adversarial: float = 1.0
    normalisation: str = "batch"
    mixed: bool = True
    turns: bool = False
    shared: bool = field(default=False, metadata={"before": False})
    learning_rate: float = 4e-3
    halve_every: int | None = None
    betas: tuple[float, float] = (0.5, 0.999)  # not published

    @classmethod
    def smoke(cls) -> Config:
        """Seconds on any machine."""
        return cls(steps=12, batch_size=8, precision="fp64")

    @classmethod
    def live(cls) -> Config:
        """A third of the steps: ten seconds on one core."""
        return cls(steps=300, checkpoints=1)

    @classmethod
    def book(cls) -> Config:
        """Half a minute on one core: 32 normal images and 32 anomalies a step, one cycle of a large rate."""
        return cls()

    @classmethod
    def paper(cls) -> Config:
        """Section 4: batches of 1, 300 epochs of 12,000 images, Adam 1e-4 halved every 50 epochs.

        BatchNorm at batch size 1, used in training mode at test too, is the normalisation "image".
        """
        return cls(
            steps=3_600_000,
            batch_size=1,
            checkpoints=6,
            turns=True,
            learning_rate=1e-4,
            halve_every=600_000,
            normalisation="image",
            augmentation="crop",
        )


class DualDiscriminatorGan(SupervisedDetector):
    """Scores "error" (the paper's) and "worst_patch". Images are square, the side a multiple of 16 from 32 on."""

    name = "dual_discriminator"
    title = "dual discriminator"
    loss_names = (
        *("reconstruction", "patch", "latent", "adversarial", "abc", "anomaly_adversarial"),
        *("normal_discriminator", "anomaly_discriminator"),
    )
    score_names = ("error", "worst_patch")
    config: Config
    Config = Config

    def build(self) -> dict[str, nn.Module]:
        side = square_side(self.image_shape, "the dual-discriminator GAN")
        if side < 32 or side % 16:
            raise ValueError(
                f"image side {side} cannot be halved four times and keep 2 pixels: use 32, 48, 64 or another multiple "
                "of 16; load(..., size=32) resizes."
            )
        channels, norm = self.image_shape[0], self.config.normalisation
        judges = dict.fromkeys(self._judges.values())  # each name once
        return {
            "generator": DualGenerator(channels, norm),
            **{name: DualDiscriminator(channels, norm) for name in judges},
            "counter": StepCounter(),
        }

    @property
    def _judges(self) -> dict[str, str]:
        """Group -> the name of its discriminator."""
        if self.config.shared:
            return {"normal": "discriminator", "anomaly": "discriminator"}
        return {"normal": "normal_discriminator", "anomaly": "anomaly_discriminator"}

    def build_optimisers(self) -> dict[str, torch.optim.Optimizer]:
        rate, betas = self.config.learning_rate, self.config.betas
        trained = ["generator", *dict.fromkeys(self._judges[group] for group in self._judged)]
        return {name: self.adam(self.networks[name], rate, betas) for name in trained}

    @property
    def _judged(self) -> list[str]:
        """Groups that have an adversarial loss."""
        weights = {"normal": self.config.adversarial, "anomaly": self.config.anomaly_adversarial}
        return [group for group, weight in weights.items() if weight > 0]

    def training_step(self, images: Tensor) -> dict[str, Tensor]:
        self._move_rate()
        groups = {"normal": images, "anomaly": self.draw_anomalies(len(images))}
        if self.config.turns:
            groups.pop("normal" if torch.rand((), generator=self.generator) < 0.5 else "anomaly")
        redrawn = self._redraw(groups)
        terms: dict[str, tuple[float, Tensor]] = {}
        opponents: dict[str, Tensor] = {}
        together = self._discriminate(redrawn, opponents) if self.config.shared else {}
        for group, (real, image, latent) in redrawn.items():
            normal = group == "normal"
            terms |= self._normal_terms(real, image, latent) if normal else self._anomaly_terms(real, image)
            maps = together or self._discriminate({group: redrawn[group]}, opponents)
            if group in maps and normal:
                terms["adversarial"] = self.config.adversarial, losses.normal_adversarial_loss(maps[group])
            elif group in maps:
                weight = self.config.anomaly_adversarial
                terms["anomaly_adversarial"] = weight, losses.anomaly_adversarial_loss(maps[group])
        weighted = [weight * loss for weight, loss in terms.values() if weight]
        own = {"generator": sum(weighted[1:], start=weighted[0])} if weighted else {}
        self.descend(**own, **opponents)
        return {name: loss.detach() for name, (_, loss) in terms.items()} | {
            name: loss.detach() for name, loss in opponents.items()
        }

    def _move_rate(self) -> None:
        counter, config = self.part("counter", StepCounter), self.config
        counter.count += 1
        if config.halve_every is None:
            set_rate(self.optimisers, one_cycle(counter.count, config.steps, config.learning_rate))
        else:
            set_rate(
                self.optimisers, config.learning_rate * 0.5 ** ((counter.count - 1) // config.halve_every)
            )

    def _redraw(self, groups: dict[str, Tensor]) -> dict[str, tuple[Tensor, Tensor, Tensor]]:
        """Group -> (images, their reconstructions, their codes)."""
        generator = self.networks["generator"]
        if not self.config.mixed:
            return {group: (images, *generator(images)) for group, images in groups.items()}
        drawn = generator(torch.cat(list(groups.values())))
        parts = [part.split([len(images) for images in groups.values()]) for part in drawn]
        return dict(zip(groups, zip(groups.values(), *parts)))

    def _normal_terms(self, real: Tensor, redrawn: Tensor, latent: Tensor) -> dict[str, tuple[float, Tensor]]:
        config = self.config
        errors = losses.reconstruction_errors(real, redrawn)
        terms = {"reconstruction": (config.reconstruction, errors.mean())}
        if config.patch:
            terms["patch"] = config.patch, losses.patch_loss(real, redrawn)
        if config.latent:
            latent_again = self.part("generator", DualGenerator).encode(redrawn)[-1]
            terms["latent"] = config.latent, losses.latent_l1_loss(latent, latent_again)
        return terms

    def _anomaly_terms(self, real: Tensor, redrawn: Tensor) -> dict[str, tuple[float, Tensor]]:
        if not self.config.abc:
            return {}
        return {"abc": (self.config.abc, losses.abc_loss(losses.reconstruction_errors(real, redrawn)))}

    def _discriminate(
        self, redrawn: dict[str, tuple[Tensor, Tensor, Tensor]], opponents: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        """Group -> its discriminator's maps of the reconstructions; what that minimises itself goes into `opponents`.

        Groups that are given together go through one discriminator in one batch.
        """
        judged = {group: redrawn[group] for group in self._judged if group in redrawn}
        if not judged:
            return {}
        pairs = [each for real, image, _ in judged.values() for each in (real, image)]
        name = self._judges[next(iter(judged))]
        maps = self.networks[name](torch.cat(pairs)).split([len(image) for image in pairs])
        own = [losses.lsgan_discriminator_loss(*pair) for pair in zip(maps[::2], maps[1::2])]
        opponents[name] = sum(own[1:], start=own[0])
        return dict(zip(judged, maps[1::2]))

    def inference_step(self, images: Tensor) -> Examination:
        redrawn = self.networks["generator"](images).image
        maps = scores.residual_map(images, redrawn)
        errors = {
            "error": losses.reconstruction_errors(images, redrawn),
            "worst_patch": scores.worst_patch(maps),
        }
        return Examination(errors, maps, redrawn)
