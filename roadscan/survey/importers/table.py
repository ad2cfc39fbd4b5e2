"""A CSV or Parquet table with a row a frame."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.csv as pacsv

from roadscan.errors import Malformed, NotFound, SurveyError
from roadscan.filenames import to_key
from roadscan.parsing import arrow_file, parsing, python_values, read_parquet, utf8
from roadscan.progress import OnCount
from roadscan.shown import shown
from roadscan.survey.drive import BOUNDS
from roadscan.survey.importers.config import COLUMNS, IngestConfig
from roadscan.survey.importers.frame import Frame, SourceFrames, frame_id_of
from roadscan.survey.importers.images import ImageFolder
from roadscan.survey.importers.sources import read_file
from roadscan.survey.importers.times import parse_time

POSITION = ("lon", "lat")


def read_table(config: IngestConfig, folder: ImageFolder, on_frame: OnCount | None = None) -> SourceFrames:
    """Every row of the table as a frame; a row with a wrong value gets ``bad_row`` and stays.

    `pos_sigma_m` and the other columns of `schemas.ACCURACY` are as the table has them, 0 being unknown for a sigma.

    Raises:
        SurveyError: the file is missing or is no table, or a column that is needed is missing.
    """
    return _read(config, folder, ("image_uri", "captured_at", *POSITION), on_frame)


def read_times(config: IngestConfig, folder: ImageFolder, on_frame: OnCount | None = None) -> SourceFrames:
    """As `read_table`, for a table that has times and no positions; columns of positions are not looked at."""
    return _read(config, folder, ("image_uri", "captured_at"), on_frame)


def _read(config: IngestConfig, folder: ImageFolder, needed: tuple[str, ...], on_frame: OnCount | None) -> SourceFrames:
    table, broken_lines = _load(config.source)
    table = _rename(table, config, needed)
    frames: list[Frame] = []
    total = table.num_rows + len(broken_lines)
    for number, row in _in_order(_rows(table), broken_lines):
        if isinstance(row, dict):
            frames.append(_frame(row, number, config, folder.store.uri, placed="lon" in needed))
        else:
            frames.append(Frame(f"row_{number:06d}", ""))
            frames[-1].reject(
                f"bad_row: expected {row.expected_columns} columns, got {row.actual_columns}: {row.text!r:.80}"
            )
        if on_frame:
            on_frame(len(frames), total)
    if not frames:
        raise SurveyError(f"source: {config.source} has no rows; expected one a frame")
    return SourceFrames(frames)


def _rows(table: pa.Table) -> list[dict[str, Any]]:
    cells = zip(*map(python_values, table.columns), strict=True)
    return [dict(zip(table.column_names, row, strict=True)) for row in cells]


def _in_order(
    rows: list[dict[str, Any]], broken_lines: list[pacsv.InvalidRow]
) -> Iterator[tuple[int, dict[str, Any] | pacsv.InvalidRow]]:
    """Rows and broken lines as the file has them, each with its number from 1; no number comes twice."""
    broken = {line.number - 1: line for line in broken_lines}  # Arrow counts the line of names as the first
    number = 0
    for row in rows:
        number += 1
        while number in broken:
            yield number, broken.pop(number)
            number += 1
        yield number, row
    yield from broken.items()


def _load(source: str) -> tuple[pa.Table, list[pacsv.InvalidRow]]:
    """The table, and the CSV lines that have more or fewer columns."""
    broken: list[pacsv.InvalidRow] = []

    def keep(row: pacsv.InvalidRow) -> str:
        broken.append(row)
        return "skip"

    try:
        data = read_file(source)
        if source.lower().endswith(".parquet"):
            return _plain_times(read_parquet(data)), broken
        # Text in every column: Arrow would refuse the whole file for one wrong cell.
        skip = pacsv.ParseOptions(invalid_row_handler=lambda _: "skip", newlines_in_values=True)
        with parsing("CSV"):
            names = pacsv.open_csv(arrow_file(utf8(data)), parse_options=skip).schema.names
            table = pacsv.read_csv(
                arrow_file(data),
                read_options=pacsv.ReadOptions(use_threads=False),  # only so does Arrow tell a broken line's number
                parse_options=pacsv.ParseOptions(invalid_row_handler=keep, newlines_in_values=True),
                convert_options=pacsv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.string()),
                    strings_can_be_null=True,
                    null_values=["", "NA", "null"],
                ),
            )
    except NotFound:
        raise SurveyError(f"source: {source} does not exist; expected a CSV or Parquet file") from None
    except Malformed as error:
        raise SurveyError(
            f"source: {source}: {error}; expected CSV in UTF-8 with a line of names, or .parquet"
        ) from None
    return table, broken


def _plain_times(table: pa.Table) -> pa.Table:
    """Timestamps in microseconds, which Python's datetime holds; finer ones are cut."""
    for index, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type):
            time = pa.timestamp("us", tz=field.type.tz)
            table = table.set_column(index, field.name, table.column(index).cast(time, safe=False))
    return table


def _rename(table: pa.Table, config: IngestConfig, needed: tuple[str, ...]) -> pa.Table:
    theirs, present = {name: config.columns.get(name, name) for name in COLUMNS}, table.column_names
    if shared := config.kind == "track":  # `columns` are the log's names, too, and of any only one file may have them
        theirs = {name: their if their in present else name for name, their in theirs.items()}
    twice = sorted({name for name in present if present.count(name) > 1} & set(theirs.values()))
    if twice:
        raise SurveyError(f"source: {config.source} has columns {twice} more than once; expected each once")
    # A column that is needed or was renamed on purpose must be there.
    wanted = {*needed, *(() if shared else config.columns)}
    missing = [theirs[name] for name in COLUMNS if theirs[name] not in present and name in wanted]
    if missing:
        raise SurveyError(
            f"source: {config.source} has no columns {missing}, only {shown(present)}; expected {list(needed)}: set "
            "`columns` to {name: column of the file} for those with another name"
        )
    names = [name for name in COLUMNS if theirs[name] in present]
    return table.select([theirs[name] for name in names]).rename_columns(names)


def _frame(row: dict[str, Any], number: int, config: IngestConfig, root: str, *, placed: bool) -> Frame:
    uri, frame_id = row["image_uri"], row.get("frame_id")
    if uri is None or not str(uri).strip():
        frame = Frame(str(frame_id) if frame_id is not None else f"row_{number:06d}", "")
        frame.reject(f"bad_row: image_uri of row {number} is empty")
        return frame
    key = to_key(str(uri).strip(), root, config.path_prefix)
    frame = Frame(str(frame_id) if frame_id is not None else frame_id_of(key.lstrip("/")), key)
    frame.camera_id = str(row["camera_id"]) if row.get("camera_id") is not None else ""
    try:
        for name in BOUNDS:
            setattr(frame, name, _bounded(row, name))
        if frame.heading_deg is not None:
            frame.heading_deg %= 360
        lon, lat = (_number(row, name) for name in POSITION) if placed else (None, None)
    except ValueError as error:
        frame.reject(f"bad_row: {error}")
        lon = lat = None
    if placed:
        empty = [name for name, value in zip(POSITION, (lon, lat), strict=True) if value is None]
        frame.place(lon, lat, f"{' and '.join(empty)} is empty")
    if row["captured_at"] is None:
        frame.reject("no_time: captured_at is empty")
        return frame
    try:
        frame.take(parse_time(row["captured_at"], config.time_format, config.utc_offset_h, week_s=config.week_s))
    except ValueError as error:
        frame.reject(f"no_time: {error}")
    return frame


def _number(row: dict[str, Any], name: str) -> float | None:
    value = row.get(name)
    if value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{name} is {value!r}; expected a number") from None
    return number if math.isfinite(number) else None  # NaN is how many programs write "none"


def _bounded(row: dict[str, Any], name: str) -> float | None:
    number, (low, high) = _number(row, name), BOUNDS[name]
    if number is not None and not low <= number <= high:
        raise ValueError(f"{name} is {row[name]!r}; expected {low:g} to {high:g}")
    return None if number == 0 and "_sigma_" in name else number
