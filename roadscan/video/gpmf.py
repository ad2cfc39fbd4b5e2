"""GPMF, the telemetry of GoPro cameras: a sample a second in a track ``gpmd`` -> positions.

Source: GoPro, GPMF introduction (github.com/gopro/gpmf-parser): keys DEVC, STRM, GPS5, GPS9, GPSU, GPSF, GPSP, SCAL,
TYPE.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

from roadscan.errors import Malformed
from roadscan.video.fixes import Fix, on_earth

FORMAT = b"gpmd"
NUMBERS = {"b": "b", "B": "B", "s": "h", "S": "H", "l": "i", "L": "I", "f": "f", "d": "d", "j": "q", "J": "Q"}
DAYS_TO_2000_S = 10_957 * 86_400  # from 1970-01-01 to 2000-01-01
NO_FIX = "GPMF positions without a fix"


class Entry(NamedTuple):
    """A key, the type of its values, how many bytes each element has, and the elements."""

    key: bytes
    kind: str
    width: int
    data: bytes


def entries(data: bytes) -> Iterator[Entry]:
    """The entries of a GPMF payload, or of an entry that nests others.

    Raises:
        Malformed: an entry ends after the payload.
    """
    at = 0
    while at + 8 <= len(data):
        key, kind, width, repeat = struct.unpack_from(">4scBH", data, at)
        if key == b"\0\0\0\0":
            return
        size = width * repeat
        if at + 8 + size > len(data):
            raise Malformed(f"GPMF: {key!r} has {size} bytes, {len(data) - at - 8} are left")
        yield Entry(key, kind.decode("latin-1"), width, data[at + 8 : at + 8 + size])
        at += 8 + (size + 3) // 4 * 4


def fixes(payload: bytes, start_s: float, duration_s: float, notes: Counter[str]) -> list[Fix]:
    """A sample's positions, spread evenly over its time, as the camera took them.

    Positions without a fix are left out and counted. GPSP is a dilution of precision times 100, GoPro does not say
    which; taken for HDOP it errs on the side of caution.

    Args:
        payload: the sample.
        start_s: when it is, in the video.
        duration_s: how long it lasts.
        notes: counts what is left out.

    Raises:
        Malformed: it is not GPMF.
    """
    for device in entries(payload):
        if device.key != b"DEVC":
            continue
        for stream in entries(device.data):
            if stream.key != b"STRM":
                continue
            found = {entry.key: entry for entry in entries(stream.data)}
            for key, read in ((b"GPS9", _gps9), (b"GPS5", _gps5)):
                if key in found:
                    return _placed(read(found), start_s, duration_s, notes)
    return []


def _placed(rows: list[dict[str, Any]], start_s: float, duration_s: float, notes: Counter[str]) -> list[Fix]:
    placed = []
    for number, row in enumerate(rows):
        if not row.pop("fixed") or not on_earth(row["lon"], row["lat"]):
            notes[NO_FIX] += 1
        else:
            placed.append(Fix(start_s + duration_s * number / len(rows), **row))
    return placed


def _gps5(found: dict[bytes, Entry]) -> list[dict[str, Any]]:
    """Latitude, longitude and three more; time, fix and precision once a sample."""
    scale = _scale(found, 5)
    fixed = _first(found.get(b"GPSF"))
    precision = _first(found.get(b"GPSP"))
    rows = []
    for number, values in enumerate(_rows(found[b"GPS5"], found[b"GPS5"].kind * 5)):
        lat, lon, altitude, *_ = (value / unit for value, unit in zip(values, scale, strict=True))
        utc_s = _utc(found.get(b"GPSU")) if number == 0 else None
        hdop = precision / 100 if precision and precision < 9999 else None
        fix = {"lon": lon, "lat": lat, "utc_s": utc_s, "hdop": hdop, "altitude_m": altitude}
        rows.append({**fix, "fixed": fixed is None or fixed >= 2})
    return rows


def _gps9(found: dict[bytes, Entry]) -> list[dict[str, Any]]:
    """The same, and days since 2000, seconds of the day, dilution of precision and fix, of each position."""
    scale = _scale(found, 9)
    rows = []
    for values in _rows(found[b"GPS9"], found[b"TYPE"].data.decode("latin-1") if b"TYPE" in found else ""):
        lat, lon, altitude, _, _, days, seconds, dop, fixed = (
            value / unit for value, unit in zip(values, scale, strict=True)
        )
        utc_s = DAYS_TO_2000_S + days * 86_400 + seconds if days else None
        fix = {"lon": lon, "lat": lat, "utc_s": utc_s, "hdop": dop or None, "altitude_m": altitude}
        rows.append({**fix, "fixed": fixed >= 2})
    return rows


def _rows(entry: Entry, types: str) -> Iterator[tuple[Any, ...]]:
    """An entry's elements, each the numbers that its types say."""
    try:
        form = struct.Struct(">" + "".join(NUMBERS[letter] for letter in types.strip("\0")))
    except KeyError as error:
        raise Malformed(f"GPMF: {entry.key!r} has values of type {error}") from None
    if form.size != entry.width or not form.size:
        raise Malformed(f"GPMF: {entry.key!r} has elements of {entry.width} bytes, expected {form.size}")
    return form.iter_unpack(entry.data)


def _scale(found: dict[bytes, Entry], count: int) -> tuple[Any, ...]:
    """What the values of an element are divided by."""
    entry = found.get(b"SCAL")
    units = tuple(value for row in _rows(entry, entry.kind) for value in row) if entry else ()
    if len(units) == 1:
        units *= count
    if len(units) != count or 0 in units:
        raise Malformed(f"GPMF: SCAL is {units}, expected {count} numbers")
    return units


def _first(entry: Entry | None) -> Any:
    return next(_rows(entry, entry.kind))[0] if entry and entry.data else None


def _utc(entry: Entry | None) -> float | None:
    """GPSU, yymmddhhmmss.sss."""
    try:
        text = entry.data[:16].decode("ascii") if entry else ""
        return datetime.strptime(text, "%y%m%d%H%M%S.%f").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None
