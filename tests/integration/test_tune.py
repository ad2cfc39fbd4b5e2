"""`roadscan tune` as an operator runs it: submitted as a job to a Ray cluster, with all that it keeps on S3."""

from __future__ import annotations

import io
import json
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import psutil
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from support import labelled
from support.clusters import BIN, head_for_jobs, know_a_secret
from support.commands import PROGRAM, ROOT
from support.training import SETTINGS, wait_until

from roadscan.cli import run
from roadscan.dataset.staging import stage
from roadscan.demo.server import S3Server
from roadscan.model.bundle import load
from roadscan.storage import Store, open_store
from roadscan.train import loop
from roadscan.train.check import check_training
from roadscan.train.config import TrainConfig
from roadscan.train.ranks import SingleProcess
from roadscan.tune.journal import JOURNAL

pytestmark = [pytest.mark.ray, pytest.mark.slow]

TRIALS = 3
SPACE: dict[str, Any] = {
    "loss.gamma": [0, {"low": 1, "high": 3}],
    "optimiser.lr": {"low": 5e-4, "high": 5e-3, "log": True},
}


def train_settings(data: str, cache: Path | None = None) -> dict[str, Any]:
    """A training of seconds on one processor, which comes to something."""
    execution = {"workers": 1, "gpu": False, "cpus_per_worker": 1, **({"cache_dir": str(cache)} if cache else {})}
    return SETTINGS | {"data": data, "epochs": 3, "initial": "demo", "execution": execution}


def write_sweep(folder: Path, **fields: Any) -> None:
    """tune.yaml: trials of seconds on one processor each, with the given settings."""
    tree = {
        "train": train_settings("data"),
        "space": SPACE,
        "trials": TRIALS,
        "pruning": {"first_epoch": 1, "factor": 3},
    }
    (folder / "tune.yaml").write_text(yaml.safe_dump(tree | fields))


@dataclass
class Head:
    """A cluster of one node, with two processors and the API that takes jobs."""

    process: subprocess.Popen[bytes]
    api: str

    def submit(self, folder: Path) -> subprocess.Popen[bytes]:
        """Submit the sweep of a folder, and follow it."""
        command = [
            str(BIN / "ray"), "job", "submit", f"--address={self.api}", f"--working-dir={folder}",
            "--", sys.executable, "tune.py", "tune.yaml",
        ]  # fmt: skip
        log = (folder.parent / "job.log").open("ab")
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder)

    def drivers(self) -> list[psutil.Process]:
        """Processes that drive a sweep."""
        found = []
        for one in psutil.Process(self.process.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if one.cmdline()[1:3] == ["tune.py", "tune.yaml"]:
                    found.append(one)
        return found


@pytest.fixture(scope="module")
def head(s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Head]:
    with pytest.MonkeyPatch.context() as patch:
        know_a_secret(tmp_path_factory.mktemp("secret"), patch)
        with head_for_jobs(cpus=2) as (process, api):
            yield Head(process, api)


def test_a_submitted_sweep_that_is_killed_goes_on_and_ends_with_every_trial_once(
    head: Head, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labelled.draw_dataset(tmp_path / "data", {"train": 24, "val": 8})
    raw = open_store(f"s3://raw/{tmp_path.name}")
    for path in (tmp_path / "data").rglob("*.*"):
        raw.write(path.relative_to(tmp_path).as_posix(), path.read_bytes())
    house = open_store(f"s3://warehouse/{tmp_path.name}")
    (tmp_path / "job").mkdir()
    train = train_settings(raw.uri_of("data"), tmp_path / "cache")
    write_sweep(tmp_path / "job", name="swept", sweeps=house.uri, train=train)
    shutil.copy(ROOT / "jobs" / "tune.py", tmp_path / "job")
    store = house.child("swept")

    def log() -> str:
        return (tmp_path / "job.log").read_text()

    first = head.submit(tmp_path / "job")
    # One has ended and the next has begun: not in the midst of the writes between them.
    wait_until(lambda: len(trials_begun(store)) > ended(store) >= 1 or first.poll() is not None, log)
    assert first.poll() is None, log()
    (driver,) = head.drivers()
    driver.kill()
    assert first.wait(120) != 0
    before = trials(store)
    assert not store.exists("sweep.json")
    assert head.submit(tmp_path / "job").wait(600) == 0, log()

    summary = json.loads(store.read("sweep.json"))
    table = pq.read_table(io.BytesIO(store.read("trials.parquet"))).to_pylist()
    assert [row["trial"] for row in table] == list(range(TRIALS))
    assert [row["start"] for row in table] == ["baseline", "published", None]
    assert {row["state"] for row in table} <= {"complete", "pruned"}
    for trial in before:
        if trial.state.is_finished():
            assert trials(store)[trial.number].datetime_complete == trial.datetime_complete  # not run again
        else:
            assert trials(store)[trial.number].params.items() >= trial.params.items()  # perhaps killed between two
    for row in table:
        epochs = [one["epoch"] for one in json.loads(store.read(f"trials/trial-{row['trial']:04d}/history.json"))]
        assert epochs == list(range(1, len(epochs) + 1))
        assert row["epochs"] <= len(epochs) <= 3
    best = table[summary["best"]]
    assert best["state"] == "complete"
    assert 0 < best["map50_95"] == max(row["map50_95"] for row in table if row["state"] == "complete")
    assert summary["replay"] == best["replay"]
    assert load(store.uri_of("best.zip")).sha256 == best["model_sha256"]
    assert {"learning-curves.png", "parallel-coordinates.png"} <= set(store.keys())
    assert "trial   0 complete" in log()
    replays_exactly(best, tmp_path, capsys)


def test_a_job_that_would_write_into_its_copy_of_the_directory_is_refused(head: Head, tmp_path: Path) -> None:
    (tmp_path / "job").mkdir()
    labelled.draw_dataset(tmp_path / "job" / "data", {"train": 2, "val": 1})
    write_sweep(tmp_path / "job")
    shutil.copy(ROOT / "jobs" / "tune.py", tmp_path / "job")
    assert head.submit(tmp_path / "job").wait(300) != 0
    log = (tmp_path / "job.log").read_text()
    assert "error: sweeps: got sweeps, in a job that was submitted with a working directory" in log
    assert "Traceback" not in log


def replays_exactly(best: dict[str, Any], folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The best trial's line is a training that comes to the same metric, to the last digit, also without Ray."""
    capsys.readouterr()
    assert run([*shlex.split(best["replay"])[1:], "--dry-run"]) == 0
    config, initial = check_training(TrainConfig.model_validate(yaml.safe_load(capsys.readouterr().out)))
    dataset = stage(config.data, folder / "cache")
    with threads(1):  # as the trial's worker
        state = loop.train(config, dataset, initial, SingleProcess(folder / "replay", torch.device("cpu")))
    assert max(row["map50_95"] for row in state.history) == best["map50_95"]


@contextmanager
def threads(count: int) -> Iterator[None]:
    """So many threads of torch in a block."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def trials(store: Store) -> list[optuna.trial.FrozenTrial]:
    """Those of the study, as Optuna itself reads its journal."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / JOURNAL
        path.write_bytes(store.read(JOURNAL))
        return optuna.load_study(study_name="swept", storage=JournalStorage(JournalFileBackend(str(path)))).trials


def trials_begun(store: Store) -> list[optuna.trial.FrozenTrial]:
    return trials(store) if store.exists(JOURNAL) else []


def ended(store: Store) -> int:
    return sum(trial.state.is_finished() for trial in trials(store)) if store.exists(JOURNAL) else 0


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"metric": "mask_map50"}, "metric: got mask_map50, but"),
        ({"train": train_settings("nowhere")}, "nowhere: expected data.yaml"),
        ({"sweeps": "gs://bucket"}, "scheme 'gs' is not supported"),
        ({"space": {"loss.gamma": [0.5]}}, "gamma"),
    ],
)
def test_what_cannot_be_searched_is_refused(
    fields: dict[str, Any],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    labelled.draw_dataset(tmp_path / "data", {"train": 4, "val": 2})
    write_sweep(tmp_path, **fields)
    monkeypatch.chdir(tmp_path)
    assert run(["tune", "tune.yaml"]) == 1
    assert message in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "sweeps").exists()


def test_what_has_no_room_on_the_cluster_is_refused(tmp_path: Path) -> None:
    labelled.draw_dataset(tmp_path / "data", {"train": 4, "val": 2})
    write_sweep(tmp_path, by_variant={"n": {"execution.workers": 3, "execution.cpus_per_worker": 1}})
    done = subprocess.run([PROGRAM, "tune", "tune.yaml"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    message = "variant n: execution.workers: got 3, the cluster has places for 2 with 1 CPU each"
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "sweeps").exists()
