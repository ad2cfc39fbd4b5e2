"""Many runs, each with its seed: ``PYTHONPATH=tests python -m chaos.campaign --seeds 200 [--kinds kill two …]``.

Prints, of each kind of fault: runs; frames and observations that were lost, or there twice; what readers saw that was
not whole; runs that ended as if all were well while something was not; how many calm reruns it took, and objects that
stay although nobody needs them. Exit code 1 where one of these is not as promised.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from rich.console import Console
from rich.table import Table

from chaos.checker import Held, Reading, held, orphans, readers
from chaos.faults import HELD, KINDS, LEASE_S, SKEW_S, Kind, Run, by_name
from chaos.process import Night
from chaos.proxy import Proxy, Request, calm, proxied
from roadscan.demo.server import s3_server
from roadscan.simulate import SimulationConfig, simulate
from roadscan.storage import open_store
from roadscan.survey.drive import find_drives, read_drive

NIGHTS = ("2026-11-01", "2026-11-02")
ROADS = SimulationConfig(length_km=0.3, nights=len(NIGHTS), width_px=640, height_px=360, conditions=("day",))
ENDPOINT = "AWS_ENDPOINT_URL_S3"
RERUNS = 4


@dataclass
class World:
    """What all runs begin with.

    Attributes:
        folder: for files on this machine.
        proxy, address: before the store.
        whole: nights are with the model, in processes of its own.
        drives: id of the drive of each night.
        full: frames of each drive.
        start: a warehouse that has the first night.
        calm: what it holds after the second, undisturbed.
    """

    folder: Path
    proxy: Proxy
    address: str
    whole: bool
    drives: list[str]
    full: dict[str, int]
    start: dict[str, bytes] = field(default_factory=dict)
    calm: Held | None = None
    calm_s: float = 0.0
    reads: int = 0
    writes: int = 0

    def night(self, name: str, warehouse: str, survey: str, date: str) -> Night:
        """What a process of a run is to do."""
        tree = {
            "warehouse": warehouse,
            "time_zone": "Asia/Bangkok",
            "scan": {"drives": [survey], "shard_frames": 4, "actors": 1},
            "lease": {"length_s": LEASE_S, "skew_s": SKEW_S},
            "no_progress_s": 60,
        }
        config = self.folder / f"{name}.yaml"
        config.write_text(yaml.safe_dump(tree))
        boxes = None if self.whole else self.folder / "roads" / "truth" / "boxes"
        # Processes are forked from a server of the first world, which knows that one's store.
        environment = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
        environment |= {ENDPOINT: self.address, "COLUMNS": "200"}
        return Night(config, date, boxes, self.folder / f"{name}.log", environment)

    def run(self, name: str, kind: Kind | None, seed: int, date: str = NIGHTS[-1]) -> Run:
        """A run that begins with a copy of the start."""
        warehouse = str(self.folder / "houses" / name) if kind and kind.on_disk else f"s3://warehouse/{name}"
        store = open_store(warehouse)
        for key, data in self.start.items():
            store.write(key, data)
        survey = "s3://raw/drives"
        if kind and kind.own_survey:
            survey = f"s3://raw/{name}"
            _upload(self.folder / "roads" / "drives", survey)
        night = self.night(name, warehouse, survey, date)
        return Run(
            random.Random(seed), self.proxy, night, survey, self.drives[-1], self.calm_s, self.reads, self.writes
        )


@contextmanager
def world(*, whole: bool = False) -> Iterator[World]:
    """A store with a survey of two nights, and what two undisturbed nights make of it."""
    folder = Path(tempfile.mkdtemp(prefix="roadscan-chaos-"))
    try:
        with (
            s3_server(folder / "s3", ("raw", "warehouse")),
            proxied(os.environ[ENDPOINT]) as (proxy, address),
        ):
            simulate(str(folder / "roads"), ROADS)
            _upload(folder / "roads" / "drives", "s3://raw/drives")
            drives = [read_drive(uri) for uri in find_drives("s3://raw/drives")]
            full = {drive.drive_id: drive.frames.num_rows for drive in drives}
            made = World(folder, proxy, address, whole, [drive.drive_id for drive in drives], full)
            _undisturbed(made)
            yield made
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _undisturbed(made: World) -> None:
    first = made.run("start", None, 0, NIGHTS[0])
    _end_well(first)
    store = open_store("s3://warehouse/start")
    made.start = {key: store.read(key) for key in store.keys()}  # noqa: SIM118 - a store is no dictionary
    second = made.run("calm", None, 0)
    asked: list[Request] = []
    made.proxy.follow(calm, asked.append)
    begin = time.monotonic()
    _end_well(second)
    made.calm_s, made.calm = time.monotonic() - begin, held("s3://warehouse/calm")
    made.writes = sum(request.writes for request in asked)
    made.reads = len(asked) - made.writes


def _end_well(run: Run) -> None:
    if code := run.end(run.start()):
        raise SystemExit(f"an undisturbed night ended with exit code {code}:\n{run.night.log.read_text()}")


def _upload(folder: Path, uri: str) -> None:
    store = open_store(uri)
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        store.write(path.relative_to(folder).as_posix(), path.read_bytes())


@dataclass
class Outcome:
    """What a run came to.

    Attributes:
        lost, twice: frames and observations.
        differs: of the rest, such as assets, what is not as without the fault.
        reading: what readers saw.
        silent: the night was done, as its exit code says, and was not.
        reruns: calm ones until the night was done; None where it was not after `RERUNS`.
        orphans: objects that stay.
        codes: how its processes ended.
    """

    seed: int
    lost: int
    twice: int
    differs: int
    reading: Reading
    silent: bool
    reruns: int | None
    orphans: int
    codes: list[int | None]

    @property
    def good(self) -> bool:
        """Whether all is as promised."""
        wrong = self.lost or self.twice or self.differs or self.reading.errors or self.silent or self.orphans
        return not wrong and self.reruns is not None and None not in self.codes


def befall(made: World, kind: Kind, seed: int) -> Outcome:
    """One run of a kind of fault."""
    run = made.run(f"{kind.name}-{seed}", kind, seed)
    uri = yaml.safe_load(run.night.config.read_text())["warehouse"]
    with readers(uri, made.full) as reading:
        try:
            kind.befall(run)
        finally:
            run.proxy.follow(calm)
        done = run.codes[-1] == 0 and not kind.own_survey
        silent = done and _missing(made, kind, held(uri)) > 0
        reruns = _until_done(run)
    found = held(uri)
    assert made.calm is not None
    observations = found.observations - made.calm.observations
    twice = sum(n - 1 for counts in (found.names, found.observations) for n in counts.values())
    differs = 0
    if not kind.lasting:
        differs = sum(((found.frames - made.calm.frames) + (made.calm.frames - found.frames)).values())
        differs += sum(((found.assets - made.calm.assets) + (made.calm.assets - found.assets)).values())
    missing = _missing(made, kind, found)
    left = orphans(uri)
    return Outcome(seed, missing, twice, differs + len(observations), reading, silent, reruns, left, run.codes)


def _until_done(run: Run) -> int | None:
    """Calm reruns until one says that the night is done; one that finds the lease taken does not count."""
    counted, end = 0, time.monotonic() + 60
    while counted < RERUNS and time.monotonic() < end:
        code = run.end(run.start())
        if code == 0:
            return counted
        if code == HELD:
            run.codes.pop()
            time.sleep(0.5)
        else:
            counted += 1
    return None


def _missing(made: World, kind: Kind, found: Held) -> int:
    """Frames that are not there; and where all are usable, observations."""
    assert made.calm is not None
    missing = sum((made.calm.names - found.names).values())
    if kind.lasting:
        usable = sum(n for (_, _, status), n in found.frames.items() if status == "ok")
        return missing + abs(sum(made.full.values()) - usable - kind.lasting)
    return missing + sum((made.calm.observations - found.observations).values())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=len(KINDS), help="runs in all, in turn of each kind")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--kinds", nargs="+", default=[], choices=[kind.name for kind in KINDS])
    parser.add_argument("--logs", type=Path, help="keep here what the processes of runs that went wrong print")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    kinds, console = list(by_name(given.kinds)), Console(width=180)
    outcomes: dict[str, list[Outcome]] = {kind.name: [] for kind in kinds}
    seeds = {kind.name: range(given.first + n, given.first + given.seeds, len(kinds)) for n, kind in enumerate(kinds)}
    try:
        for whole in (False, True):
            turn = [(seed, kind) for kind in kinds if kind.whole == whole for seed in seeds[kind.name]]
            if turn:
                with world(whole=whole) as made:
                    console.print(_undisturbed_in_words(made))
                    for seed, kind in sorted(turn, key=lambda one: one[0]):
                        outcomes[kind.name].append(befall(made, kind, seed))
                        _tell(made, kind, outcomes[kind.name][-1], console, given.logs)
    finally:  # of hours, what there is
        console.print(_table(kinds, outcomes))
    return int(not all(one.good for of_kind in outcomes.values() for one in of_kind))


def _undisturbed_in_words(made: World) -> str:
    assert made.calm is not None
    return (
        f"undisturbed{', with the model' if made.whole else ''}: {made.calm_s:.1f} s, {made.reads} reads, "
        f"{made.writes} writes, {made.calm.names.total()} frames, {made.calm.observations.total()} observations, "
        f"{made.calm.assets.total()} assets"
    )


def _tell(made: World, kind: Kind, outcome: Outcome, console: Console, logs: Path | None) -> None:
    """Print what went wrong, and keep what the processes of the run printed."""
    if not outcome.good:
        console.print(f"seed {outcome.seed}, {kind.name}: {outcome}", markup=False, soft_wrap=True)
        if logs:
            logs.mkdir(parents=True, exist_ok=True)
            shutil.copy(made.folder / f"{kind.name}-{outcome.seed}.log", logs)


def _table(kinds: list[Kind], outcomes: dict[str, list[Outcome]]) -> Table:
    columns = "runs", "lost", "twice", "differs", "reads", "reader errors", "silent", "reruns", "stuck", "orphans"
    table = Table("fault", "", *columns)
    for kind in kinds:
        some = outcomes[kind.name]
        table.add_row(
            kind.name, kind.what, *map(str, (
                len(some), sum(one.lost for one in some), sum(one.twice for one in some),
                sum(one.differs for one in some), sum(one.reading.reads for one in some),
                sum(len(one.reading.errors) for one in some), sum(one.silent for one in some),
                sum(one.reruns or 0 for one in some), sum(one.reruns is None for one in some),
                sum(one.orphans for one in some),
            ))
        )  # fmt: skip
    return table


if __name__ == "__main__":
    sys.exit(main())
