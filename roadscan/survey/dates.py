"""When a survey can have been: the one bound for every time that comes into a drive or a register."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

EARLIEST, LATEST = datetime(1990, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)

AHEAD = "has not come"
CLOCKS_APART = timedelta(days=1)  # of this machine and a camera: a time zone that one of them does not know, and more

BUDDHIST_YEARS = 543  # the Thai solar calendar is ahead by so many
#: GPS counts weeks modulo 1024: a receiver that knows no better is this long, or twice this long, behind.
ROLL_OVER = timedelta(weeks=1024)

GPS_WEEK_S = 604_800.0
GPS_FIRST = 13  # seconds that GPS time was ahead of UTC in 1999
#: When it got a second further ahead. Source: IERS Bulletin C; none has been announced since.
LEAPS = tuple(
    datetime(*day, tzinfo=UTC) for day in ((2006, 1, 1), (2009, 1, 1), (2012, 7, 1), (2015, 7, 1), (2017, 1, 1))
)


def leap_seconds(at: datetime) -> int:
    """By how much GPS time is ahead of UTC then; of 1999 and later.

    >>> leap_seconds(datetime(2026, 11, 1, tzinfo=UTC)), leap_seconds(datetime(2016, 12, 31, tzinfo=UTC))
    (18, 17)
    """
    return GPS_FIRST + sum(at >= leap for leap in LEAPS)


def gps_week_s(day: date, *, gps: bool = True) -> float:
    """When the GPS week of a day begins, seconds since 1970; of a clock that tells GPS time, or UTC.

    >>> gps_week_s(date(2026, 11, 4), gps=False) == datetime(2026, 11, 1, tzinfo=UTC).timestamp()
    True
    """
    sunday = datetime.combine(day - timedelta(days=day.isoweekday() % 7), time(), UTC)
    return sunday.timestamp() - (leap_seconds(sunday) if gps else 0)


def is_plausible(time: datetime) -> bool:
    """Whether a time with a zone lies from 1990 to 2099."""
    return EARLIEST <= time < LATEST


def latest() -> datetime:
    """The last time that is believed of a camera now."""
    return datetime.now(UTC) + CLOCKS_APART


def why_implausible(time: datetime) -> str | None:
    """A time with a zone -> why no survey can have been then; None where one can.

    >>> why_implausible(datetime(2569, 11, 1, tzinfo=UTC))
    '2569-11-01; expected 1990 to 2100 (in the Buddhist era? minus 543 it is 2026)'
    """
    if is_plausible(time):
        return f"{time:%Y-%m-%d} {AHEAD}" if time > latest() else None
    year = time.year - BUDDHIST_YEARS
    buddhist = EARLIEST.year <= year < LATEST.year
    hint = f" (in the Buddhist era? minus {BUDDHIST_YEARS} it is {year})" if buddhist else ""
    return f"{time:%Y-%m-%d}; expected {EARLIEST.year} to {LATEST.year}{hint}"


def why_apart(of_log: datetime, of_images: datetime) -> str:
    """Two days of one drive that should be the same -> what usually parts days so far; empty where nothing known does.

    >>> why_apart(datetime(2007, 3, 18, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC))
    ': a GPS week roll-over, 7168 days'
    """
    apart = of_images - of_log
    for weeks in (ROLL_OVER, 2 * ROLL_OVER):
        if abs(apart - weeks) <= timedelta(days=1):
            return f": a GPS week roll-over, {weeks.days} days"
    years = of_log.year - of_images.year
    # NMEA writes years in two digits, and 69 is 1969, 68 is 2068.
    is_buddhist = years == -BUDDHIST_YEARS or (years - BUDDHIST_YEARS) % 100 == 0
    return ": years of the Buddhist era" if is_buddhist and of_log.month == of_images.month else ""
