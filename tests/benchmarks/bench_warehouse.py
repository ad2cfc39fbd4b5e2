"""What a night and a question cost in a warehouse of years: processor time, memory, requests, bytes.

    python tests/benchmarks/bench_warehouse.py                         # up to 3 years of nights
    python tests/benchmarks/bench_warehouse.py --drives 1e4            # up to 10,000 drives
    python tests/benchmarks/bench_warehouse.py --manifest-drives 1e5   # the peer, too, up to there: 5 GB of memory

**Years**: `support.years` writes the logs and releases of 200 drives of 25,000 frames a night to a real S3 server. Each
operation then runs in a process of its own; its CPU is all threads', imports left out, its memory the process's peak,
and requests and bytes are counted on the wire. `publish` is the mean of 20 nights in a row, which is as many as go by
from one checkpoint to the next; `publish_drives` is a scan's, which puts 200 staged drives together. The peer is
one JSON manifest that names every file, 17 a drive, as roadscan 0.1 had it: read, checked, changed, written, on disk.

**Engines**: drives with real files; one drive's observations are asked for by `roadscan query`'s steps and by others.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pyarrow as pa
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.engines import engine_options
from support.requests_counted import Asked, counted_requests
from support.years import CARS, DRIVES, LAST, Night, staged, write_years
from support.years import nights as years

from roadscan.demo.server import s3_server
from roadscan.schemas import DRIVE_FRAMES
from roadscan.storage import arrow_filesystem, open_store, sha256_hex
from roadscan.warehouse import Change, Warehouse
from roadscan.warehouse.drives import StagedDrive

#: Drives, nights, drives a night.
SIZES = ((100, 1, 100), (1_000, 5, CARS), (10_000, 50, CARS), (100_000, 500, CARS), (219_000, 1095, CARS))
NIGHTS = 20  # published by the operation `publish`: one checkpoint each table
PLANNED = 100_000  # drives whose folders are written, to plan a night among them
FILES_A_DRIVE = 17  # of the peer


@dataclass(frozen=True)
class Cost:
    """Of one operation in a process of its own: CPU seconds, what it held at most and what imports had, MB."""

    answer: Any
    cpu_s: float
    peak_mb: float
    imports_mb: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--drives", type=float, default=219_000, help="the largest number")
    parser.add_argument("--manifest-drives", type=float, default=1e4, help="the largest number of the peer")
    parser.add_argument("--real-drives", type=int, default=60, help="with files, for the engines")
    arguments = parser.parse_args()
    console = Console(width=140)
    with tempfile.TemporaryDirectory(prefix="bench-warehouse-") as folder:
        os.environ["XDG_CACHE_HOME"] = f"{folder}/cache"
        with s3_server(Path(folder), ("raw", "warehouse")), counted_requests() as asked:
            for drives, nights, cars in SIZES:
                if drives <= arguments.drives:
                    console.print(_after_years(drives, nights, cars, asked))
            console.print(_engines(arguments.real_drives, asked))
            console.print(_manifests(folder, arguments.manifest_drives))


# Years


def _after_years(drives: int, nights: int, cars: int, asked: Asked) -> Table:
    uri = f"s3://warehouse/years-{drives}"
    release = write_years(uri, nights, cars)
    files = {table: version.files for table, version in release.tables.items()}
    table = _costs(f"{drives:,} drives, {nights} nights, {sum(files.values()):,} files")
    back = timedelta(days=min(365, nights // 2))
    drive, next_night = Night(LAST - back, cars).drive_id(cars // 2), Night(LAST + timedelta(days=1 + NIGHTS), cars)
    for what, operation, arguments in (
        ("current", _current, ()),
        (f"as_of {back.days} days back", _as_of, (LAST + timedelta(hours=10) - back,)),
        ("files of one drive", _files, (drive,)),
        ("dataset, narrowed", _dataset, (drive,)),
        ("publish, mean of 20", _publish, (cars,)),
        (
            "plan of a night",
            _plan,
            (_write_drives(nights if drives <= PLANNED else 0, cars), Night(LAST + timedelta(days=1), cars)),
        ),
        ("publish_drives", _publish_drives, (staged(Warehouse(uri), next_night),)),
        ("query of a drive in it", _by_query, (next_night.drive_id(cars // 2),)),
        ("once more", _by_query, (next_night.drive_id(cars // 3),)),
        ("read of a drive in it", _by_read, (next_night.drive_id(cars // 2),)),
    ):
        if operation is _plan and drives > PLANNED:
            continue
        asked.forget()
        cost = _alone(operation, uri, *arguments, ready=asked.forget)
        _add(table, what, cost, asked, NIGHTS if operation is _publish else 1)
    return table


def _current(uri: str) -> str:
    return f"release {Warehouse(uri).current().number}"


def _as_of(uri: str, moment: datetime) -> str:
    return f"release {Warehouse(uri).as_of(moment).number}"


def _files(uri: str, drive_id: str) -> str:
    warehouse = Warehouse(uri)
    return f"{len(warehouse.files(warehouse.published(), 'observations', drive_id=drive_id))} files"


def _dataset(uri: str, drive_id: str) -> str:
    warehouse = Warehouse(uri)
    import pyarrow.dataset as ds

    dataset = warehouse.dataset(warehouse.published(), "observations")
    return f"{len(list(dataset.get_fragments(filter=ds.field('drive_id') == drive_id)))} files"


def _publish(uri: str, cars: int) -> str:
    peak = 0.0
    for k in range(NIGHTS):
        night, begin = Night(LAST + timedelta(days=1 + k), cars), time.process_time()
        Warehouse(uri).publish(lambda _, night=night: Change("a night", tuple(night.files())))
        peak = max(peak, time.process_time() - begin)
    return f"{peak:.2f} s at most"


def _publish_drives(uri: str, drives: list[StagedDrive]) -> str:
    from roadscan.scan.ledger import publish

    release = publish(Warehouse(uri), drives)
    return f"version {release.tables['runs'].version}, {release.tables['runs'].files} files of runs"


def _write_drives(nights: int, cars: int) -> str:
    """A folder with a manifest for each drive of these nights, and with the drives of the next one."""
    from support.drives import CAMERA, frame

    from roadscan.survey.drive import write_drive

    raw = open_store(DRIVES)
    ids = [night.drive_id(car) for night in years(nights, cars) for car in range(cars)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda name: raw.write(f"{name}/drive.json", name.encode()), ids))
    night = Night(LAST + timedelta(days=1), cars)
    frames = pa.Table.from_pylist([frame(index, captured_at=night.begin) for index in range(10)], DRIVE_FRAMES)
    for car in range(cars):
        name = night.drive_id(car)
        write_drive(raw.child(name), drive_id=name, cameras=[CAMERA], frames=frames, source="bench")
    return raw.uri


def _plan(uri: str, drives: str, night: Night) -> str:
    from roadscan.nightly.config import NightlyConfig
    from roadscan.nightly.dates import nights_of
    from roadscan.nightly.plan import plan_nights

    tree = {"warehouse": uri, "time_zone": "UTC", "scan": {"drives": [drives], "model": "demo"}, "inventory": {}}
    now = night.begin + timedelta(hours=12)
    plan = plan_nights(
        NightlyConfig.model_validate(tree), nights_of(night.begin.date(), None, None, today=now.date()), now
    )
    return f"{sum(len(one.to_scan) for one in plan.nights)} new, {len(plan.left_out)} left out"


# Engines


def _engines(drives: int, asked: Asked) -> Table:
    """One drive's observations, by each engine, from a warehouse of real files."""
    from support import world

    uri, per_night = "s3://warehouse/real", 6
    warehouse = Warehouse(uri)
    for night in range(drives // per_night):
        one = world.make_world(night, 3000.0)
        world.commit(
            warehouse,
            *(world.drive(one, night, drive_id=f"car-{car:03d}-night-{night:03d}") for car in range(per_night)),
        )
    drive_id = f"car-003-night-{drives // per_night // 2:03d}"
    count = len(warehouse.files(warehouse.current(), "observations"))
    table = _costs(f"{drives} drives with real observations in {count} files; those of one drive")
    for what, operation in (
        ("roadscan query", _by_query),
        ("roadscan, read", _by_read),
        ("Polars scan_delta", _by_polars),
        ("pyarrow, to_pyarrow_dataset", _by_delta),
        ("pyarrow, all files", _by_files),
    ):
        cost = _alone(operation, uri, drive_id, ready=asked.forget)
        _add(table, what, cost, asked)
    return table


def _by_query(uri: str, drive_id: str) -> str:
    from roadscan.inventory.query import query

    found = query(uri, f"SELECT * FROM observations WHERE drive_id = '{drive_id}'")
    return f"{found.num_rows} rows"


def _by_read(uri: str, drive_id: str) -> str:
    warehouse = Warehouse(uri)
    return f"{warehouse.read(warehouse.published(), 'observations', drive_id=drive_id).num_rows} rows"


def _by_polars(uri: str, drive_id: str) -> str:
    import polars as pl

    address = f"{uri}/observations"
    table = pl.scan_delta(address, storage_options=engine_options(address))
    return f"{len(table.filter(pl.col('drive_id') == drive_id).collect())} rows"


def _by_delta(uri: str, drive_id: str) -> str:
    import pyarrow.dataset as ds
    from deltalake import DeltaTable

    address = f"{uri}/observations"
    table = DeltaTable(address, storage_options=engine_options(address))
    return f"{table.to_pyarrow_dataset().to_table(filter=ds.field('drive_id') == drive_id).num_rows} rows"


def _by_files(uri: str, drive_id: str) -> str:
    import pyarrow.dataset as ds

    warehouse = Warehouse(uri)
    system, root = arrow_filesystem(uri)
    files = [f"{root}/{file.path}" for file in warehouse.files(warehouse.published(), "observations")]
    found = ds.dataset(files, filesystem=system, format="parquet").to_table(filter=ds.field("drive_id") == drive_id)
    return f"{found.num_rows} rows"


# The peer


def _manifests(folder: str, drives: float) -> Table:
    table = Table("drives", "CPU s", "peak MB", "manifest MB", title="the peer: one publish into a manifest of 0.1")
    for number in (one for one, *_ in SIZES if one <= drives):
        path = Path(folder) / "manifest.json"
        with path.open("w") as out:
            out.write('{"number": 1, "files": [' + ",\n".join(map(json.dumps, _old_files(number))) + "]}")
        cost = _alone(_publish_manifest, str(path))
        table.add_row(f"{number:,}", f"{cost.cpu_s:.2f}", f"{cost.peak_mb:.0f}", f"{cost.answer / 1e6:.1f}")
    return table


@dataclass(frozen=True)
class _OldFile:
    table: str
    path: str
    rows: int
    bytes: int
    sha256: str
    drive_id: str | None = None


def _old_files(drives: int, first: int = 0) -> Iterator[dict[str, Any]]:
    for drive in range(first, first + drives):
        for part in range(FILES_A_DRIVE):
            digest = sha256_hex(f"{drive} {part}".encode())
            path = f"observations/survey_month=2026-10/car-{drive:06d}-2026-10-31-{digest[:16]}.parquet"
            yield asdict(_OldFile("observations", path, 512, 40_000, digest, f"car-{drive:06d}-2026-10-31"))


def _publish_manifest(path: str) -> int:
    """Bytes of the next manifest, with one drive more."""
    data = Path(path).read_bytes()
    sha256_hex(data)
    files = [_OldFile(**file) for file in json.loads(data)["files"]]
    new = [_OldFile(**file) for file in _old_files(1, 10**6)]
    kept = [file for file in files if file.drive_id != new[0].drive_id]
    files = sorted([*kept, *new], key=lambda file: (file.table, file.path))
    encoded = json.dumps({"number": 2, "files": [asdict(file) for file in files]}, indent=1).encode()
    sha256_hex(encoded)
    Path(path).with_suffix(".next").write_bytes(encoded)
    return len(encoded)


# Measuring


def _alone(operation: Callable[..., Any], *arguments: Any, ready: Callable[[], None] = lambda: None) -> Cost:
    """Run an operation in a process of its own; `ready` is called when that has its imports."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        imports = pool.submit(_imported, IMPORTS.get(operation.__name__, ())).result()
        ready()
        answer, cpu, peak = pool.submit(_measured, operation, arguments).result()
    return Cost(answer, cpu, peak, imports)


#: What an operation imports late, beside what every one does.
IMPORTS = {
    "_plan": ("roadscan.nightly.plan",),
    "_publish_drives": ("roadscan.scan.ledger",),
    "_by_query": ("roadscan.inventory.query", "pyarrow.dataset"),
    "_by_read": ("pyarrow.dataset",),
    "_dataset": ("pyarrow.dataset",),
    "_by_polars": ("deltalake", "polars"),
    "_by_delta": ("deltalake", "pyarrow.dataset"),
    "_by_files": ("pyarrow.dataset",),
}


def _imported(modules: tuple[str, ...]) -> float:
    for name in ("pandas", *modules):  # pyarrow imports it for its first array
        import_module(name)
    Warehouse(f"s3://warehouse/{os.getpid()}").store.exists("nothing")  # the client, of a second's CPU
    return _peak_mb()


def _measured(operation: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[Any, float, float]:
    begin = time.process_time()
    answer = operation(*arguments)
    return answer, time.process_time() - begin, _peak_mb()


def _peak_mb() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1000


def _costs(title: str) -> Table:
    names = ("CPU s", "peak MB", "of it imports", "requests", "of the log", "kB down", "kB up", "answer")
    table = Table("", *names, title=title, title_justify="left")
    for column in table.columns[1:8]:
        column.justify = "right"
    return table


def _add(table: Table, what: str, cost: Cost, asked: Asked, times: int = 1) -> None:
    counts = [f"{n / times:.4g}" for n in (asked.count(), asked.count(log=True), asked.down / 1e3, asked.up / 1e3)]
    counts[0] = asked.told() + (f" / {times}" if times > 1 else "")
    table.add_row(
        what, f"{cost.cpu_s / times:.3f}", f"{cost.peak_mb:.0f}", f"{cost.imports_mb:.0f}", *counts, str(cost.answer)
    )


if __name__ == "__main__":
    main()
