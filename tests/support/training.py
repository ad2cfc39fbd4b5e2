"""Run `roadscan train` as a user would, and look at what it does and leaves."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil  # comes with ultralytics
import torch
import yaml

from support.commands import PROGRAM

DEADLINE_S = 600  # of a whole run, against hanging
WORKER = "ray::RayTrainWorker"
SETTINGS: dict[str, Any] = {
    "data": "data", "image_size_px": 160, "aspect": "dataset", "epochs": 4, "batch": 4, "precision": "full",
    "augment": {"close_mosaic": 1}, "loss": {"gamma": 1.5},
    "execution": {"workers": 2, "gpu": False, "cpus_per_worker": 1},
}  # fmt: skip


def write_config(folder: Path, **fields: Any) -> None:
    """run.yaml: a run of seconds on two processors, with the given settings."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.yaml").write_text(yaml.safe_dump(SETTINGS | fields))


@dataclass(frozen=True)
class Trained:
    """A finished run.

    Attributes:
        folder: where run.yaml, the dataset and model.zip lie.
        run: the run's own folder.
        code, out, err: of the command that ended it.
    """

    folder: Path
    run: Path
    code: int
    out: str
    err: str


class Training:
    """`roadscan train run.yaml` in a folder, in a session of its own, by which its processes are known.

    Attributes:
        process: the command.
    """

    COMMAND = ("train", "run.yaml")

    def __init__(self, folder: Path, *arguments: str, within: Sequence[str] = (), **environment: str) -> None:
        """Start it; `within` are words before the command."""
        log = Path(tempfile.mkdtemp(prefix="log-", dir=folder))
        self._out, self._err = log / "out", log / "err"
        with self._out.open("w") as out, self._err.open("w") as err:
            self.process = subprocess.Popen(
                [*within, PROGRAM, *self.COMMAND, *arguments], cwd=folder, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=out, stderr=err, env={**os.environ, "COLUMNS": "200", **environment},
            )  # fmt: skip

    def __enter__(self) -> Training:
        return self

    def __exit__(self, *_: object) -> None:
        while found := self.running():
            for one in found:
                with suppress(psutil.NoSuchProcess):
                    one.kill()
            self.process.poll()

    @property
    def out(self) -> str:
        """What it printed so far."""
        return self._out.read_text()

    @property
    def err(self) -> str:
        """What it printed as errors so far."""
        return self._err.read_text().rstrip()

    def end(self) -> int:
        """Wait for its end; its exit code."""
        return self.process.wait(DEADLINE_S)

    def wait_for_workers(self) -> None:
        """Wait until workers are there."""
        self._wait(lambda: bool(self.workers()), "no workers")

    def wait_for_checkpoint(self, run: Path, after: str | None = None) -> None:
        """Wait until Ray has taken down a checkpoint of the run in that folder, or one after another."""
        self._wait(lambda: newest_checkpoint(run) not in (None, after), "no checkpoint")

    def _wait(self, holds: Callable[[], bool], otherwise: str) -> None:
        """Wait for what the command brings about, as long as it runs."""
        wait_until(lambda: holds() or self.process.poll() is not None, lambda: otherwise)
        assert holds(), f"{otherwise}: {self.out}{self.err}"

    def running(self) -> list[psutil.Process]:
        """All its processes that live."""
        found = []
        for one in psutil.process_iter():
            with suppress(psutil.NoSuchProcess, ProcessLookupError):
                if os.getsid(one.pid) == self.process.pid and one.status() != psutil.STATUS_ZOMBIE:
                    found.append(one)
        return found

    def workers(self) -> list[psutil.Process]:
        """Those of its processes that train; not what they fork, which has their name until it has another."""
        found = {}
        for one in self.running():
            with suppress(psutil.NoSuchProcess):
                if "".join(one.cmdline()[:1]).startswith(WORKER):
                    found[one.pid] = one, one.ppid()
        return [one for one, parent in found.values() if parent not in found]

    def wait_until_nothing_runs(self) -> None:
        """Wait for the processes that it started to follow it."""
        wait_until(lambda: not self.running(), lambda: f"left running: {self.running()}")


def lose_driver(training: Training) -> None:
    """Kill the command, and with it Ray on this machine; wait for its workers to end by themselves.

    One of them is suspended meanwhile: without it, the others cannot do another epoch.
    """
    others = training.workers()
    suspended = others.pop()
    suspended.suspend()
    training.process.kill()
    wait_until(lambda: not {*others} & {*training.workers()}, lambda: "the workers go on")
    with suppress(psutil.NoSuchProcess):
        suspended.resume()
    wait_until(lambda: not training.workers(), lambda: "the worker that waited goes on")


def lose_worker(training: Training) -> None:
    """Kill one of two workers; wait until there are two others."""
    before = training.workers()
    assert len(before) == 2
    before[1].kill()
    wait_until(
        lambda: len([one for one in training.workers() if one not in before]) == 2,
        lambda: f"no new workers: {training.out}{training.err}",
    )


def newest_checkpoint(run: Path) -> str | None:
    """That from which Ray would go on with the run in a folder; None before the first, or while that is written."""
    taken = run / "checkpoint_manager_snapshot.json"
    text = taken.read_text() if taken.exists() else ""
    found = re.search(r'"latest_checkpoint_result":\{.*?"checkpoint_dir_name":"(.*?)"', text)
    return found[1] if found else None


def wait_until(holds: Callable[[], bool], otherwise: Callable[[], str]) -> None:
    """Wait for something to become true."""
    deadline = time.monotonic() + DEADLINE_S / 2
    while not holds():
        assert time.monotonic() < deadline, otherwise()
        time.sleep(0.1)


def history(run: Path) -> list[dict[str, Any]]:
    """The rows of a run's history without times, which differ from run to run."""
    rows = json.loads((run / "history.json").read_text())
    return [{name: value for name, value in row.items() if "seconds" not in name} for row in rows]


def last_state(run: Path) -> dict[str, torch.Tensor]:
    """All that a run's newest checkpoint holds, by name: weights, optimiser, averages."""
    newest = max(run.glob("*/state.pt"))  # named by time
    return dict(_leaves(torch.load(newest, weights_only=True)))


def _leaves(tree: Any, name: str = "") -> list[tuple[str, torch.Tensor]]:
    if isinstance(tree, torch.Tensor):
        return [(name, tree)]
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [leaf for key, value in pairs for leaf in _leaves(value, f"{name}/{key}")]


def assert_same_bits(run: Path, other: Path) -> None:
    """Two runs ended with the same weights, moments of the optimiser and averages, and measured the same."""
    one, two = last_state(run), last_state(other)
    assert one.keys() == two.keys()
    assert len(one) > 1000  # YOLOv8n's 355 tensors in the network, its average and the best, and two moments of most
    assert [name for name in one if not torch.equal(one[name], two[name])] == []
    assert history(run) == history(other)
