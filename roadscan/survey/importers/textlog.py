"""Logs that are tables of text: CSV with a line of names, and the .pos files of RTKLIB."""

from __future__ import annotations

import csv
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

from roadscan.errors import SurveyError
from roadscan.parsing import finite_number
from roadscan.survey.dates import GPS_WEEK_S, leap_seconds
from roadscan.survey.importers.fixes import ANGLES, PLACED, TOLD, Fix, LogForm
from roadscan.survey.importers.times import parse_time
from roadscan.video.fixes import GPS_EPOCH_S, on_earth

UNREADABLE_ROWS = "rows of the log that cannot be read"
OFF_EARTH = "fixes off the earth"
DELIMITERS = ",;\t"  # else spaces


def csv_names(text: str, form: LogForm) -> dict[str, str]:
    """By what columns of a CSV mean their names in it; empty where it is none with times and positions."""
    line = next(_rows(text), [])
    names = {name: form.columns.get(name, name) for name in (*PLACED, *TOLD)}
    found = {name: theirs if theirs in line else name for name, theirs in names.items() if {theirs, name} & {*line}}
    return found if {*PLACED} <= found.keys() else {}


def read_csv(text: str, names: Mapping[str, str], form: LogForm, notes: Counter[str]) -> Iterator[Fix]:
    """The fixes of a CSV, by `csv_names`; its lines may be parted by commas, semicolons, tabs or spaces."""
    rows = _rows(text)
    header = next(rows)
    for cells in rows:
        row = dict(zip(header, cells, strict=False))
        try:
            at = parse_time(row[names["captured_at"]], form.time_format, form.utc_offset_h, week_s=form.week_s)
            lon, lat = (float(row[names[name]]) for name in ("lon", "lat"))
        except (KeyError, ValueError):
            notes[UNREADABLE_ROWS] += 1
            continue
        if form.radians:
            lon, lat = math.degrees(lon), math.degrees(lat)
        if not on_earth(lon, lat):
            notes[OFF_EARTH] += 1
            continue
        told = {name: finite_number(row.get(names.get(name, ""))) for name in TOLD}
        yield Fix(at, lon, lat, **{name: _angle(name, value, form) for name, value in told.items()})


def _rows(text: str) -> Iterator[list[str]]:
    """The cells of each line."""
    lines = text.splitlines()
    first = next((line for line in lines if line.strip()), "")
    most = max(DELIMITERS, key=first.count)
    parted = csv.reader(lines, delimiter=most) if first.count(most) else (line.split() for line in lines)
    return ([cell.strip() for cell in row] for row in parted if row)


def _angle(name: str, value: float | None, form: LogForm) -> float | None:
    """A value as the form says it -> in degrees, a heading clockwise from north."""
    if value is None or name not in ANGLES:
        return value
    degrees = math.degrees(value) if form.radians else value
    if name == "heading_deg":
        return (90 - degrees if form.from_east else degrees) % 360
    return degrees


def is_pos(text: str) -> bool:
    """Whether a log is a solution of RTKLIB."""
    return (
        text.startswith("%") and re.search(r"^%.*(latitude|x-ecef|e-baseline)", text[:20_000], re.MULTILINE) is not None
    )


def read_pos(text: str, uri: str, notes: Counter[str]) -> Iterator[Fix]:
    """The fixes of RTKLIB's solution: time, degrees, height, quality, satellites, and standard errors.

    Source: RTKLIB manual 2.4.2, B.1: sdn and sde are of north and east, `pos_sigma_m` of both; the line of names says
    which clock.

    Raises:
        SurveyError: its positions are no decimal degrees.
    """
    names = next(line for line in text.splitlines() if re.search(r"latitude|x-ecef|e-baseline", line))
    if "latitude(deg)" not in names:
        raise SurveyError(
            f"track: {uri} has {names.strip('% ')[:60]!r}; expected latitude(deg) and longitude(deg): set RTKLIB's "
            "output to lat/lon/height in decimal degrees"
        )
    zone = next((zone for zone in ("GPST", "UTC", "JST") if zone in names), "GPST")
    for line in text.splitlines():
        cells = line.replace(",", " ").split()
        if not cells or line.startswith("%"):
            continue
        try:
            day, clock, *numbers = cells
            at = _time(day, clock, zone)
            lat, lon, height_m, _, _, north_m, east_m, *_ = map(float, numbers)
        except (ValueError, OverflowError):
            notes[UNREADABLE_ROWS] += 1
            continue
        if not on_earth(lon, lat):
            notes[OFF_EARTH] += 1
            continue
        yield Fix(at, lon, lat, pos_sigma_m=math.hypot(north_m, east_m) or None, altitude_m=height_m)


def _time(day: str, clock: str, zone: str) -> datetime:
    """2026/11/01 03:00:00.000, or a week and its seconds."""
    if "/" in day:
        time = datetime.strptime(f"{day} {clock}", "%Y/%m/%d %H:%M:%S.%f").replace(tzinfo=UTC)
    else:
        time = datetime.fromtimestamp(GPS_EPOCH_S + GPS_WEEK_S * int(day) + float(clock), UTC)
    if zone == "JST":
        return time - timedelta(hours=9)
    return time - timedelta(seconds=leap_seconds(time)) if zone == "GPST" else time
