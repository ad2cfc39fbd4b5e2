"""Fixtures that several parts of the tests share: a real S3 server and model files."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import TYPE_CHECKING

# Before torch, and for what tests start: threads that spin while they wait take the cores of all others.
os.environ |= {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"}
# A process of each training, which looks out for machines that a cloud is about to take back: here is no cloud.
os.environ["RAY_TRAIN_ENABLE_PREEMPTION_WATCHER"] = "0"

import hypothesis
import pytest
from support.commands import SCRATCH, Command
from support.once import made_once
from support.wheel import Installed, install

from roadscan.demo.server import S3Server, s3_server
from roadscan.taxonomy import HIGHWAY, SEGMENTABLE

if TYPE_CHECKING:
    from roadscan.model.bundle import Task

# How long an example takes says something of the machine, not of the code.
hypothesis.settings.register_profile("roadscan", deadline=None)
hypothesis.settings.load_profile("roadscan")


IS_WORKER = "PYTEST_XDIST_WORKER" in os.environ

if IS_WORKER:  # the process that hands out tests needs no torch, which takes seconds to import
    import torch

    torch.set_num_threads(1)  # the workers are as many as the cores are meant to be


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a card where there is none; workers begin with the files that take longest.

    Files are handed to workers whole and in order, so that a short one is what a worker waits for in the end.
    """
    import torch

    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(pytest.mark.skip(reason="needs a GPU that torch can use"))
    if IS_WORKER:
        heaviest: dict[Path, int] = {}
        for item in items:
            heaviest[item.path] = max(_weight(item), heaviest.get(item.path, 0))
        items.sort(key=lambda item: -heaviest[item.path])


def _weight(item: pytest.Item) -> int:
    """2 for a long test of Ray, 1 for another long one, 0 for the rest."""
    is_slow, is_ray = (item.get_closest_marker(name) is not None for name in ("slow", "ray"))
    return is_slow * (1 + is_ray)


@pytest.fixture(scope="session", autouse=True)
def _scratch() -> Iterator[None]:
    """What programs write to the system's temporary folder goes with the tests, also what killed ones leave.

    The tests' own folders are elsewhere: sockets of Ray's nodes, which lie in some, need short paths.
    """
    tempfile.gettempdir()  # from now on it is the same in this process
    with (
        tempfile.TemporaryDirectory(prefix="rs-", ignore_cleanup_errors=True) as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name in SCRATCH:
            patch.setenv(name, folder)
        yield


@pytest.fixture(scope="session", autouse=True)
def _no_power_is_lost() -> Iterator[None]:
    """What this process writes need not reach the disk, which takes milliseconds: the machine outlives the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda file: None)
        yield


@pytest.fixture
def here(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """The command, as `support.commands.roadscan` runs it, but in this process, which has imported what it needs."""
    from roadscan.cli import run
    from roadscan.terminal import console, errors

    def ended(*arguments: str, **environment: str) -> CompletedProcess[str]:
        with monkeypatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            for one in (console, errors):  # which read COLUMNS when they were made
                patch.setattr(one, "width", int(environment.get("COLUMNS", "200")))
            capsys.readouterr()
            code = run(list(arguments))
        return CompletedProcess(arguments, code, *capsys.readouterr())

    return ended


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """SeaweedFS with the buckets raw and warehouse; the AWS environment points to it."""
    with s3_server(tmp_path_factory.mktemp("s3"), ("raw", "warehouse")) as server:
        yield server


def _untrained(folder: Path, task: Task, classes: tuple[str, ...]) -> str:
    """A YOLOv8n with seeded random weights whose scores lie around 0.5, so that it finds boxes everywhere."""
    import torch

    from roadscan.model import yolo
    from roadscan.model.bundle import ModelCard, save

    torch.manual_seed(0)
    network = yolo.build(task, "n", len(classes))
    for branch in network.model[-1].cv3:
        torch.nn.init.zeros_(branch[-1].bias)
    path = folder / f"{task}.zip"
    save(path, ModelCard(task=task, variant="n", classes=classes, image_size_px=320), network.state_dict())
    return str(path)


@pytest.fixture(scope="session")
def detect_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return _untrained(tmp_path_factory.mktemp("model"), "detect", HIGHWAY.names)


@pytest.fixture(scope="session")
def segment_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return _untrained(tmp_path_factory.mktemp("model"), "segment", SEGMENTABLE)


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """This repository's wheel in an environment of its own."""
    return Installed(made_once(tmp_path_factory, "installed", install))
