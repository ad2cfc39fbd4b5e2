"""Capture times as files write them, made into times with a zone. A wrong one is a ValueError that says why."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

from roadscan.survey.dates import why_implausible


def in_zone(time: datetime, utc_offset_h: float | None) -> datetime:
    """The time itself if it has a zone, else in the zone that the config gives.

    Raises:
        ValueError: neither tells the zone.
    """
    if time.tzinfo is not None:
        return time
    if utc_offset_h is None:
        raise ValueError(f"{time.isoformat()} has no time zone; set utc_offset_h (Thailand is 7)")
    return time.replace(tzinfo=timezone(timedelta(hours=utc_offset_h)))


def parse_time(
    value: object,
    time_format: str,
    utc_offset_h: float | None,
    name: str = "captured_at",
    week_s: float | None = None,
) -> datetime:
    """A time from a table's cell.

    Args:
        value: text, a number, or a datetime as Parquet gives it.
        time_format: ``iso`` (ISO 8601), ``epoch_s``, ``epoch_ms`` or ``gps_week_s``.
        utc_offset_h: zone of ISO times without one.
        name: of the field, for messages.
        week_s: when the GPS week began, seconds since 1970.

    Raises:
        ValueError: it is not written so, or lies outside 1990 to 2100.
    """
    if isinstance(value, datetime):
        time = in_zone(value, utc_offset_h)
    elif time_format == "iso":
        try:
            time = datetime.fromisoformat(str(value).strip())
        except ValueError:
            raise ValueError(
                f"{name} is {value!r}; expected ISO 8601 such as 2024-01-31T02:00:00.5+07:00, or set time_format"
            ) from None
        time = in_zone(time, utc_offset_h)
    else:
        time = _from_epoch(value, time_format, week_s)
    why = why_implausible(time)
    if why:
        raise ValueError(f"{name} is {value!r}, which is {why}; check time_format")
    return time


def _from_epoch(value: object, time_format: str, week_s: float | None) -> datetime:
    start_s, since, unit_us = 0.0, " since 1970", 1_000 if time_format == "epoch_ms" else 1_000_000
    if time_format == "gps_week_s":
        if week_s is None:
            raise ValueError(f"captured_at is {value!r}, seconds of a GPS week; set log_date to a day of it")
        start_s, since = week_s, ""
    start = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=start_s)
    try:
        return start + timedelta(microseconds=round(float(str(value)) * unit_us))
    except (ValueError, OverflowError):
        raise ValueError(f"captured_at is {value!r}; expected a number, the {time_format}{since}") from None


def time_from_name(stem: str, pattern: str, regex: str | None, utc_offset_h: float | None) -> datetime:
    """A time from an image's file name.

    Args:
        stem: the name without folder and suffix.
        pattern: strptime format.
        regex: whose group is the part to read; None for the whole stem.
        utc_offset_h: zone, where the pattern has no %z.

    Raises:
        ValueError: the name is not so.

    >>> time_from_name("0007_20240131_020000", "%Y%m%d_%H%M%S", r"_(.*)", 7).isoformat()
    '2024-01-31T02:00:00+07:00'
    """
    text = stem
    if regex is not None:
        match = re.search(regex, stem)
        if match is None or match[1] is None:
            raise ValueError(f"file name {stem!r} does not match time_regex {regex!r}")
        text = match[1]
    try:
        # The zone is added by in_zone, or stands in the pattern.
        return in_zone(datetime.strptime(text, pattern), utc_offset_h)
    except ValueError as error:
        raise ValueError(f"file name {stem!r}: {error}; see time_pattern and time_regex") from None
