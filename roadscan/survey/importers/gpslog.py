"""Logs of where a vehicle was: GPX, NMEA 0183, SBET and tables of text, read into one list of fixes in UTC."""

from __future__ import annotations

import codecs
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import gpxpy
import numpy as np
import pynmea2

from roadscan.arrays import Floats
from roadscan.errors import Malformed, NotFound, SurveyError
from roadscan.parsing import parsing
from roadscan.survey.importers.fixes import TOLD, Fix, LogForm
from roadscan.survey.importers.jumps import FASTEST_MPS, believable
from roadscan.survey.importers.sbet import order_of, read_sbet
from roadscan.survey.importers.sources import read_file
from roadscan.survey.importers.textlog import OFF_EARTH, csv_names, is_pos, read_csv, read_pos
from roadscan.video.fixes import on_earth

#: Standard error of a fix of carrier phases (GGA quality 4 and 5), metres: as receivers of either kind are specified.
RTK_FIXED_M, RTK_FLOAT_M = 0.03, 0.5
DIFFERENTIAL_UERE_M = 1.0  # of one with corrections (quality 2), times its HDOP
UNREADABLE = "NMEA sentences that cannot be read"
MOST_JUMPS = 1 / 3  # of the fixes; more are the log of another vehicle, or a receiver that knew nothing


@dataclass(frozen=True)
class GpsLog:
    """A GPS log, by time.

    Attributes:
        time_s: seconds since 1970, strictly increasing, (n,) with n >= 2.
        lon, lat: degrees, (n,).
        hdop, pos_sigma_m, altitude_m, heading_deg, heading_sigma_deg, pitch_deg, roll_deg: (n,), NaN where the log has
            none; angles in degrees.
        notes: what was skipped, by kind and count.
    """

    time_s: Floats
    lon: Floats
    lat: Floats
    hdop: Floats
    pos_sigma_m: Floats
    altitude_m: Floats
    heading_deg: Floats
    heading_sigma_deg: Floats
    pitch_deg: Floats
    roll_deg: Floats
    notes: dict[str, int]

    def fixes(self) -> Iterator[Fix]:
        """Each of its positions."""
        told = (getattr(self, name) for name in TOLD)
        for time_s, *values in zip(self.time_s, self.lon, self.lat, *told, strict=True):
            lon, lat, *rest = map(float, values)
            known = (None if np.isnan(value) else value for value in rest)
            yield Fix(datetime.fromtimestamp(float(time_s), UTC), lon, lat, *known)


PLAIN = LogForm()


def read_log(uri: str, form: LogForm = PLAIN) -> GpsLog:
    """A GPX, NMEA, SBET, .pos or CSV file, told apart by its content.

    A CSV has columns `captured_at`, `lon` and `lat`, and may have those of `TOLD`.

    Raises:
        SurveyError: the file is missing, is none, has fewer than two usable fixes, or those of two vehicles.
    """
    try:
        data = read_file(uri)
    except NotFound:
        raise SurveyError(f"track: {uri} does not exist; expected a GPX, NMEA, SBET, .pos or CSV file") from None
    notes: Counter[str] = Counter()
    if order := order_of(data):
        found = read_sbet(data, order, uri, form, notes)
        _check_enough(len(np.unique(found.time_s)), uri, notes, "")
        return _in_time(found.time_s, found.lon, found.lat, found.told, uri, notes)
    text = _decode(data)
    if text.lstrip().startswith("<"):
        fixes = _read_gpx(text, uri, notes)
    elif is_pos(text):
        fixes = read_pos(text, uri, notes)
    elif names := csv_names(text, form):
        fixes = read_csv(text, names, form, notes)
    else:
        fixes = nmea_fixes(text, notes)
    found_fixes = list(fixes)
    _check_enough(len({fix.at for fix in found_fixes}), uri, notes, _what_it_is(text))
    return _log(found_fixes, uri, notes)


def _check_enough(count: int, uri: str, notes: Counter[str], what: str) -> None:
    if count < 2:
        skipped = ", ".join(f"{count} {what}" for what, count in notes.items()) or "nothing skipped"
        raise SurveyError(
            f"track: {uri} has {count} usable fixes ({skipped}){what}; expected at least two, as GPX track points with "
            "time, NMEA RMC sentences with checksum, SBET, RTKLIB's .pos, or CSV with captured_at, lon and lat"
        )


def log_of(fixes: Iterable[Fix], name: str) -> GpsLog | None:
    """Fixes in any order -> their log; None of fewer than two.

    Args:
        fixes: the fixes.
        name: where they are from, for messages.

    Raises:
        SurveyError: they are of two vehicles.
    """
    found = list(fixes)
    return _log(found, name, Counter()) if len({fix.at for fix in found}) >= 2 else None


def _log(fixes: Sequence[Fix], name: str, notes: Counter[str]) -> GpsLog:
    columns = {name: np.array([getattr(fix, name) for fix in fixes], float) for name in ("lon", "lat", *TOLD)}
    time_s = np.array([fix.at.timestamp() for fix in fixes])
    return _in_time(time_s, columns.pop("lon"), columns.pop("lat"), columns, name, notes)


def _in_time(
    time_s: Floats, lon: Floats, lat: Floats, told: Mapping[str, Floats], name: str, notes: Counter[str]
) -> GpsLog:
    """Fixes in any order as a log: the first of each time, without those that no vehicle could have reached."""
    time_s, first = np.unique(time_s, return_index=True)
    if twice := len(lon) - len(first):
        notes["fixes at a time that was there already"] += twice
    kept = believable(time_s, lon[first], lat[first])
    jumps = np.flatnonzero(~kept)
    if len(jumps) > MOST_JUMPS * len(time_s):
        such = datetime.fromtimestamp(float(time_s[jumps[0]]), UTC)
        raise SurveyError(
            f"track: {name}: no vehicle was at all of its places: {len(jumps)} of {len(time_s)} fixes, such as that of "
            f"{such.isoformat()}, lie more than {FASTEST_MPS:g} m/s from the others; expected one log"
        )
    if len(jumps):
        notes[f"fixes left out, more than {FASTEST_MPS:g} m/s from the others"] = len(jumps)
    first = first[kept]
    unknown = np.full(len(first), np.nan)
    columns = {one: told[one][first] if one in told else unknown for one in TOLD}
    return GpsLog(time_s[kept], lon[first], lat[first], **columns, notes=dict(notes))


def _decode(data: bytes) -> str:
    zeros = bytes(3)  # every other byte of ASCII in UTF-16; a mark alone may be the rest of a binary log
    utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) and zeros in (data[2:8:2], data[3:8:2])
    return data.decode("utf-16" if utf16 else "utf-8-sig", "replace")


def _what_it_is(text: str) -> str:
    """What a file without usable fixes is, where that is known."""
    if not text.strip():
        return ": the file is empty"
    if re.search(r"<(\w+:)?kml\b", text[:2000]):
        return ": it is KML; export GPX"
    counts = {"waypoints": text.count("<wpt"), "route points": text.count("<rtept")}
    found = " and ".join(f"{count} {name}" for name, count in counts.items() if count)
    return f": it has {found}, which have no place in a track" if found and "<trkpt" not in text else ""


def _read_gpx(text: str, uri: str, notes: Counter[str]) -> Iterator[Fix]:
    try:
        with parsing("GPX"):
            gpx = gpxpy.parse(_plain_names(text))
    except Malformed as error:
        raise SurveyError(f"track: {uri}: {error}; export the log again") from None
    for point, *_ in gpx.walk():
        if point.time is None:
            notes["track points without a time"] += 1
        elif not on_earth(point.longitude, point.latitude):
            notes[OFF_EARTH] += 1
        else:
            # GPX times are UTC, also where the file leaves out the Z.
            at = point.time.astimezone(UTC) if point.time.tzinfo else point.time.replace(tzinfo=UTC)
            yield Fix(at, point.longitude, point.latitude, point.horizontal_dilution, altitude_m=point.elevation)


def _plain_names(text: str) -> str:
    """GPX whose own elements have a prefix, as valid as without, which the parser does not know -> without."""
    text = re.sub(r"^\s*<\?xml[^>]*\?>", "", text)  # it names the encoding of bytes
    root = re.search(r"<(\w+):gpx\b", text)
    return re.sub(rf"<(/?){root[1]}:", r"<\1", text) if root else text


def nmea_fixes(text: str, notes: Counter[str]) -> Iterator[Fix]:
    """Fixes from RMC (date, time, position), GGA (time, position, HDOP) and GST; at one time they are one fix.

    GGA has no date: it takes that of the RMC before it (or the first one), on the day that brings the two closest, so
    midnight between them does no harm.

    `pos_sigma_m` is that of latitude and longitude together in the GST of the same time; without one 0.03 m of an RTK
    fix, 0.5 m of a float one, the HDOP in metres of a differential one (GGA quality 4, 5, 2), else unknown.
    Source: NMEA 0183, GST fields 6 and 7, GGA field 6.
    """
    sentences = list(_sentences(text, notes))
    dates = [_moment(sentence) for sentence in sentences]
    first = next((at for at in dates if at is not None), None)
    if first is None:
        return
    fixes: dict[datetime, Fix] = {}
    stated_m: dict[datetime, float | None] = {}
    for sentence, moment in zip(sentences, dates, strict=True):
        if moment is not None:
            first = moment
        at = moment or _nearest_day(sentence.timestamp, first)
        if sentence.sentence_type == "GST":
            stated_m[at] = _stated_m(sentence)
            continue
        if not _has_fix(sentence):
            notes["sentences without a fix"] += 1
            continue
        try:
            lat = _degrees(sentence.lat, sentence.lat_dir, 2, "NS")
            lon = _degrees(sentence.lon, sentence.lon_dir, 3, "EW")
        except ValueError:
            notes[UNREADABLE] += 1
            continue
        if not on_earth(lon, lat):
            notes["sentences without a fix"] += 1
            continue
        gga = sentence.sentence_type == "GGA"
        if gga:
            hdop = _float(sentence, "horizontal_dil")
            fixes[at] = Fix(at, lon, lat, hdop, _quality_m(sentence.gps_qual, hdop), _float(sentence, "altitude"))
        else:
            fixes.setdefault(at, Fix(at, lon, lat))
    for at, fix in fixes.items():
        yield replace(fix, pos_sigma_m=stated_m.get(at) or fix.pos_sigma_m)


def _sentences(text: str, notes: Counter[str]) -> Iterator[Any]:
    """The RMC, GGA and GST sentences whose checksum is right and whose time can be read."""
    for line in text.splitlines():
        sentence = line[line.find("$") :].strip() if "$" in line else ""
        if sentence[3:6] not in ("RMC", "GGA", "GST"):
            continue
        try:
            # Without a checksum a line that was cut short could pass with half a number.
            parsed = pynmea2.parse(sentence, check=True)
        except pynmea2.ChecksumError:
            notes["NMEA sentences with a wrong or no checksum"] += 1
            continue
        except Exception:  # noqa: BLE001 - what a parser raises is not ours to list
            notes[UNREADABLE] += 1
            continue
        if isinstance(getattr(parsed, "timestamp", None), time):
            yield parsed
        else:
            notes["sentences without a fix"] += 1  # a receiver that has no time yet


def _moment(sentence: Any) -> datetime | None:
    """Date and time of an RMC sentence; None for GGA, or without a date."""
    day = getattr(sentence, "datestamp", None)
    return datetime.combine(day, _clock(sentence.timestamp), UTC) if isinstance(day, date) else None


def _clock(value: time) -> time:
    return value.replace(tzinfo=None)


def _nearest_day(clock: time, near: datetime) -> datetime:
    days = (near.date() + timedelta(days=shift) for shift in (-1, 0, 1))
    return min((datetime.combine(day, _clock(clock), UTC) for day in days), key=lambda at: abs(at - near))


def _has_fix(sentence: Any) -> bool:
    if not sentence.lat or not sentence.lon:
        return False
    if sentence.sentence_type == "RMC":  # a status that the mode contradicts is an old position
        return bool(sentence.status == "A" and getattr(sentence, "mode_indicator", None) != "N")
    return sentence.gps_qual not in (None, 0)


def _degrees(text: str, letter: str, digits: int, marks: str) -> float:
    """Degrees from (d)ddmm.mmm and a hemisphere, without which a position is unknown.

    Raises:
        ValueError: it is not written so.
    """
    ref = letter.strip().upper()
    if not re.fullmatch(rf"[0-9]{{{digits + 2}}}(\.[0-9]*)?", text) or ref not in tuple(marks):
        raise ValueError
    minutes = float(text[digits:])
    if minutes >= 60:
        raise ValueError
    degrees = int(text[:digits]) + minutes / 60
    return degrees if ref == marks[0] else -degrees


def _float(sentence: Any, field: str) -> float | None:
    try:
        return float(getattr(sentence, field))
    except (AttributeError, TypeError, ValueError):
        return None


def _quality_m(quality: int, hdop: float | None) -> float | None:
    """The standard error that a GGA sentence's kind of fix tells, metres."""
    if quality == 2 and hdop:
        return hdop * DIFFERENTIAL_UERE_M
    return {4: RTK_FIXED_M, 5: RTK_FLOAT_M}.get(quality)


def _stated_m(sentence: Any) -> float | None:
    """The standard error of a position that a GST sentence states, metres; None where it leaves one out."""
    north, east = (_float(sentence, name) for name in ("std_dev_latitude", "std_dev_longitude"))
    return None if north is None or east is None else float(np.hypot(north, east))
