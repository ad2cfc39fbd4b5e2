"""How long the shipped views take over a register of four million assets, as `roadscan query` asks them.

    python tests/benchmarks/bench_views.py                    # 4 million assets: 2 GB on disk, 8 in memory
    python tests/benchmarks/bench_views.py --assets 4e5       # quicker
    python tests/benchmarks/bench_views.py --keep /tmp/views  # the warehouse stays there, and is used again

A made-up network of sections of 30 km with 40 assets a kilometre goes through `Warehouse.write` and
`Warehouse.publish`: changes of a tenth of the assets, a history of what up to five drives a section saw, of each cell
in an open and two settled files, two detections of every asset that a drive saw, coverage of every kilometre, a run of
each drive, and the frames of those hundred that drove first. Each question then runs in a connection of its own, in a
process that has verified the files before; `open` is until the tables and views are there, `run` is until the answer is
an Arrow table, `CPU` is both by the processors' time. The ratio is of that to reading, in the same run, five columns of
all assets without doing anything with them.

A question for all that drives said has no limit: it reads everything, and is set beside reading the same columns of the
same files by DuckDB alone.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import NamedTuple

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from rich.console import Console
from rich.table import Table

from roadscan.inventory.query.sql import OFFLINE, check_reads, define_views
from roadscan.inventory.register.geoparquet import geo_metadata, geometry_columns, hilbert_distance
from roadscan.inventory.tiles.cells import index_cells
from roadscan.inventory.views import VIEWS, stored_views
from roadscan.schemas import (
    ASSET_ALIAS,
    ASSET_CHANGES,
    ASSET_HISTORY,
    ASSET_OBSERVATIONS,
    ASSETS,
    COVERAGE,
    FRAMES,
    RUNS,
)
from roadscan.taxonomy import HIGHWAY, Geometry
from roadscan.warehouse import DataFile, Warehouse

PER_KM, SECTION_KM, SECTIONS_A_ROUTE, SECTIONS_A_DRIVE = 40, 30, 10, 3
CHUNK = 1_000_000  # rows in memory at once
HOUR_US = 3_600_000_000
NEWEST_US = 1_790_000_000_000_000  # September 2026
STATES, SHARES = ("confirmed", "candidate", "suspect", "missing", "rejected"), (0.80, 0.12, 0.03, 0.04, 0.01)
CROCKFORD = np.frombuffer(b"0123456789ABCDEFGHJKMNPQRSTVWXYZ", np.uint8)
PEER = "SELECT count(class), count(route_code), count(section_code), sum(km_m), count(state) FROM assets"
LIMIT_MS = 200
SOURCES = ("assets", "asset_changes", "asset_alias", "coverage")

ROUTE = "route_code = '0007'"
SECTION = f"{ROUTE} AND section_code = '0102'"
BOX = "bbox.xmin > {west} AND bbox.xmax < {east} AND bbox.ymin > {south} AND bbox.ymax < {north}"
MONTH = "changed_at > TIMESTAMPTZ '{month}'"
POLE = "class = 'Single-Arm Pole'"
BY_CLASS = "SELECT class, seen, count(*), avg(score)"
UNLIMITED = "asset_timeline", "all, by class"
SUMMARY = "SELECT class, count(*) AS n, count(evidence_uri) AS seen"  # of views that give a row an asset
#: What is asked: the view, what of it, and the SQL. `{id}` is some asset's id, `{changed}` that of one
#: that changed where frames are, `{old}` one that is no longer given.
QUESTIONS = (
    ("", "count of assets", "SELECT count(*) FROM assets"),
    ("", "reading 5 columns", PEER),
    ("assets_current", "one section", f"SELECT * FROM assets_current WHERE {SECTION}"),
    ("assets_current", "one id", "SELECT * FROM assets_current WHERE asset_id = '{id}'"),
    ("assets_current", "a box on the map", f"SELECT * FROM assets_current WHERE {BOX}"),
    ("assets_current", "all, by class", "SELECT class, count(*) FROM assets_current GROUP BY class"),
    ("assets_per_class", "all", "SELECT * FROM assets_per_class"),
    ("assets_per_km", "one route", f"SELECT * FROM assets_per_km WHERE {ROUTE}"),
    ("assets_per_km", "one class", f"SELECT * FROM assets_per_km WHERE {POLE}"),
    ("assets_per_km", "all", "SELECT * FROM assets_per_km"),
    ("assets_per_district", "one district", "SELECT * FROM assets_per_district WHERE district = 'district-007'"),
    ("assets_per_district", "all", "SELECT * FROM assets_per_district"),
    ("guardrail_km", "one route", f"SELECT * FROM guardrail_km WHERE {ROUTE}"),
    ("guardrail_km", "all", "SELECT * FROM guardrail_km"),
    ("asset_gaps", "one route, a class", f"SELECT * FROM asset_gaps WHERE {ROUTE} AND {POLE} AND gap_m > 200"),
    ("asset_gaps", "a class, > 1 km", f"SELECT * FROM asset_gaps WHERE {POLE} AND gap_m > 1000"),
    ("asset_gaps", "all, > 1 km", "SELECT * FROM asset_gaps WHERE gap_m > 1000"),
    ("changes", "last 30 days", f"SELECT * FROM changes WHERE {MONTH}"),
    ("changes", "all, by kind", "SELECT change, state, count(*) FROM changes GROUP BY ALL"),
    ("changes_since", "last 30 days", f"SELECT * FROM changes_since WHERE {MONTH}"),
    ("changes_since", "of one route", f"SELECT * FROM changes_since WHERE {MONTH} AND {ROUTE}"),
    ("changes_since", "all, by route", "SELECT route_code, change, count(*) FROM changes_since GROUP BY ALL"),
    ("missing_assets", "one route", f"SELECT * FROM missing_assets WHERE {ROUTE}"),
    ("missing_assets", "all, by class", f"{SUMMARY}, max(missing_since) FROM missing_assets GROUP BY class"),
    ("asset_ids", "one old id", "SELECT asset_id FROM asset_ids WHERE id = '{old}'"),
    ("asset_ids", "all, by reason", "SELECT reason, count(*) FROM asset_ids GROUP BY reason"),
    ("change_photographs", "one id", "SELECT * FROM change_photographs WHERE asset_id = '{changed}'"),
    ("asset_timeline", "one id", "SELECT * FROM asset_timeline WHERE asset_id = '{id}'"),
    ("asset_timeline", "one route", f"SELECT * FROM asset_timeline WHERE {ROUTE}"),
    ("asset_timeline", "all, by class", f"{BY_CLASS} FROM asset_timeline GROUP BY ALL"),
    ("survey_age", "one route", f"SELECT * FROM survey_age WHERE {ROUTE}"),
    ("survey_age", "over a year ago", "SELECT * FROM survey_age WHERE days > 365 OR drives = 0"),
    ("survey_age", "all", "SELECT * FROM survey_age"),
    ("unsurveyed_km", "one route", f"SELECT * FROM unsurveyed_km WHERE {ROUTE}"),
    ("unsurveyed_km", "all", "SELECT * FROM unsurveyed_km"),
    ("surveyed_frames", "one drive", "SELECT * FROM surveyed_frames WHERE drive_id = 'drive-00007'"),
    ("surveyed_frames", "all, by drive", "SELECT drive_id, max(captured_at) FROM surveyed_frames GROUP BY drive_id"),
    ("drive_coverage", "all", "SELECT * FROM drive_coverage"),
    ("quarantine", "all", "SELECT * FROM quarantine"),
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--assets", type=float, default=4e6)
    parser.add_argument("--runs", type=int, default=5, help="of each question, after one to warm up")
    parser.add_argument("--keep", type=Path, help="the warehouse's folder; used as it is if there is one")
    parser.add_argument("--only", default="", help="questions of views with this in their name")
    arguments = parser.parse_args()
    assert {view for view, *_ in QUESTIONS} >= VIEWS.keys(), "a view is not asked for"
    with tempfile.TemporaryDirectory(prefix="bench-views-") as folder:
        uri = str(arguments.keep or folder)
        if not (Path(uri) / "current.json").exists():
            write_warehouse(uri, int(arguments.assets))
        warehouse, console = Warehouse(uri), Console(width=120)
        sizes: dict[str, tuple[int, int]] = {}
        release = warehouse.current()
        for file in (file for table in release.tables for file in warehouse.files(release, table)):
            rows, size = sizes.get(file.table, (0, 0))
            sizes[file.table] = rows + file.rows, size + file.bytes
        for table, (rows, size) in sizes.items():
            console.print(f"{table:14} {rows:>11,} rows {size / 1e6:>7.0f} MB {size / max(rows, 1):>5.0f} bytes a row")
        console.print(time_all(warehouse, arguments.runs, arguments.only))
        if arguments.only in UNLIMITED[0]:
            console.print(compare_all(warehouse))


def time_all(warehouse: Warehouse, runs: int, only: str) -> Table:
    """Each question's median times, in milliseconds."""
    known = _known(warehouse)
    table = Table("view", "what", "rows", "open ms", "run ms", "CPU ms", f"≤ {LIMIT_MS}", "ratio to reading 5 columns")
    for column in table.columns[2:]:
        column.justify = "right"
    peer = median(_ask(warehouse, PEER).cpu for _ in range(runs + 1))
    for view, what, sql in QUESTIONS:
        if only in view:
            asked = [_ask(warehouse, sql.format(**known)) for _ in range(runs + 1)][1:]
            opening, running, cpu, _ = map(median, zip(*asked, strict=True))
            good = "-" if (view, what) == UNLIMITED else "yes" if opening + running <= LIMIT_MS else "no"
            times = f"{opening:.0f}", f"{running:.0f}", f"{cpu:.0f}", good, f"{cpu / peer:.2f}"
            table.add_row(view or "(peer)", what, f"{asked[0].rows:,}", *times)
    return table


def compare_all(warehouse: Warehouse) -> str:
    """Reading all that drives said through its view, and the files of `asset_history` alone."""
    paths = [str(path) for path in warehouse.local_files(warehouse.files(warehouse.current(), "asset_history"))]
    rows = warehouse.current().rows("asset_history")
    bare, through = [], []
    for _ in range(3):
        started = time.process_time()
        with duckdb.connect(":memory:", config=OFFLINE) as connection:
            connection.execute(f"{BY_CLASS} FROM read_parquet($paths) GROUP BY ALL", {"paths": paths}).fetchall()
        bare.append(time.process_time() - started)
        started = time.process_time()
        _ask(warehouse, f"{BY_CLASS} FROM asset_timeline GROUP BY ALL")
        through.append(time.process_time() - started)
    return (
        f"all of asset_timeline: {rows / median(through) / 1e6:.2f} million rows a processor second, "
        f"{median(through) / median(bare):.1f} times the processor time of the bare files"
    )


class Asked(NamedTuple):
    """Milliseconds of opening, of running and of the processors in both; the answer's rows."""

    opening: float
    running: float
    cpu: float
    rows: int


def _ask(warehouse: Warehouse, sql: str) -> Asked:
    """Ask one question, by the steps of `roadscan.inventory.query.sql`."""
    started, cpu = time.perf_counter(), time.process_time()
    release = Warehouse(warehouse.store.uri).current()
    with duckdb.connect(":memory:", config=OFFLINE) as connection:
        check_reads(connection, sql)
        define_views(connection, warehouse, release, sql)
        opened = time.perf_counter()
        rows = connection.sql(sql).to_arrow_table().num_rows
        ended = time.perf_counter()
    cpu = time.process_time() - cpu
    return Asked(1000 * (opened - started), 1000 * (ended - opened), 1000 * cpu, rows)


def _known(warehouse: Warehouse) -> dict[str, object]:
    """Values that questions are about, from the middle of the register."""
    from roadscan.inventory.query import query

    uri = warehouse.store.uri
    seen = f"SELECT asset_id FROM asset_timeline WHERE {SECTION} AND state = 'confirmed' LIMIT 1"
    (asset,) = query(uri, f"SELECT * FROM assets WHERE asset_id IN ({seen})").to_pylist()
    (last,) = query(uri, "SELECT (max(changed_at) - INTERVAL 30 DAY)::VARCHAR AS month FROM asset_changes").to_pylist()
    (alias,) = query(uri, "SELECT alias_id AS old FROM asset_alias LIMIT 1").to_pylist()
    (changed,) = query(
        uri,
        "SELECT c.asset_id AS changed FROM changes_since AS c JOIN coverage AS d USING (route_code, section_code) "
        "WHERE c.km_m // 1000 = d.km AND d.drive_id = 'drive-00050' LIMIT 1",
    ).to_pylist()
    lon, lat = asset["lon"], asset["lat"]
    box = {"west": lon - 0.05, "east": lon + 0.05, "south": lat - 0.05, "north": lat + 0.05}
    return {"id": asset["asset_id"], **last, **alias, **changed, **box}


def write_warehouse(uri: str, count: int) -> None:
    """Make the register and its surroundings, and publish them as one release."""
    rng = np.random.default_rng(1)
    warehouse = Warehouse(uri)
    network = _network(count, rng)
    files = list(_all_files(warehouse, network, rng))
    tables = {name: warehouse.read_files([file for file in files if file.table == name], name) for name in SOURCES}
    started = time.perf_counter()
    for name, table in stored_views(tables).items():
        files.append(warehouse.write(name, table))
    files.append(index_cells(warehouse, warehouse.current(), tables, files))
    print(f"{time.perf_counter() - started:.1f} s for what is computed when publishing", file=sys.stderr)
    warehouse.publish(lambda release: warehouse.replacement(release, files, f"{count} assets"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"{count:,} assets written; the peak of memory was {peak:.1f} GB", file=sys.stderr)


@dataclass(frozen=True)
class Network:
    """Sections of road, the assets along them in the order of the register, and who drove there when.

    Attributes:
        lonlat: (s, 2) where each section begins.
        course: (s, 2) degrees a kilometre along it.
        section: (n,) of each asset, -1 where it is on none.
        km_m: (n,) metres from the section's start.
        place: (n, 2) degrees.
        ids: (n, 26) their ids, ASCII.
        kind: (n,) their classes' numbers.
        drives: (d, 2) time in microseconds, and the first of the sections that were driven; by time.
    """

    lonlat: np.ndarray
    course: np.ndarray
    section: np.ndarray
    km_m: np.ndarray
    place: np.ndarray
    ids: np.ndarray
    kind: np.ndarray
    drives: np.ndarray


def _network(count: int, rng: np.random.Generator) -> Network:
    sections = max(SECTIONS_A_ROUTE * 10, -(-count // (PER_KM * SECTION_KM)))
    lonlat = np.stack([rng.uniform(98, 105, sections), rng.uniform(6, 20, sections)], 1)
    angle = rng.uniform(0, 2 * np.pi, sections)
    course = np.stack([np.sin(angle), np.cos(angle)], 1) / 110
    section = rng.integers(0, sections, count)
    km_m = rng.integers(0, SECTION_KM * 1000, count)
    place = lonlat[section] + course[section] * km_m[:, None] / 1000 + rng.normal(0, 5e-5, (count, 2))
    order = np.argsort(hilbert_distance(*place.T), kind="stable")
    section = np.where(rng.random(count) < 0.03, -1, section)[order]
    trips = np.arange(0, sections, SECTIONS_A_DRIVE)
    trips = np.repeat(trips, np.where(rng.random(len(trips)) < 0.15, 0, rng.integers(1, 6, len(trips))))
    times = np.sort(NEWEST_US - rng.integers(0, 900 * 24, len(trips)) * HOUR_US)
    drives = np.stack([times, rng.permutation(trips)], 1)
    weights = np.array([0.35, *[0.65 / (len(HIGHWAY.classes) - 1)] * (len(HIGHWAY.classes) - 1)])
    names = sorted(range(len(HIGHWAY.classes)), key=lambda n: HIGHWAY.classes[n].name != "Single-Arm Pole")
    kind = np.array(names)[rng.choice(len(names), count, p=weights)]
    return Network(lonlat, course, section, km_m[order], place[order], _ulids(count, rng), kind, drives)


def _ulids(count: int, rng: np.random.Generator) -> np.ndarray:
    """(n, 26) ids of two hundred inventory runs: the time of the run, then chance."""
    ids = CROCKFORD[rng.integers(0, 32, (count, 26), dtype=np.uint8)]
    time_part = np.sort(CROCKFORD[rng.integers(0, 32, (200, 7), dtype=np.uint8)], axis=0)
    ids[:, :3], ids[:, 3:10] = np.frombuffer(b"01K", np.uint8), time_part[rng.integers(0, 200, count)]
    return ids


def _all_files(warehouse: Warehouse, network: Network, rng: np.random.Generator) -> Iterator[DataFile]:
    for table, parts in (
        ("assets", _assets(network, rng)),
        ("asset_changes", _changes(network, rng)),
        ("asset_alias", _aliases(network, rng)),
        ("coverage", _coverage(network)),
    ):
        for part in parts:
            yield warehouse.write(table, part)
    yield warehouse.write("runs", _runs(network))
    history = pa.concat_tables(list(_history(network, rng))).sort_by("tile")
    counts = pc.value_counts(history["tile"]).to_pylist()
    start = 0
    for one in counts:
        rows = history.slice(start, one["counts"])
        start += one["counts"]
        yield from _of_cell(warehouse, "asset_history", rows, "looked_at")
        yield from _of_cell(warehouse, "asset_observations", _observations(rows.filter(rows["seen"])), "captured_at")
    for number in range(min(100, len(network.drives))):
        yield warehouse.write("frames", _frames(network, number, rng), folder="survey_date=2026-01-01")


def _of_cell(warehouse: Warehouse, table: str, rows: pa.Table, time_column: str) -> Iterator[DataFile]:
    """The rows of a cell as the register has them: the newest third is still open, what is settled is in two files."""
    cell = rows["tile"][0].as_py().replace(",", "_")
    rows = rows.sort_by(time_column)
    ends = [0, rows.num_rows // 6, rows.num_rows * 2 // 3, rows.num_rows]
    for folder, start, stop in zip(("settled", "settled", "open"), ends, ends[1:], strict=False):
        part = rows.slice(start, stop - start).sort_by([("asset_id", "ascending"), (time_column, "ascending")])
        yield warehouse.write(table, part, folder=f"cell={cell}/{folder}")


def _assets(network: Network, rng: np.random.Generator) -> Iterator[pa.Table]:
    is_line = np.array([c.geometry is Geometry.LINE for c in HIGHWAY.classes])
    model = "5f" * 32
    for start in range(0, len(network.section), CHUNK):
        part = slice(start, start + CHUNK)
        section, km, place, kind = (getattr(network, name)[part] for name in ("section", "km_m", "place", "kind"))
        n, on = len(section), section >= 0
        line = is_line[kind]
        length = np.where(line, rng.integers(40, 400, n), 0)
        ends = place + network.course[section] * length[:, None] / 1000
        shapes = shapely.points(place)
        shapes[line] = shapely.linestrings(np.stack([place[line], ends[line]], 1))
        seen = NEWEST_US - rng.integers(0, 600 * 24, n) * HOUR_US
        sigma = rng.uniform(0.8, 4.0, n)
        columns = {
            "asset_id": _text(network.ids[part]),
            "class": _chosen([c.name for c in HIGHWAY.classes], kind),
            **geometry_columns(shapes),
            "lon": place[:, 0],
            "lat": place[:, 1],
            "pos_sigma_m": sigma,
            "cov_ee_m2": sigma**2 / 2,
            "cov_en_m2": sigma * 0.01,
            "cov_nn_m2": sigma**2 / 2,
            "length_m": pa.array(length.astype(float), mask=~line),
            "side": _chosen(["left", "right"], rng.integers(0, 2, n)),
            "state": _chosen(STATES, rng.choice(len(STATES), n, p=SHARES)),
            "score": rng.uniform(0.3, 1, n),
            "n_observations": rng.integers(2, 60, n, dtype=np.int32),
            "n_nights": rng.integers(1, 6, n, dtype=np.int32),
            "first_seen": seen - 24 * HOUR_US,
            "last_seen": seen,
            "last_drive_id": _numbered("drive-{:05d}", rng.integers(0, len(network.drives), n)),
            "evidence_uri": _numbered("images/2026/drive-{:07d}.jpg", rng.integers(0, 10**7, n)),
            "evidence_box_px": _boxes(n, rng),
            "model_sha256": _chosen([model], np.zeros(n, int)),
            "existence": rng.uniform(0, 1, n),
            "azimuth_deg": pa.array(rng.uniform(0, 360, n), mask=line),
            "route_code": _code(section // SECTIONS_A_ROUTE, on),
            "section_code": _code(100 + section % SECTIONS_A_ROUTE, on),
            "district": _chosen([f"district-{k:03d}" for k in range(100)], section // SECTIONS_A_ROUTE % 100, on),
            "km_m": pa.array(km.astype(np.int32), mask=~on),
            "km_end_m": pa.array((km + length).astype(np.int32), mask=~(on & line)),
            "offset_m": pa.array(rng.normal(0, 8, n), mask=~on),
            "carriageway": pa.nulls(n, pa.string()),
            "lrs_version": _chosen(["2026-01"], np.zeros(n, int), on),
        }
        yield _table(columns, ASSETS, geo_metadata(shapes[:1000]))


def _changes(network: Network, rng: np.random.Generator) -> Iterator[pa.Table]:
    count = len(network.section) // 10
    asset = rng.choice(len(network.section), count, replace=False)
    drive = np.sort(rng.integers(0, len(network.drives), count))
    columns = {
        "asset_id": _text(network.ids[asset]),
        "class": _chosen([c.name for c in HIGHWAY.classes], network.kind[asset]),
        "change": _chosen(["new", "suspect", "missing", "reappeared"], rng.choice(4, count, p=[0.6, 0.2, 0.15, 0.05])),
        "drive_id": _numbered("drive-{:05d}", drive),
        "changed_at": network.drives[drive, 0],
        "lon": network.place[asset, 0],
        "lat": network.place[asset, 1],
    }
    yield _table(columns, ASSET_CHANGES)


def _history(network: Network, rng: np.random.Generator) -> Iterator[pa.Table]:
    """Each drive's rows together, by id, since the drives come in time; a third of a section's assets a drive saw."""
    order = np.argsort(network.section, kind="stable")
    starts = np.searchsorted(network.section[order], np.arange(len(network.lonlat) + SECTIONS_A_DRIVE + 1))
    assets, drives, rows = [], [], 0
    for drive, first in enumerate(network.drives[:, 1].tolist()):
        mine = order[starts[first] : starts[first + SECTIONS_A_DRIVE]]
        mine = mine[rng.random(len(mine)) < 0.6]
        assets.append(mine[np.argsort(network.ids[mine].view("S26").ravel())])
        drives.append(np.full(len(mine), drive))
        rows += len(mine)
        if rows >= CHUNK or drive == len(network.drives) - 1:
            yield _told(network, np.concatenate(assets), np.concatenate(drives), rng)
            assets, drives, rows = [], [], 0


def _told(network: Network, asset: np.ndarray, drive: np.ndarray, rng: np.random.Generator) -> pa.Table:
    n = len(asset)
    seen = rng.random(n) < 0.85
    columns = {
        "asset_id": _text(network.ids[asset]),
        "class": _chosen([c.name for c in HIGHWAY.classes], network.kind[asset]),
        "drive_id": _numbered("drive-{:05d}", drive),
        "seen": seen,
        "looked_at": network.drives[drive, 0],
        "lon": pa.array(network.place[asset, 0] + rng.normal(0, 1e-5, n), mask=~seen),
        "lat": pa.array(network.place[asset, 1] + rng.normal(0, 1e-5, n), mask=~seen),
        "pos_sigma_m": pa.array(rng.uniform(1, 4, n), mask=~seen),
        "hits": np.where(seen, rng.integers(1, 9, n), 0).astype(np.int32),
        "covering": rng.integers(1, 9, n, dtype=np.int32),
        "score": pa.array(rng.uniform(0.3, 1, n), mask=~seen),
        "tile": _cells(network.place[asset]),
    }
    return _table(columns, ASSET_HISTORY)


def _observations(seen: pa.Table) -> pa.Table:
    """Two detections of each asset that a drive saw."""
    rows = seen.take(pa.array(np.repeat(np.arange(seen.num_rows), 2)))
    n = rows.num_rows
    columns = {name: rows[name].combine_chunks() for name in ("asset_id", "class", "drive_id", "tile")}
    columns |= {
        "observation_id": pc.binary_join_element_wise(rows["asset_id"], _numbered("{:07d}", np.arange(n)), "-"),
        "frame_id": _numbered("{:06d}", np.arange(n) % 10_000),
        "image_uri": _numbered("images/{:06d}.jpg", np.arange(n) % 10_000),
        "captured_at": rows["looked_at"],
        "box_px": _boxes(n, np.random.default_rng(n)),
        "score": rows["score"],
    }
    return _table(columns, ASSET_OBSERVATIONS)


def _runs(network: Network) -> pa.Table:
    n = len(network.drives)
    place = network.lonlat[network.drives[:, 1]]
    corners = dict(zip(("xmin", "ymin", "xmax", "ymax"), (*place.T, *(place + 0.5).T), strict=True))
    columns = {
        "drive_id": _numbered("drive-{:05d}", np.arange(n)),
        "drive_uri": _numbered("drives/{:05d}", np.arange(n)),
        "drive_sha256": _chosen(["a" * 64], np.zeros(n, int)),
        "run_key": _chosen(["a" * 24], np.zeros(n, int)),
        **{name: np.full(n, 10_000, np.int32) for name in ("frames", "frames_ok", "observations")},
        **{name: np.zeros(n, np.int32) for name in ("frames_quarantined", "frames_failed")},
        "model_sha256": _chosen(["5f" * 32], np.zeros(n, int)),
        "code_version": _chosen(["0"], np.zeros(n, int)),
        "finished_at": network.drives[:, 0] + 4 * HOUR_US,
        "started_at": network.drives[:, 0],
        "ended_at": network.drives[:, 0] + 2 * HOUR_US,
        "bbox": pa.StructArray.from_arrays([pa.array(v) for v in corners.values()], list(corners)),
        "length_m": np.full(n, 90_000.0),
        "detections": pa.nulls(n, RUNS.field("detections").type),
    }
    return _table(columns, RUNS)


def _cells(place: np.ndarray) -> pa.Array:
    """The cell of half a degree that each place lies in, as a tile is written."""
    cell = np.floor(place / 0.5).astype(int)
    return pc.binary_join_element_wise(*(pa.array(part).cast(pa.string()) for part in cell.T), ",")


def _aliases(network: Network, rng: np.random.Generator) -> Iterator[pa.Table]:
    count = len(network.section) // 200
    asset = rng.integers(0, len(network.section), count)
    old = _ulids(count, rng)
    since = np.full(count, NEWEST_US)
    columns = {"alias_id": _text(old), "asset_id": _text(network.ids[asset]), "since": since}
    yield _table(columns | {"reason": _chosen(["merged"], np.zeros(count, int))}, ASSET_ALIAS)


def _coverage(network: Network) -> Iterator[pa.Table]:
    sections = len(network.lonlat)
    driven = (network.drives[:, 1][:, None] + np.arange(SECTIONS_A_DRIVE)).ravel()
    drive = np.repeat(np.arange(len(network.drives)), SECTIONS_A_DRIVE)
    drive, driven = drive[driven < sections], driven[driven < sections]
    never = np.setdiff1d(np.arange(sections), driven)
    section, by = np.concatenate([driven, never]), np.concatenate([drive, np.full(len(never), -1)])
    order = np.lexsort([by, section])
    section, by = np.repeat(section[order], SECTION_KM), np.repeat(by[order], SECTION_KM)
    km = np.tile(np.arange(SECTION_KM), len(order))
    order = np.lexsort([by, km, section])
    section, by, km = section[order], by[order], km[order]
    middle = network.lonlat[section] + network.course[section] * (km[:, None] + 0.5)
    at = network.drives[by, 0]
    columns = {
        "route_code": _code(section // SECTIONS_A_ROUTE),
        "section_code": _code(100 + section % SECTIONS_A_ROUTE),
        "district": _chosen([f"district-{k:03d}" for k in range(100)], section // SECTIONS_A_ROUTE % 100),
        "km": km.astype(np.int32),
        "length_m": np.full(len(km), 1000.0),
        "lon": middle[:, 0],
        "lat": middle[:, 1],
        "drive_id": pa.array(_numbered("drive-{:05d}", by).to_numpy(zero_copy_only=False), mask=by < 0),
        "first_at": pa.array(at, mask=by < 0),
        "last_at": pa.array(at + 40_000_000, mask=by < 0),
        "frames": np.where(by < 0, 0, 80).astype(np.int32),
        "lrs_version": _chosen(["2026-01"], np.zeros(len(km), int)),
    }
    yield _table(columns, COVERAGE)


def _frames(network: Network, number: int, rng: np.random.Generator) -> pa.Table:
    """Of one drive, along the sections that it drove."""
    n, drive_id = max(len(network.section) // 400, 10), f"drive-{number:05d}"
    ok = rng.random(n) < 0.995
    along = np.arange(n) * SECTIONS_A_DRIVE / n
    section = np.minimum(network.drives[number, 1] + along.astype(int), len(network.lonlat) - 1)
    place = network.lonlat[section] + network.course[section] * (along % 1 * SECTION_KM)[:, None]
    columns = {
        "drive_id": _chosen([drive_id], np.zeros(n, int)),
        "frame_id": _numbered("{:06d}", np.arange(n)),
        "image_uri": _numbered("images/{:06d}.jpg", np.arange(n)),
        "captured_at": network.drives[number, 0] + np.arange(n) * 500_000,
        "camera_lon": place[:, 0],
        "camera_lat": place[:, 1],
        "heading_deg": np.degrees(np.arctan2(*network.course[section].T)) % 360,
        "camera_id": _chosen(["front"], np.zeros(n, int)),
        "fov_deg": np.full(n, 65.0),
        "status": _chosen(["ok", "quarantined"], (~ok).astype(int)),
        "reason": _chosen(["the image cannot be decoded"], np.zeros(n, int), ~ok),
        "width_px": np.full(n, 1920, np.int32),
        "height_px": np.full(n, 1080, np.int32),
        "n_detections": rng.integers(0, 6, n, dtype=np.int32),
        "run_key": _chosen(["a" * 24], np.zeros(n, int)),
    }
    return _table(columns, FRAMES)


def _table(columns: dict[str, object], schema: pa.Schema, metadata: dict[bytes, bytes] | None = None) -> pa.Table:
    rows = len(next(iter(columns.values())))
    given = (columns.get(name, pa.nulls(rows)) for name in schema.names)
    arrays = [(v if isinstance(v, pa.Array) else pa.array(v)) for v in given]
    cast = [array.cast(field.type) for array, field in zip(arrays, schema, strict=True)]
    return pa.Table.from_arrays(cast, schema=schema).replace_schema_metadata({**schema.metadata, **(metadata or {})})


def _text(letters: np.ndarray) -> pa.Array:
    """Strings of equal length from their letters, (n, width)."""
    n, width = letters.shape
    offsets = np.arange(0, (n + 1) * width, width, dtype=np.int32)
    data = np.ascontiguousarray(letters)
    return pa.StringArray.from_buffers(n, pa.py_buffer(offsets), pa.py_buffer(data))


def _chosen(words: list[str] | tuple[str, ...], number: np.ndarray, valid: np.ndarray | None = None) -> pa.Array:
    indices = pa.array(number.astype(np.int32), mask=None if valid is None else ~valid)
    return pa.array(words, pa.string()).take(indices)


def _numbered(pattern: str, number: np.ndarray) -> pa.Array:
    distinct, place = np.unique(number, return_inverse=True)
    return pa.array([pattern.format(k) for k in distinct.tolist()]).take(pa.array(place))


def _code(number: np.ndarray, valid: np.ndarray | None = None) -> pa.Array:
    return _chosen([f"{k:04d}" for k in range(10_000)], np.maximum(number, 0), valid)


def _boxes(n: int, rng: np.random.Generator) -> pa.Array:
    corner = rng.uniform(0, 1000, (n, 2)).round().astype(np.float32)
    boxes = np.concatenate([corner, corner + 60], axis=1)
    return pa.FixedSizeListArray.from_arrays(pa.array(boxes.ravel()), 4)


if __name__ == "__main__":
    main()
