"""A warehouse after months or years of nights: real logs and releases, whose data files were never written.

Every night 200 cars drive 25,000 frames each, which is about 20 files of frames and observations. Their entries say of
drives, time, place and class what real ones would; `runs` is real, since publishing reads it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from roadscan.schemas import RUNS, TABLES
from roadscan.storage import sha256_hex
from roadscan.warehouse import DataFile, Release, Warehouse
from roadscan.warehouse import release as releases
from roadscan.warehouse.drives import RUNS_BYTES, StagedDrive
from roadscan.warehouse.files import data_file, encode, statistics
from roadscan.warehouse.warehouse import POINTER

DRIVES = "s3://raw/drives"
CARS = 200
FRAMES = 25_000  # a drive
FILES = {"frames": 6, "observations": 14}  # a night
BYTES = {"frames": 37, "observations": 61}  # a row, measured
LAST = datetime(2026, 10, 31, 13, tzinfo=UTC)  # begin of the newest night
NIGHT = timedelta(hours=9)
LON, LAT = (97.5, 105.5), (6.0, 20.0)
BOX_DEG = 0.4  # a drive's
CLASSES = ("Bridge Railing", "Traffic Sign")


@dataclass(frozen=True)
class Night:
    """One night's surveys."""

    begin: datetime
    cars: int = CARS

    def drive_id(self, car: int) -> str:
        """Such as ``car-017-2026-10-31``: ids that do not begin with the date are the hard case for statistics."""
        return f"car-{car:03d}-{self.begin:%Y-%m-%d}"

    def runs(self) -> pa.Table:
        """Its rows of `RUNS`."""
        n, rng = self.cars, np.random.default_rng(self.begin.toordinal())
        west, south = rng.uniform(LON[0], LON[1] - BOX_DEG, n), rng.uniform(LAT[0], LAT[1] - BOX_DEG, n)
        box = {"xmin": west, "ymin": south, "xmax": west + BOX_DEG, "ymax": south + BOX_DEG}
        ids = [self.drive_id(car) for car in range(n)]
        columns = {
            "drive_id": ids,
            "drive_uri": [f"{DRIVES}/{name}" for name in ids],
            "drive_sha256": [sha256_hex(name.encode()) for name in ids],
            "run_key": [rng.bytes(12).hex() for _ in ids],
            **{name: np.full(n, FRAMES) for name in ("frames", "frames_ok")},
            **{name: np.zeros(n) for name in ("frames_quarantined", "frames_failed")},
            "observations": np.full(n, 3 * FRAMES),
            **{name: ["5f" * 32] * n for name in ("model_sha256", "code_version")},
            "finished_at": [self.begin + NIGHT] * n,
            "started_at": [self.begin + timedelta(minutes=car) for car in range(n)],
            "ended_at": [self.begin + timedelta(hours=4, minutes=car) for car in range(n)],
            "length_m": rng.uniform(1e5, 2e5, n),
            "detections": [[{"class": name, "count": 3 * FRAMES // len(CLASSES)} for name in CLASSES]] * n,
            "bbox": pa.StructArray.from_arrays([pa.array(box[name]) for name in box], list(box)),
        }
        return pa.table([pa.array(columns[name]).cast(RUNS.field(name).type) for name in RUNS.names], schema=RUNS)

    def files(self) -> list[DataFile]:
        """Entries of its frames and observations, sorted by place: a file is a band of the country."""
        made = []
        for table, count in FILES.items():
            count = max(1, count * self.cars // CARS)
            rows = FRAMES * self.cars * (3 if table == "observations" else 1) // count
            edges = np.linspace(*LAT, count + 1)
            for south, north in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
                ranges = {
                    "drive_id": (self.drive_id(0), self.drive_id(self.cars - 1)),
                    "captured_at": (self.begin, self.begin + NIGHT),
                    "camera_lon": LON,
                    "camera_lat": (south, north),
                } | ({"class": CLASSES} if table == "observations" else {})
                start = f"{table}/survey_date={self.begin:%Y-%m-%d}/{table}"
                entry = data_file(table, start, f"{self.begin} {south}".encode(), pa.table({}))
                made.append(
                    DataFile(
                        table, entry.path, rows, rows * BYTES[table], statistics(rows, ranges, dict.fromkeys(ranges, 0))
                    )
                )
        return made


def nights(count: int, cars: int = CARS) -> Iterator[Night]:
    """The newest nights, the oldest of them first."""
    return (Night(LAST - timedelta(days=count - 1 - k), cars) for k in range(count))


def write_years(uri: str, count: int, cars: int = CARS) -> Release:
    """Leave in a new warehouse what so many nights leave; the release that is current then."""
    warehouse = Warehouse(uri)
    release, entry = Release(), None
    open_runs: list[pa.Table] = []
    standing: list[DataFile] = []
    for number, night in enumerate(nights(count, cars), 1):
        open_runs.append(night.runs())
        rows = pa.concat_tables(open_runs)
        full = rows.num_rows * _bytes_a_run(warehouse) > RUNS_BYTES
        runs = warehouse.write("runs", rows) if full or number == count else _entry(rows, number)
        full = full and runs.bytes >= RUNS_BYTES
        new = releases.successor(release, entry, night.begin + NIGHT)
        tables = dict(release.tables)
        for table, add, remove in [
            *((table, [file for file in night.files() if file.table == table], []) for table in FILES),
            ("runs", [runs], standing),
        ]:
            tables[table] = warehouse.log(table).commit(tables.get(table), add, remove, "a night")
            warehouse.log(table).checkpoint(tables[table].version)
        release = replace(new, note="a night", tables=tables)
        data, entry = releases.encode(release)
        warehouse.store.create(entry.path, data)
        open_runs, standing = ([], []) if full else (open_runs, [runs])
    assert entry is not None
    pointer = {"release": release.number, "path": entry.path, "sha256": entry.sha256}
    warehouse.store.create(POINTER, json.dumps(pointer).encode())
    return release


def staged(warehouse: Warehouse, night: Night, frames: int = 10) -> list[StagedDrive]:
    """A night's drives, of a few real frames each: putting rows together costs the same after any number of years."""
    drives = []
    for run in night.runs().to_pylist():
        start = {name: run[name] for name in ("drive_id", "run_key", "model_sha256", "code_version")}
        start |= {
            "captured_at": run["started_at"],
            "camera_lon": run["bbox"]["xmin"],
            "camera_lat": run["bbox"]["ymin"],
        }
        start |= {"camera_id": "front", "status": "ok", "n_detections": 1, "class": CLASSES[0], "score": 0.5}
        ids = [{"frame_id": f"{k:06d}", "observation_id": f"{run['drive_id']}-{k:06d}-0"} for k in range(frames)]
        files = []
        for table in FILES:
            schema = TABLES[table]
            rows = pa.Table.from_pylist([dict.fromkeys(schema.names) | start | one for one in ids], schema)
            files.append(warehouse.stage(table, rows, f"{run['drive_id']}/{table}"))
        drives.append(StagedDrive(run, tuple(files)))
    return drives


def _bytes_a_run(warehouse: Warehouse, known: dict[str, float] = {}) -> float:  # noqa: B006 - measured once
    if not known:
        rows = pa.concat_tables([night.runs() for night in nights(20)])
        known["bytes"] = len(encode("runs", rows)[0]) / rows.num_rows
    return known["bytes"]


def _entry(rows: pa.Table, number: int) -> DataFile:
    """Of a file that was written again the next night, and that nobody reads any more."""
    return data_file("runs", "runs/runs", str(number).encode(), rows)
