"""Drives whose rows are staged to one release: put together in files that are worth opening, in place of older rows.

A scan stages many small files. A query about one place or one drive should open few files, and of those few row groups,
and a log of years should stay short: so rows are written again by survey date, then by place, before a release names
them. What `runs` says of a drive finds its rows later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from roadscan.parsing import read_json
from roadscan.schemas import RUNS
from roadscan.warehouse.files import DataFile
from roadscan.warehouse.release import Change, Release
from roadscan.warehouse.warehouse import SURVEYED, Warehouse

FILE_BYTES = 128 << 20  # about: what lies in one file
SMALL_BYTES = 8 << 20  # a smaller file is written again with new rows of its date
RUNS_BYTES = 6 << 20  # and one of `runs` with those of any: a night's memory, against files that a query looks at
CELL_DEG = 0.1  # rows of one place lie together
UNDATED = "unknown"


@dataclass(frozen=True)
class StagedDrive:
    """A drive that no release has yet.

    Attributes:
        run: its row of `RUNS`; when and where it drove is added from its files.
        files: staged files of its frames and observations.
    """

    run: Mapping[str, Any]
    files: tuple[DataFile, ...]

    @property
    def drive_id(self) -> str:
        """Its id."""
        return str(self.run["drive_id"])


def publish_drives(
    warehouse: Warehouse, drives: Sequence[StagedDrive], wanted: Callable[[Release], Sequence[str]], note: str
) -> Release:
    """Make staged drives visible in one release, each in place of what was there under its id.

    Args:
        warehouse: where they are staged.
        drives: with ids of their own.
        wanted: the ids of those that a release is to get; none of them, and nothing is published.
        note: of the release.

    Raises:
        Conflict: others published all the time.
    """
    made: dict[tuple[str, ...], list[DataFile]] = {}  # of a try that another publisher won

    def change(release: Release) -> Change | None:
        ids = frozenset(wanted(release))
        if not ids:
            return None
        chosen = [drive for drive in drives if drive.drive_id in ids]
        standing = _standing(warehouse, release, ids)
        again = sorted(drive_id for found in standing.values() for drive_id in found)
        add, remove = _runs(warehouse, release, chosen, standing)
        for table in SURVEYED:
            parts = [file for drive in chosen for file in drive.files if file.table == table]
            older = _rewritten(warehouse, release, parts, table, again)
            key = tuple(file.path for file in (*parts, *older))
            if key not in made:
                made[key] = put_together(warehouse, table, parts, older, again)
            add += made[key]
            remove += older
        return Change(note, tuple(add), tuple(remove))

    return warehouse.publish(change)


def runs_of(warehouse: Warehouse, release: Release, drive_ids: Iterable[str], columns: Sequence[str]) -> pa.Table:
    """The rows of `runs` of some drives; the rows of all, which are many after years, are never held at once.

    Args:
        warehouse: theirs.
        release: of it.
        drive_ids: the drives; what the release does not have of them is left out.
        columns: ``drive_id`` among them.
    """
    files, ids = warehouse.files(release, "runs"), pa.array(sorted(drive_ids), pa.string())
    return warehouse.read_files(files, "runs", columns, keep=lambda rows: _among(rows, ids))


def put_together(
    warehouse: Warehouse, table: str, staged: Sequence[DataFile], older: Sequence[DataFile], gone: Sequence[str]
) -> list[DataFile]:
    """Small files of a table -> few large ones with the same rows, sorted by place and drive; nothing is published.

    Args:
        warehouse: theirs.
        table: frames or observations.
        staged: files whose rows are all kept.
        older: files of a release …
        gone: … but for the rows of these drives.
    """
    names = {file.path for file in older}
    files = []
    for date, group in _groups([*staged, *older]):
        new = warehouse.read_files([file for file in group if file.path not in names], table)
        old = warehouse.read_files([file for file in group if file.path in names], table)
        rows = sorted_by_place(pa.concat_tables([new, _without(old, gone)]))
        if rows.num_rows:
            files.append(warehouse.write(table, rows, folder=_folder(date)))
    return files


def sorted_by_place(rows: pa.Table) -> pa.Table:
    """Rows of frames or observations by cell, drive and time; ties stay in order, what has no place comes last."""
    keys = {f"cell_{axis}": pc.floor(pc.divide(rows[f"camera_{axis}"], CELL_DEG)) for axis in ("lat", "lon")}
    keys |= {name: rows[name] for name in ("drive_id", "captured_at", "frame_id")}
    return rows.take(pc.sort_indices(pa.table(keys), sort_keys=[(name, "ascending") for name in keys]))


def _rewritten(
    warehouse: Warehouse, release: Release, staged: Iterable[DataFile], table: str, again: Sequence[str]
) -> list[DataFile]:
    """Files of a release to write again: with rows of drives that come again, or too small beside new ones."""
    found = {file.path: file for drive_id in again for file in warehouse.files(release, table, drive_id=drive_id)}
    for folder in {_folder(_date_and_place(part)[0]) for part in staged}:
        beside = warehouse.files(release, table, folder=folder)
        found |= {file.path: file for file in beside if file.bytes < SMALL_BYTES}
    return list(found.values())


def _standing(warehouse: Warehouse, release: Release, drive_ids: Iterable[str]) -> dict[DataFile, list[str]]:
    """Files of `runs` that have rows of some drives, and of which: statistics do not tell, as other ids lie between."""
    ids = pa.array(sorted(drive_ids), pa.string())
    found = {
        file: warehouse.read_files([file], "runs", ["drive_id"], keep=lambda rows: _among(rows, ids))
        for file in warehouse.files(release, "runs")
    }
    return {file: rows["drive_id"].to_pylist() for file, rows in found.items() if rows.num_rows}


def _runs(
    warehouse: Warehouse, release: Release, drives: Sequence[StagedDrive], standing: Mapping[DataFile, Sequence[str]]
) -> tuple[list[DataFile], list[DataFile]]:
    """What is added to `runs` and what removed, to have rows of these drives: few files, however many releases.

    A large file with older rows of them stays one of its own, so that none becomes too large for a night's memory.
    """
    rows = pa.Table.from_pylist([{**drive.run, **extent(drive.files)} for drive in drives], RUNS)
    small = [file for file in warehouse.files(release, "runs") if file.bytes < RUNS_BYTES]
    large = [file for file in standing if file.bytes >= RUNS_BYTES]
    again = [drive_id for found in standing.values() for drive_id in found]
    made = [
        warehouse.rewrite("runs", files, lambda kept: _without(kept, again), more)
        for files, more in ((small, rows), *(([file], RUNS.empty_table()) for file in large))
    ]
    return made, [*small, *large]


def _among(rows: pa.Table, drive_ids: pa.Array) -> pa.Table:
    return rows.filter(pc.is_in(rows["drive_id"], drive_ids))


def _without(rows: pa.Table, drive_ids: Sequence[str]) -> pa.Table:
    return rows.filter(pc.invert(pc.is_in(rows["drive_id"], pa.array(drive_ids, pa.string()))))


def extent(files: Iterable[DataFile]) -> dict[str, Any]:
    """When and where the frames of these files were, from the statistics of the files; null where none says it."""
    stats = [read_json(file.stats) for file in files if file.table == "frames"]

    def end(which: str, pick: Callable[[Iterable[Any]], Any], column: str) -> Any:
        return pick(told) if (told := [one[which][column] for one in stats if column in one[which]]) else None

    times = [end("minValues", min, "captured_at"), end("maxValues", max, "captured_at")]
    started, ended = (datetime.fromisoformat(time) if time else None for time in times)
    corners = [
        end(which, pick, f"camera_{axis}")
        for which, pick in (("minValues", min), ("maxValues", max))
        for axis in ("lon", "lat")
    ]
    box = None if None in corners else dict(zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True))
    return {"started_at": started, "ended_at": ended, "bbox": box}


def _groups(parts: Iterable[DataFile]) -> Iterator[tuple[str, list[DataFile]]]:
    """Files of one survey date and of neighbouring places, about `FILE_BYTES` together."""
    size, group, standing = 0, list[DataFile](), ""
    for part in sorted(parts, key=_date_and_place):
        date = _date_and_place(part)[0]
        if group and (date != standing or size + part.bytes > FILE_BYTES):
            yield standing, group
            size, group = 0, []
        standing = date
        group.append(part)
        size += part.bytes
    if group:
        yield standing, group


def _folder(date: str) -> str:
    return f"survey_date={date}"


def _date_and_place(part: DataFile) -> tuple[str, float, float, str]:
    least = read_json(part.stats)["minValues"]
    place = (least.get(f"camera_{axis}", 0.0) // CELL_DEG for axis in ("lat", "lon"))
    return (str(least.get("captured_at", UNDATED))[:10], *place, part.path)
