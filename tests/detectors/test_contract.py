"""What every detector promises, asked of every detector there is."""

from __future__ import annotations

import dataclasses
import functools
import json

import pytest
import torch
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from adlib import load
from adlib.data import TrainImages
from adlib.detectors import Detector, detector_class, detector_names, detector_titles, make_detector
from adlib.detectors.registry import PROFILES
from adlib.files import read_tensors, write_tensors

NAMES = detector_names()
TRAINED = [name for name in NAMES if detector_class(name).training_step is not Detector.training_step]
QUICK = {"steps": 3, "checkpoints": 1}
# After three steps a network may well answer the same for every image.
pytestmark = pytest.mark.filterwarnings("ignore::adlib.detectors.collapse.CollapseWarning")


@functools.cache
def labelled():
    return load("texture/wood", size=32, seed=0, train_images=48, anomalies=0.1).anomalies


def train(detector: Detector, split, *validation, **how) -> Detector:
    """Fit on the split's normal images; supervised detectors also see a few anomalies."""
    labels = {"anomalies": labelled()} if detector.learns_from_anomalies else {}
    return detector.fit(split.train, *validation, progress="quiet", **labels, **how)


@pytest.fixture(scope="module")
def fitted(tiny_split):
    """Each detector after a few steps, made once."""
    made = {}

    def get(name: str) -> Detector:
        if name not in made:
            detector = make_detector(name, tiny_split.image_shape, "smoke", **QUICK)
            made[name] = train(detector, tiny_split, tiny_split.validation)
        return made[name]

    return get


@pytest.mark.parametrize("name", NAMES)
def test_shapes_ranges_and_names(name, fitted, tiny_split):
    detector, images = fitted(name), tiny_split.test.images[:5]
    seen = detector.examine(images)
    assert detector.config.score in seen.scores
    assert all(score.shape == (5,) and score.isfinite().all() for score in seen.scores.values())
    assert seen.maps.shape == (5, 32, 32)
    assert seen.maps.min() >= 0
    assert seen.reconstructions.shape == images.shape
    assert detector.reconstruct(images).dtype == torch.uint8
    assert detector.predict(images).dtype == torch.bool
    assert set(detector.thresholds) == set(seen.scores)


DRAWN = [name for name in NAMES if detector_class(name).loss_names]


@pytest.mark.parametrize("name", DRAWN)
def test_what_its_drawing_says_of_losses_and_scores_is_what_it_computes(name, fitted, tiny_split):
    detector = fitted(name)
    assert set(detector.history.losses) == set(detector.loss_names)
    assert set(detector.examine(tiny_split.test.images[:2]).scores) == set(detector.score_names)


def test_the_drawn_detectors_are_those_of_the_chapters():
    assert {"ganomaly", "dagan", "dual_discriminator", "sdn", "oe_sdn"} <= set(DRAWN)


@pytest.mark.parametrize("name", NAMES)
def test_a_score_does_not_depend_on_the_batch(name, fitted, tiny_split):
    """Batch size, order and duplicates: fails when BatchNorm is left in training mode or scores are min-max scaled."""
    detector, images = fitted(name), tiny_split.test.images[:7]
    together = detector.examine(images)
    order = torch.tensor([4, 0, 6, 2, 1, 5, 3])
    others = {
        "alone": detector.examine(images, batch_size=1),
        "twice": detector.examine(torch.cat([images, images])),
        "shuffled": detector.examine(images[order]),
    }
    for key, score in together.scores.items():
        assert_close(others["alone"].scores[key], score, rtol=2e-4, atol=1e-6)
        assert_close(others["twice"].scores[key][:7], score, rtol=2e-4, atol=1e-6)
        assert_close(others["shuffled"].scores[key], score[order], rtol=2e-4, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_constant_images_and_a_single_image(name, fitted):
    detector = fitted(name)
    for value in (0, 128, 255):
        image = torch.full((1, *detector.image_shape), value, dtype=torch.uint8)
        assert detector.anomaly_score(image).isfinite().all()
        assert detector.anomaly_map(image).isfinite().all()


def test_a_file_of_another_version_is_refused_with_a_remedy(fitted, tmp_path):
    detector = fitted("pca")
    path = detector.save(tmp_path / "detector.safetensors")
    tensors, metadata = read_tensors(path)

    def rewritten(change):
        fields = json.loads(metadata["adlib"])
        change(fields)
        return write_tensors(path, tensors, {"adlib": json.dumps(fields)})

    Detector.load(rewritten(lambda fields: fields.pop("other_scales")))  # older than that field
    with pytest.raises(ValueError, match=r"another version .*: zzz\. Fit it again"):
        Detector.load(rewritten(lambda fields: fields["config"].update(zzz=1)))
    write_tensors(path, dict(list(tensors.items())[1:]), metadata)
    with pytest.raises(ValueError, match="another version"):
        Detector.load(path)


@pytest.mark.parametrize("name", NAMES)
def test_saved_and_loaded_it_says_the_same(name, fitted, tiny_split, tmp_path):
    detector, images = fitted(name), tiny_split.test.images[:4]
    again = Detector.load(detector.save(tmp_path / "detector.safetensors"))
    assert again.config == detector.config
    assert again.thresholds == detector.thresholds
    assert (again.map_scale, again.other_scales) == (detector.map_scale, detector.other_scales)
    assert set(detector.other_scales) == set(detector.examine(images).other_maps)
    assert_close(again.anomaly_score(images), detector.anomaly_score(images))
    assert torch.equal(again.predict(images), detector.predict(images))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_same_seed_same_detector_another_seed_another(name, tiny_split):
    def score(seed: int) -> torch.Tensor:
        detector = make_detector(name, tiny_split.image_shape, "smoke", seed=seed, **QUICK)
        return train(detector, tiny_split).anomaly_score(tiny_split.test.images[:4])

    assert torch.equal(score(0), score(0))
    if name in TRAINED:
        assert not torch.equal(score(0), score(1))


@pytest.mark.parametrize("name", TRAINED)
def test_a_step_stays_on_its_device(name):
    """On the meta device any tensor left behind on the CPU, and any value read back, is an error."""
    detector = make_detector(name, (3, 32, 32), "smoke", device="meta")
    detector.anomalies = torch.empty((3, 3, 32, 32), dtype=torch.uint8, device="meta")
    images = torch.empty((4, 3, 32, 32), dtype=torch.uint8, device="meta")
    losses = detector.training_step(detector.normalise(images))
    assert losses
    assert all(value.device.type == "meta" and not value.requires_grad for value in losses.values())


# ---------------------------------------------------------------------- float64
class Narrowed(TorchDispatchMode):
    """Collects operations that give floats of fewer bits than float64; scalars aside, in which Adam counts steps."""

    def __init__(self):
        super().__init__()
        self.operations = set()

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        results = function(*arguments, **(keywords or {}))
        for tensor in tree_leaves(results):
            floats = isinstance(tensor, torch.Tensor) and tensor.is_floating_point() and tensor.ndim
            if floats and tensor.dtype.itemsize < 8:
                self.operations.add(str(function))
        return results


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_smoke_computes_everything_in_float64(name, fitted, tiny_split, tmp_path):
    """So that a run on another processor, or on two threads, differs in the eleventh digit and not in the first."""
    detector, images = fitted(name), tiny_split.test.images[:4]
    assert detector.config.precision == detector.history.precision == "fp64"
    again = Detector.load(detector.save(tmp_path / "detector.safetensors"))
    assert all(
        value.dtype == torch.float64
        for each in (detector, again)
        for value in each.networks.state_dict().values()
        if value.is_floating_point()
    )
    detector.inference_step(detector.normalise(images))  # networks that are loaded once
    with torch.no_grad(), Narrowed() as narrowed:
        parts = again.inference_step(again.normalise(images))
    tensors = [parts.maps, parts.reconstructions, *parts.scores.values(), *parts.other_maps.values()]
    if name in TRAINED:
        fresh = make_detector(name, tiny_split.image_shape, "smoke", **QUICK)
        fresh.anomalies = labelled().images
        with narrowed:
            tensors += fresh.training_step(fresh.normalise(tiny_split.train.images[:4])).values()
    assert not narrowed.operations
    assert all(tensor.dtype == torch.float64 for tensor in tensors)
    seen = detector.examine(images)
    assert {score.dtype for score in seen.scores.values()} == {seen.maps.dtype} == {torch.float64}


def test_fp64_is_for_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert make_detector("pca", (3, 32, 32), "smoke").device.type == "cpu"
    with pytest.raises(ValueError, match="precision 'fp64' is for the CPU, not for device 'cuda'"):
        make_detector("pca", (3, 32, 32), "smoke", device="cuda")


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAINED)
def test_a_resumed_run_takes_the_same_steps(name, tiny_split, tmp_path):
    def make() -> Detector:
        return make_detector(name, tiny_split.image_shape, "smoke", steps=6, checkpoints=3)

    whole = train(make(), tiny_split, tiny_split.validation)

    class Killed(Exception):
        pass

    def kill(detector: Detector, step: int) -> None:
        if step == 4:
            raise Killed

    file = tmp_path / "resume.safetensors"
    with pytest.raises(Killed):
        train(make(), tiny_split, tiny_split.validation, on_checkpoint=kill, resume=file)
    resumed = train(make(), tiny_split, tiny_split.validation, resume=file)
    assert resumed.history.losses == whole.history.losses
    assert resumed.history.resumed == 1
    assert torch.equal(
        resumed.anomaly_score(tiny_split.test.images[:4]), whole.anomaly_score(tiny_split.test.images[:4])
    )


def test_every_detector_has_a_title_of_its_own():
    titles = detector_titles()
    assert titles == {name: detector_class(name).title for name in NAMES}
    assert all(titles.values())
    assert len(set(titles.values())) == len(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_profile_exists_and_is_frozen(name):
    kind = detector_class(name)
    configs = [getattr(kind.Config, profile)() for profile in PROFILES]
    for config in configs:
        assert isinstance(config, kind.Config)
        with pytest.raises(dataclasses.FrozenInstanceError):
            config.steps = 1
    assert [config.steps for config in configs] == sorted(config.steps for config in configs)


# ---------------------------------------------------------------------- bad input
def test_unknown_names_suggest_the_nearest(tiny_split):
    with pytest.raises(ValueError, match="Did you mean 'ganomaly'"):
        make_detector("ganomally", tiny_split.image_shape)
    with pytest.raises(ValueError, match=r"unknown profile 'boook'\. Did you mean 'book'"):
        make_detector("pca", tiny_split.image_shape, "boook")
    with pytest.raises(ValueError, match="unknown setting of pca 'component'"):
        make_detector("pca", tiny_split.image_shape, component=3)
    with pytest.raises(ValueError, match="unknown device 'gpu'"):
        make_detector("pca", tiny_split.image_shape, device="gpu")


@pytest.mark.parametrize(
    ("shape", "settings", "message"),
    [
        ((32, 32), {}, r"image_shape is \(32, 32\); expected \(channels, height, width\)"),
        ((32, 32, 3), {}, "pass split.image_shape"),
        ((3, 32, 32), {"seed": -1}, "seed is -1"),
        ((3, 32, 32), {"steps": 0}, "steps is 0"),
        ((3, 32, 32), {"ema_decay": 1.0}, "ema_decay is 1.0; expected 0"),
        ((3, 32, 32), {"precision": "fp23"}, "Did you mean 'fp32'"),
        ((3, 32, 32), {"width": 0}, "width is 0"),
    ],
)
def test_settings_that_cannot_work_are_refused_before_anything_is_built(shape, settings, message):
    with pytest.raises(ValueError, match=message):
        make_detector("ganomaly", shape, "smoke", **settings)


def test_a_score_that_does_not_exist_is_refused(tiny_split):
    with pytest.raises(ValueError, match=r"unknown score of ganomaly 'D9'.*Known: D0, D1, D2, D3"):
        make_detector("ganomaly", tiny_split.image_shape, score="D9")
    detector = make_detector("pca", tiny_split.image_shape, "smoke", score="mean_eror")
    with pytest.raises(ValueError, match="Did you mean 'mean_error'"):
        detector.fit(tiny_split.train, tiny_split.validation)


def test_images_of_another_kind_or_shape_are_refused(fitted, random_images):
    detector = fitted("pca")
    with pytest.raises(TypeError, match="expected a uint8 tensor"):
        detector.anomaly_score(random_images(2).float())
    with pytest.raises(ValueError, match=r"shape \(2, 1, 32, 32\)"):
        detector.anomaly_score(random_images(2, channels=1))
    with pytest.raises(ValueError, match="leading dimension"):
        detector.anomaly_score(random_images(1)[0])
    with pytest.raises(ValueError, match="N >= 1"):
        detector.anomaly_score(random_images(1)[:0])


def test_a_threshold_accepts_validation_normals_only(tiny_split):
    detector = make_detector("pca", tiny_split.image_shape, "smoke")
    with pytest.raises(TypeError, match="validation-normal images only"):
        detector.fit(tiny_split.train, TrainImages(tiny_split.test.images))
    detector.fit(tiny_split.train)
    with pytest.raises(RuntimeError, match="no threshold yet"):
        detector.predict(tiny_split.test.images)


def test_files_of_another_kind_are_refused(tmp_path, fitted):
    with pytest.raises(FileNotFoundError, match="no file"):
        Detector.load(tmp_path / "missing.safetensors")
    (tmp_path / "text.safetensors").write_text("not tensors")
    with pytest.raises(ValueError, match="not a readable safetensors file"):
        Detector.load(tmp_path / "text.safetensors")
    whole = fitted("pca").save(tmp_path / "pca.safetensors").read_bytes()
    (tmp_path / "torn.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="truncated or of another kind"):
        Detector.load(tmp_path / "torn.safetensors")


def test_a_resume_file_of_another_run_is_refused(tiny_split, tmp_path):
    file = tmp_path / "resume.safetensors"
    make_detector("ganomaly", tiny_split.image_shape, "smoke", **QUICK).fit(
        tiny_split.train, progress="quiet", resume=file
    )
    before = file.read_bytes()
    with pytest.raises(ValueError, match="written by another run"):
        make_detector("ganomaly", tiny_split.image_shape, "smoke", seed=9, **QUICK).fit(
            tiny_split.train, progress="quiet", resume=file
        )
    assert file.read_bytes() == before


def test_scores_that_are_no_numbers_give_neither_threshold_nor_verdict(tiny_split, monkeypatch):
    """NaN is above no threshold: each image would pass as normal."""
    detector = make_detector("pca", tiny_split.image_shape, "smoke")
    train(detector, tiny_split, tiny_split.validation)
    step = detector.inference_step

    def broken(images):
        seen = step(images)
        return seen._replace(scores={name: score * torch.nan for name, score in seen.scores.items()})

    monkeypatch.setattr(detector, "inference_step", broken)
    with pytest.raises(ValueError, match="the score of image 0 is nan, so no verdict can be given"):
        detector.predict(tiny_split.validation.images)
    with pytest.raises(ValueError, match="so no threshold can be set"):
        detector.calibrate(tiny_split.validation)
