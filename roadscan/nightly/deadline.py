"""When a night has to be done: the department's own clock time, the first one after the night began."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo


def deadline(begun_at: datetime, done_by: time, zone: ZoneInfo) -> datetime:
    """When a night began -> when it has to be done.

    A night that is run again still has to be done by the time after its first run.

    Args:
        begun_at: of its first run; aware.
        done_by: on the department's clocks.
        zone: the department's.

    >>> bangkok = ZoneInfo("Asia/Bangkok")
    >>> deadline(datetime(2026, 11, 1, 18, 30, tzinfo=ZoneInfo("UTC")), time(6), bangkok).isoformat()
    '2026-11-02T06:00:00+07:00'
    """
    local = begun_at.astimezone(zone)
    same_day = datetime.combine(local.date(), done_by, zone)
    return same_day if same_day > local else datetime.combine(local.date() + timedelta(days=1), done_by, zone)


def kept(due: datetime, now: datetime, finished: datetime | None) -> bool | None:
    """Whether a night was done in time; None where it is not done and still may be.

    Args:
        due: from `deadline`.
        now: the time now.
        finished: when its release was there; None where there is none.
    """
    if finished is not None:
        return finished <= due
    return False if now > due else None
