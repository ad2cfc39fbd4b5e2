"""Training, a sweep and a night on a fleet of separate hosts that loses one: what is lost, what is done twice.

Each job is submitted with ``ray job submit --working-dir .`` to a fleet of ``cluster/local`` (head, two workers, an S3
server, each a host of its own; Ray asks for a token): once undisturbed, and once for each fault, which comes as soon as
the job has something to lose. What a cluster manager does is done here, too: a host or a Ray that is gone is started
again, and a job that failed is submitted again, as KubeRay's backoffLimit does.

    sudo python tests/benchmarks/bench_faults.py [--jobs nightly train tune] [--faults host raylet link head driver]

The columns: after how many seconds the job had got further; its whole time beside that of the undisturbed run; rows (of
a night, against the undisturbed one), epochs or trials missing in the end, and there twice; recorded epochs that were
computed again. The epoch under way is always computed again.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "cluster" / "local")]

from fleet import BIN, HEAD, Fleet, raylets  # noqa: E402
from support import labelled  # noqa: E402
from support.staging import commits  # noqa: E402

from roadscan.simulate import SimulationConfig, simulate  # noqa: E402
from roadscan.storage import open_store  # noqa: E402
from roadscan.warehouse import Warehouse  # noqa: E402

NIGHT = "2026-11-01"
ROADS = SimulationConfig(length_km=0.6, nights=1, width_px=640, height_px=360)
EPOCHS = 10
CUT_S = 70
SUBMISSIONS = 10
HOSTS_CPUS = 2
VICTIM = "worker-1"
TRAINING = {
    "data": "s3://raw/labelled", "variant": "n", "image_size_px": 160, "aspect": "dataset", "batch": 4,
    "precision": "full", "initial": "demo",
}  # fmt: skip
EXECUTION = {"gpu": False, "cpus_per_worker": HOSTS_CPUS, "loader_workers": 0, "cache_dir": "/tmp/ray/datasets"}


@dataclass
class Account:
    """What a job came to.

    Attributes:
        lost, twice: rows, epochs or trials that are not there, or more than once.
        again: finished epochs that were computed again.
    """

    lost: int
    twice: int
    again: int = 0


class Night:
    """A night's scan, register and release."""

    name = "nightly"
    enough = 3  # shards

    def words(self, place: str) -> list[str]:
        fields = {
            "scan.drives": ["s3://raw/survey/drives"], "scan.shard_frames": 4, "scan.actors": 2,
            "scan.precision": "full", "lease.length_s": 12, "lease.skew_s": 1,
        }  # fmt: skip
        return [*_submission("nightly", warehouse=f"s3://warehouse/{place}", **fields), "--date", NIGHT]

    def progress(self, place: str, log: str) -> int:
        """Shards that are committed."""
        return len(commits(open_store(f"s3://warehouse/{place}")))

    def records(self, place: str) -> dict[str, list[Any]]:
        return {}

    def account(self, place: str, before: dict[str, list[Any]], calm: str) -> Account:
        lost = twice = 0
        for table, keys in {"frames": ["drive_id", "frame_id"], "observations": ["observation_id"]}.items():
            got, expected = (_rows(f"s3://warehouse/{one}", table, keys) for one in (place, calm))
            lost += len(expected.keys() - got.keys())
            twice += sum(count - 1 for count in got.values())
        return Account(lost, twice)


class Training:
    """A training on both workers, or on one."""

    name = "train"
    enough = 3  # epochs

    def words(self, place: str) -> list[str]:
        fields = TRAINING | {"execution": EXECUTION | {"workers": [1, 2]}}
        return _submission(
            "train", runs="s3://models/runs", name=place, out=f"s3://models/{place}.zip", epochs=EPOCHS, **fields
        )

    def progress(self, place: str, log: str) -> int:
        return len(self.records(place).get("", []))

    def records(self, place: str) -> dict[str, list[Any]]:
        return _histories(f"s3://models/runs/{place}", "history.json")

    def account(self, place: str, before: dict[str, list[Any]], calm: str) -> Account:
        after = self.records(place)
        epochs = Counter(row["epoch"] for row in after[""])
        whole = set(range(1, EPOCHS + 1))
        return Account(len(whole - epochs.keys()), sum(n - 1 for n in epochs.values()), _again(before, after))


class Sweep:
    """A sweep of short trainings, two at a time."""

    name = "tune"
    enough = 1  # trial that has ended
    trials = 5

    def words(self, place: str) -> list[str]:
        train = TRAINING | {"epochs": 4, "execution": EXECUTION | {"workers": 1}}
        space = {"loss.gamma": [0, {"low": 1, "high": 3}], "optimiser.lr": {"low": 5e-4, "high": 5e-3, "log": True}}
        fields = {"sweeps": "s3://models/sweeps", "train": train, "space": space, "by_variant": {}}
        return _submission("tune", name=place, trials=self.trials, **fields)

    def progress(self, place: str, log: str) -> int:
        return len(set(re.findall(r"trial +(\d+) complete", log)))

    def records(self, place: str) -> dict[str, list[Any]]:
        return _histories(f"s3://models/sweeps/{place}/trials", "/history.json")

    def account(self, place: str, before: dict[str, list[Any]], calm: str) -> Account:
        table = pq.read_table(io.BytesIO(open_store(f"s3://models/sweeps/{place}").read("trials.parquet"))).to_pylist()
        numbers = Counter(row["trial"] for row in table if row["state"] == "complete")
        after = self.records(place)
        lost = len(set(range(self.trials)) - numbers.keys())
        return Account(lost, sum(n - 1 for n in numbers.values()), _again(before, after))


Job = Night | Training | Sweep


def _submission(job: str, **fields: Any) -> list[str]:
    sets = (word for name, value in fields.items() for word in ("--set", f"{name}={json.dumps(value)}"))
    return ["python", f"jobs/{job}.py", f"jobs/configs/{job}.yaml", *sets]


def _rows(warehouse: str, table: str, keys: list[str]) -> Counter[tuple[Any, ...]]:
    house = Warehouse(warehouse)
    read = house.read(house.current(), table)
    return Counter(zip(*(read[key].to_pylist() for key in keys), strict=True))


def _histories(uri: str, name: str) -> dict[str, list[Any]]:
    store = open_store(uri)
    return {key.removesuffix(name): json.loads(store.read(key)) for key in store.keys("") if key.endswith(name)}


def _again(before: dict[str, list[Any]], after: dict[str, list[Any]]) -> int:
    """Epochs whose record, with its times, is another now."""
    return sum(row not in after.get(name, []) for name, rows in before.items() for row in rows)


@dataclass
class Run:
    """A job under way on a fleet, and what befalls it.

    Attributes:
        fault: its name, or None for the undisturbed run.
        struck, further: when the fault came, and when the job had got further; seconds of `time.monotonic`.
        before: the records of epochs when the fault came.
    """

    fleet: Fleet
    job: Job
    fault: str | None
    folder: Path
    submitted: int = 0
    struck: float | None = None
    further: float | None = None
    reached: int = 0
    before: dict[str, list[Any]] = field(default_factory=dict)

    @property
    def place(self) -> str:
        return f"{self.job.name}-{self.fault or 'calm'}"

    @property
    def log(self) -> str:
        return "".join(path.read_text() for path in sorted(self.folder.glob(f"{self.place}-*.log")))

    def to_its_end(self) -> float:
        """Submit it until it succeeds; how many seconds that took."""
        begin = time.monotonic()
        client = self._submit()
        while True:
            self._look()
            if client.poll() == 0:
                break
            if client.poll() is not None:
                if self.submitted == SUBMISSIONS:
                    raise SystemExit(f"{self.place} does not succeed; see {self.folder}")
                client = self._submit()
            time.sleep(0.5)
        if self.fault and self.struck is None:
            raise SystemExit(f"{self.place} ended before its fault")
        if self.fault == "link":
            self.fleet.hosts[VICTIM].mend()
        return time.monotonic() - begin

    def _submit(self) -> subprocess.Popen[bytes]:
        self.submitted += 1
        self._bring_back()
        path = self.folder / f"{self.place}-{self.submitted:02d}.log"
        command = [str(BIN / "ray"), "job", "submit", "--working-dir", ".", "--", *self.job.words(self.place)]
        with path.open("wb") as log:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=ROOT)

    def _look(self) -> None:
        now = time.monotonic()
        if self.fault and self.struck is None:
            if self.job.progress(self.place, self.log) >= self.job.enough:
                self.before = self.job.records(self.place)
                strike(self.fleet, self.fault, self.job)
                self.struck = time.monotonic()
                self.reached = self.job.progress(self.place, self.log)
            return
        if self.struck is None:
            return
        if self.fault == "link" and now - self.struck > CUT_S:
            self.fleet.hosts[VICTIM].mend()
        if now - self.struck > 5:
            self._bring_back()
        if self.further is None and self.job.progress(self.place, self.log) > self.reached:
            self.further = time.monotonic()

    def _bring_back(self) -> None:
        for name, host in self.fleet.hosts.items():
            if not host.is_on or not (host.is_cut or name == "store" or raylets(host)):
                self.fleet.start(name)


def strike(fleet: Fleet, fault: str, job: Job) -> None:
    """Make a fault happen."""
    match fault:
        case "host":
            fleet.hosts[VICTIM].kill()
        case "raylet":
            for one in raylets(fleet.hosts[VICTIM]):
                one.kill()
        case "link":
            fleet.hosts[VICTIM].cut()
        case "head":
            fleet.hosts[HEAD].kill()
        case "driver":
            for one in fleet.hosts[HEAD].processes():
                with suppress(psutil.NoSuchProcess):
                    if one.cmdline()[1:2] == [f"jobs/{job.name}.py"]:
                        one.kill()


FAULTS = {
    "host": "a worker's host loses power",
    "raylet": "a worker's raylet killed with -9",
    "link": f"a worker's cable out for {CUT_S} s",
    "head": "the head's host loses power",
    "driver": "the driver killed with -9",
}


@contextmanager
def fleet_with_data() -> Iterator[Fleet]:
    """A fleet whose bucket raw has a survey and a labelled dataset."""
    folder = Path(tempfile.mkdtemp(prefix="rs-", dir="/var/tmp"))
    folder.rmdir()
    fleet = Fleet.up(folder, workers=2, cpus=HOSTS_CPUS)
    os.environ.update(fleet.environment())
    try:
        simulate("s3://raw/survey", ROADS)
        with tempfile.TemporaryDirectory() as drawn:
            labelled.draw_dataset(Path(drawn), {"train": 64, "val": 8})
            raw = open_store("s3://raw/labelled")
            for path in Path(drawn).rglob("*.*"):
                raw.write(path.relative_to(drawn).as_posix(), path.read_bytes())
        yield fleet
    finally:
        fleet.down()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    jobs = {job.name: job for job in (Night(), Training(), Sweep())}
    parser.add_argument("--jobs", nargs="+", choices=jobs, default=[*jobs])
    parser.add_argument("--faults", nargs="+", choices=FAULTS, default=[*FAULTS])
    parser.add_argument("--logs", type=Path, help="keep what the jobs print in this folder")
    given = parser.parse_args()
    console = Console(width=160)
    table = Table(
        "job", "fault", "submitted", "further after, s", "whole, s", "undisturbed, s", "lost", "twice", "epochs again"
    )
    logs = given.logs or Path(tempfile.mkdtemp(prefix="roadscan-faults-"))
    logs.mkdir(parents=True, exist_ok=True)
    with fleet_with_data() as fleet:
        for name in given.jobs:
            job = jobs[name]
            calm = Run(fleet, job, None, logs)
            calm_s = calm.to_its_end()
            console.print(f"{name}: undisturbed {calm_s:.0f} s")
            for fault in given.faults:
                run = Run(fleet, job, fault, logs)
                whole_s = run.to_its_end()
                found = job.account(run.place, run.before, calm.place)
                after = "–" if run.further is None or run.struck is None else f"{run.further - run.struck:.0f}"
                row = (
                    name, FAULTS[fault], str(run.submitted), after, f"{whole_s:.0f}", f"{calm_s:.0f}", str(found.lost),
                    str(found.twice), "–" if name == "nightly" else str(found.again),
                )  # fmt: skip
                table.add_row(*row)
                console.print(" | ".join(row))
    console.print(table)
    if given.logs is None:
        shutil.rmtree(logs)


if __name__ == "__main__":
    main()
