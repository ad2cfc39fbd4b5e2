"""Which images are kept small, and how many processes load them."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from support import labelled
from support.distributed import config_of, digest

from roadscan.dataset.records import Dataset
from roadscan.dataset.shrunk import ShrinkTarget, Shrunk, shrink
from roadscan.errors import ConfigError
from roadscan.model import yolo
from roadscan.train import loop
from roadscan.train.dataloader import images_to_shrink, loader_processes
from roadscan.train.ranks import SingleProcess
from roadscan.train.state import State

GB = 1 << 30
SIZE_HW = (190, 330)  # 92.12 x 160 in 160: training rounds up, validation to the nearest


@pytest.mark.parametrize(
    ("stated", "cpus", "shared_bytes", "expected"),
    [
        (None, 1, GB, 0),
        (None, 2, GB, 1),
        (None, 8, GB, 7),
        (None, 64, GB, 16),  # as many as any network needs
        (None, 8, 90_000_000, 4),  # 9 batches of 10 MB: two of each process, and one in use
        (None, 8, 10_000_000, 0),
        (0, 8, 0, 0),
        (1, 8, 30_000_000, 1),
        (20, 8, GB, 20),  # what is stated is believed
    ],
)
def test_processes_come_from_the_processors_and_fit_into_shared_memory(
    stated: int | None, cpus: int, shared_bytes: int, expected: int
) -> None:
    assert loader_processes(stated, cpus, 10_000_000, shared_bytes) == expected


def test_stated_processes_that_do_not_fit_are_refused() -> None:
    """The operating system would end them, without a word of why."""
    with pytest.raises(ConfigError, match=r"(?s)loader_workers: got 3, .* 2 processes' fit into /dev/shm.*--shm-size"):
        loader_processes(3, 8, 10_000_000, 64_000_000)


def test_a_small_shared_memory_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=0))
    state = loop.train(
        config_of(tmp_path, epochs=1), drawn(tmp_path), None, SingleProcess(tmp_path / "run", CPU, cpus=3)
    )
    assert state.epoch == 1  # in the worker itself
    assert "/dev/shm is small: 0 processes load images, where 3 CPUs could" in caplog.text


CPU = torch.device("cpu")


def drawn(root: Path, size_hw: tuple[int, int] = SIZE_HW, task: str = "detect") -> Dataset:
    return labelled.draw_dataset(root, {"train": 6, "val": 3, "test": 1}, size_hw=size_hw, task=task)


def test_images_larger_than_the_network_sees_them_are_kept_small(tmp_path: Path) -> None:
    wanted = images_to_shrink(drawn(tmp_path), 160)
    assert wanted[0] == ShrinkTarget("images/train/train-0000.jpg", SIZE_HW, (93, 160))
    assert wanted[-1] == ShrinkTarget("images/val/val-0002.jpg", SIZE_HW, (92, 160))
    assert len(wanted) == 9


def test_images_that_are_not_larger_are_read_as_they_are(tmp_path: Path) -> None:
    assert images_to_shrink(drawn(tmp_path), 330) == []


@pytest.mark.slow
@pytest.mark.parametrize("task", ["detect", "segment"])
def test_training_and_validation_are_the_same_bits_with_and_without_small_copies(task: str, tmp_path: Path) -> None:
    dataset = drawn(tmp_path, task=task)
    small = shrink(tmp_path, images_to_shrink(dataset, 160), tmp_path / "cache")
    config = config_of(tmp_path, augment={"mosaic": 1.0, "mixup": 0.5, "close_mosaic": 1})
    reads = []

    class Counted(Shrunk):
        def read(self, key: str, shrunk_hw: tuple[int, int]) -> np.ndarray | None:
            found = super().read(key, shrunk_hw)
            reads.append(found is not None)
            return found

    def trained(name: str, shrunk: Shrunk | None) -> State:
        return loop.train(config, dataset, None, SingleProcess(tmp_path / name, CPU), shrunk=shrunk)

    with_, without = trained("with", Counted(small.path, small.offsets)), trained("without", None)
    assert len(reads) > 2 * 9
    assert all(reads)
    assert digest(with_.network) == digest(without.network)
    rows = [[{k: v for k, v in row.items() if "seconds" not in k} for row in s.history] for s in (with_, without)]
    assert rows[0] == rows[1]


def test_an_image_is_scaled_as_ultralytics_scales_it() -> None:
    assert yolo.scaled_hw((190, 330), 160) == (93, 160)
    assert yolo.scaled_hw((330, 190), 160) == (160, 93)
    assert yolo.scaled_hw((80, 160), 160) == (80, 160)
    assert yolo.scaled_hw((40, 80), 160) == (80, 160)
    assert yolo.scaled_hw((49, 49), 160) == (160, 160)  # 160 / 49 * 49 is a little more than 160
