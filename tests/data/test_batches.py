from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from mvtec_layout import write_image
from PIL import Image

from adlib.data import Batches, ImageFileError, stream_folder


def numbered(count: int) -> torch.Tensor:
    """Images whose pixels all carry the image's number."""
    return torch.arange(count, dtype=torch.uint8)[:, None, None, None].expand(count, 1, 2, 2).contiguous()


def numbers(batch: torch.Tensor) -> list[int]:
    return batch[:, 0, 0, 0].tolist()


def test_every_image_comes_once_per_epoch_in_a_fresh_order():
    batches = Batches(numbered(10), batch_size=5, seed=0)
    epochs = [numbers(next(batches)) + numbers(next(batches)) for _ in range(4)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4
    assert len(batches) == 2


@pytest.mark.parametrize(("count", "batch_size"), [(10, 4), (3, 8), (1, 5), (7, 7)])
def test_batches_are_always_full_and_fair(count, batch_size):
    batches = Batches(numbered(count), batch_size, seed=1)
    drawn = [numbers(next(batches)) for _ in range(count)]
    assert all(len(batch) == batch_size for batch in drawn)
    flat = [number for batch in drawn for number in batch]
    assert [flat.count(number) for number in range(count)] == [batch_size] * count


def test_the_seed_decides_the_order():
    first, same, other = (Batches(numbered(50), 10, seed=seed) for seed in (3, 3, 4))
    assert numbers(next(first)) == numbers(next(same)) != numbers(next(other))


def flip_some(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    return images + torch.randint(0, 100, (len(images), 1, 1, 1), generator=generator, dtype=torch.uint8)


def test_an_interrupted_run_goes_on_exactly():
    whole = Batches(numbered(11), 4, seed=5, augment=flip_some)
    expected = [next(whole) for _ in range(9)]
    first = Batches(numbered(11), 4, seed=5, augment=flip_some)
    for _ in range(4):
        next(first)
    state = json.loads(json.dumps(first.state_dict()))
    resumed = Batches(numbered(11), 4, seed=5, augment=flip_some)
    resumed.load_state_dict(state)
    for batch in expected[4:]:
        assert torch.equal(next(resumed), batch)


def test_a_state_of_other_data_is_refused():
    state = Batches(numbered(11), 4, seed=5).state_dict()
    with pytest.raises(ValueError, match="count=11, this one has count=12"):
        Batches(numbered(12), 4, seed=5).load_state_dict(state)
    with pytest.raises(ValueError, match="seed=5, this one has seed=6"):
        Batches(numbered(11), 4, seed=6).load_state_dict(state)


def test_global_random_state_is_neither_used_nor_moved():
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    first = numbers(next(Batches(numbered(50), 10, seed=0)))
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(99)
    assert numbers(next(Batches(numbered(50), 10, seed=0))) == first


def test_batches_live_on_the_device():
    assert next(Batches(numbered(6), 4, seed=0, device="meta")).device.type == "meta"


@pytest.mark.parametrize(
    ("images", "batch_size", "seed", "error", "message"),
    [
        (numbered(4).float(), 2, 0, TypeError, "float32 of shape"),
        (numbered(4)[:, 0], 2, 0, TypeError, r"expected uint8 \(N, C, H, W\)"),
        (numbered(4)[:0], 2, 0, ValueError, "no image"),
        (numbered(4), 0, 0, ValueError, "batch_size=0"),
        (numbered(4), 2, -1, ValueError, "seed=-1"),
    ],
)
def test_bad_settings_are_named(images, batch_size, seed, error, message):
    with pytest.raises(error, match=message):
        Batches(images, batch_size, seed)


def test_a_stream_gives_the_batches_that_memory_would(tmp_path):
    for index in range(7):
        write_image(tmp_path / f"{index}.png", 20 + 30 * index, side=8)
    in_order = [next(stream_folder(tmp_path, 8, 7, seed=0, workers=0))]
    stream = stream_folder(tmp_path, 8, 3, seed=0, workers=0)
    drawn = torch.cat([next(stream) for _ in range(3)])
    assert drawn.shape == (9, 3, 8, 8)
    assert drawn.dtype == torch.uint8
    assert torch.equal(drawn[:7], in_order[0])  # same permutation, cut differently
    resumed = stream_folder(tmp_path, 8, 3, seed=0, workers=0)
    state = stream.state_dict()
    resumed.load_state_dict(state)
    assert torch.equal(next(resumed), next(stream))
    for index in range(7):
        write_image(tmp_path / f"{index}.png", 20 + 30 * index, side=8, mode="L")
    assert next(stream_folder(tmp_path, 8, 2, workers=0, channels=1)).shape == (2, 1, 8, 8)


def test_a_stream_with_workers_resumes_at_what_was_handed_out(tmp_path):
    for index in range(5):
        write_image(tmp_path / f"{index}.png", 40 * index, side=8)
    stream = stream_folder(tmp_path, 8, 2, seed=3, workers=1)
    plain = stream_folder(tmp_path, 8, 2, seed=3, workers=0)
    for _ in range(2):
        assert torch.equal(next(stream), next(plain))
    assert stream.state_dict() == plain.state_dict()


def test_a_stream_names_what_is_wrong(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no image"):
        stream_folder(tmp_path)
    (tmp_path / "broken.png").write_bytes(b"not an image")
    with pytest.raises(ValueError, match="channels=2"):
        stream_folder(tmp_path, channels=2)
    with pytest.raises(ImageFileError, match=r"broken\.png"):
        next(stream_folder(tmp_path, 8, 1, workers=0))


def test_a_stream_refuses_colour_for_a_grey_detector_and_depth_without_a_scale(tmp_path):
    write_image(tmp_path / "colour.png", 90, side=8)
    with pytest.raises(ImageFileError, match=r"colour\.png' is coloured"):
        next(stream_folder(tmp_path, 8, 1, workers=0, channels=1))
    (tmp_path / "colour.png").unlink()
    Image.fromarray(np.full((8, 8), 2048, np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(ImageFileError, match=r"deep\.png'(?s:.)*value_range=\(0, 4095\)"):
        next(stream_folder(tmp_path, 8, 1, workers=0, channels=1))
    stream = stream_folder(tmp_path, 8, 1, workers=0, channels=1, value_range=(0, 4095))
    assert next(stream).unique().tolist() == [128]
    assert stream.value_range == (0.0, 4095.0)


def test_a_stream_passes_over_what_is_hidden_and_says_so(tmp_path):
    for place in ("a", ".ipynb_checkpoints/a", "__MACOSX/._a", "day1/b", "._a"):
        write_image(tmp_path / f"{place}.png", 90, side=8)
    Image.new("L", (8, 16)).save(tmp_path / "oblong.png")
    stream = stream_folder(tmp_path, 8, 3, workers=0)
    assert len(stream) == 1
    assert any("hidden or in folders of the system: 3 image files" in note for note in stream.notes)
    assert any("1 of 3 images looked at are not square" in note for note in stream.notes)


SPAWNED = """
import multiprocessing, sys
import torch
from adlib.data import stream_folder

if __name__ == "__main__":
    multiprocessing.set_start_method("spawn")
    batches = [next(stream_folder(sys.argv[1], 8, 2, seed=3, workers=workers)) for workers in (0, 1)]
    print(torch.equal(*batches))
"""


@pytest.mark.slow
def test_a_stream_works_where_processes_are_started_afresh(tmp_path):
    """The start method of Windows and macOS: what goes to a worker is pickled."""
    (tmp_path / "images").mkdir()
    for index in range(5):
        write_image(tmp_path / f"images/{index}.png", 40 * index, side=8)
    (tmp_path / "train.py").write_text(SPAWNED)
    command = [sys.executable, str(tmp_path / "train.py"), str(tmp_path / "images")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.stdout.strip() == "True", done.stderr
