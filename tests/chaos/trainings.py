"""Trainings and sweeps that are killed at some moment, and run again: ``python -m chaos.trainings --seeds 10``.

Prints, of each kind: runs; epochs (of a sweep, trials) that are missing in the end, or there twice; epochs that were
recorded before the kill and computed again; runs that did not succeed when they were run again.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import yaml
from rich.console import Console
from rich.table import Table
from support import labelled
from support.training import SETTINGS, Training

RERUNS = 3
EPOCHS, TRIALS = 4, 3
ALONE = {"workers": 1, "gpu": False, "cpus_per_worker": 1}
TRAINING: dict[str, Any] = SETTINGS | {"epochs": EPOCHS, "initial": "demo", "name": "run"}
SWEEP = {
    "name": "sweep",
    "train": SETTINGS | {"epochs": 2, "initial": "demo", "execution": ALONE},
    "space": {"loss.gamma": {"low": 1, "high": 3}},
    "trials": TRIALS,
}


class Sweep(Training):
    """`roadscan tune tune.yaml`, likewise."""

    COMMAND = ("tune", "tune.yaml")


@dataclass
class Outcome:
    """What a run came to; `again` are epochs recorded before that have another record after."""

    lost: int
    twice: int
    again: int
    reruns: int | None

    @property
    def good(self) -> bool:
        """Whether nothing was lost but the work of one epoch."""
        return not (self.lost or self.twice) and self.again <= 1 and self.reruns is not None


def _epochs(folder: Path) -> list[dict[str, Any]]:
    path = folder / "runs" / "run" / "history.json"
    return json.loads(path.read_text()) if path.exists() else []


def _trials(folder: Path) -> list[dict[str, Any]]:
    path = folder / "sweeps" / "sweep" / "trials.parquet"
    rows = pq.read_table(io.BytesIO(path.read_bytes())).to_pylist() if path.exists() else []
    return [row for row in rows if row["state"] in ("complete", "pruned")]


def _driver(training: Training, _: random.Random) -> None:
    training.process.kill()


def _worker(training: Training, rng: random.Random) -> None:
    if workers := training.workers():
        rng.choice(workers).kill()


def _any(training: Training, rng: random.Random) -> None:
    if running := training.running():
        rng.choice(running).kill()


@dataclass(frozen=True)
class Kind:
    """A kind of job and of fault.

    Attributes:
        what: in words.
        start: begins the job in a folder.
        records: of what is done, so far.
        number: the record's name of itself, of which there are so many.
        strike: the fault.
    """

    what: str
    start: Callable[[Path], Training]
    records: Callable[[Path], list[dict[str, Any]]]
    number: str
    expected: range
    strike: Callable[[Training, random.Random], None]


KINDS = {
    "train_driver": Kind("a training's command", Training, _epochs, "epoch", range(1, EPOCHS + 1), _driver),
    "train_worker": Kind("a worker of a training", Training, _epochs, "epoch", range(1, EPOCHS + 1), _worker),
    "train_any": Kind("any process of a training", Training, _epochs, "epoch", range(1, EPOCHS + 1), _any),
    "tune_driver": Kind("a sweep's command", Sweep, _trials, "trial", range(TRIALS), _driver),
    "tune_any": Kind("any process of a sweep", Sweep, _trials, "trial", range(TRIALS), _any),
}


def befall(kind: Kind, seed: int, calm_s: float) -> Outcome:
    """One run of a kind."""
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="roadscan-chaos-") as name:
        folder = _prepared(Path(name))
        with kind.start(folder) as job:
            _struck(job, kind, rng, calm_s)
        before = kind.records(folder)
        reruns = _until_done(kind, folder)
        after = kind.records(folder)
        numbers = Counter(record[kind.number] for record in after)
        lost = len(set(kind.expected) - numbers.keys())
        again = sum(record not in after for record in before)
        return Outcome(lost, sum(n - 1 for n in numbers.values()), again, reruns)


def _struck(job: Training, kind: Kind, rng: random.Random, calm_s: float) -> None:
    """Strike a job at some moment; a process that it can do without is no end of it."""
    end = time.monotonic() + rng.uniform(0.3, 1.0) * calm_s
    while time.monotonic() < end and job.process.poll() is None:
        time.sleep(0.1)
    try:
        kind.strike(job, rng)
    except psutil.NoSuchProcess:
        return
    if kind.strike is not _driver:
        job.end()


def _until_done(kind: Kind, folder: Path) -> int | None:
    for counted in range(RERUNS):
        with kind.start(folder) as job:
            if job.end() == 0:
                return counted
    return None


def _prepared(folder: Path) -> Path:
    labelled.draw_dataset(folder / "data", {"train": 16, "val": 4})
    (folder / "run.yaml").write_text(yaml.safe_dump(TRAINING | {"execution": ALONE}))
    (folder / "tune.yaml").write_text(yaml.safe_dump(SWEEP))
    return folder


def _undisturbed_s(kind: Kind) -> float:
    with tempfile.TemporaryDirectory(prefix="roadscan-chaos-") as name:
        folder, begin = _prepared(Path(name)), time.monotonic()
        with kind.start(folder) as job:
            if code := job.end():
                raise SystemExit(f"undisturbed, it ended with exit code {code}: {job.out}{job.err}")
        return time.monotonic() - begin


def _table(outcomes: dict[str, list[Outcome]]) -> Table:
    table = Table("killed with -9", "runs", "lost", "twice", "again", "reruns", "stuck")
    for name, some in outcomes.items():
        sums = [sum(getattr(one, field) or 0 for one in some) for field in ("lost", "twice", "again", "reruns")]
        stuck = sum(one.reruns is None for one in some)
        table.add_row(KINDS[name].what, str(len(some)), *map(str, sums), str(stuck))
    return table


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=len(KINDS), help="runs in all, in turn of each kind")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--kinds", nargs="+", default=[*KINDS], choices=KINDS)
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    outcomes: dict[str, list[Outcome]] = {name: [] for name in given.kinds}
    console = Console(width=140)
    try:
        starts = {KINDS[name].start: KINDS[name] for name in given.kinds}
        calm = {start: _undisturbed_s(kind) for start, kind in starts.items()}
        for seed in range(given.first, given.first + given.seeds):
            name = given.kinds[seed % len(given.kinds)]
            outcomes[name].append(befall(KINDS[name], seed, calm[KINDS[name].start]))
            if not outcomes[name][-1].good:
                console.print(f"seed {seed}, {name}: {outcomes[name][-1]}")
    finally:  # of hours, what there is
        console.print(_table(outcomes))
    return int(not all(one.good for some in outcomes.values() for one in some))


if __name__ == "__main__":
    sys.exit(main())
