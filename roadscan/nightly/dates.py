"""The nights of a run: its dates, and the one to which a drive belongs.

A drive belongs to the date on which its first frame was taken, in the department's time zone. The night of a date takes
all drives of that date and, since cameras are unloaded late, all earlier ones that nobody has scanned; so the night of
the 2nd, run at two in the morning, has what was driven on the evening of the 1st. A back-fill takes for each of its
dates the drives of that date alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from roadscan.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Nights:
    """The dates of a run, both ends included.

    Attributes:
        first, last: equal for one night.
        back_fill: each date takes its own drives alone.
    """

    first: date
    last: date
    back_fill: bool

    def among(self, dates: Iterable[date | None]) -> list[date]:
        """Those of some dates that are nights of the run, in turn."""
        return sorted({day for day in dates if day is not None and self.first <= day <= self.last})

    def night_of(self, began: date | None) -> date | None:
        """A drive's date -> the night that scans it, where nobody has.

        Args:
            began: the date of its first frame; None if no frame has a time, which then is an old one.

        Returns:
            One of the run's dates, or None: none of these nights does.
        """
        if self.back_fill:
            return began if began is not None and self.first <= began <= self.last else None
        return self.last if began is None or began <= self.last else None


def nights_of(one: date | None, first: date | None, last: date | None, *, today: date) -> Nights:
    """The dates that a user gave -> the nights.

    Args:
        one: a single night.
        first: where a back-fill begins.
        last: where it ends; None for today.
        today: in the department's time zone; the night where none is given.

    Raises:
        ConfigError: a night and a range, an end without a beginning or before it, or a date that has not come.
    """
    if one is not None and (first is not None or last is not None):
        raise ConfigError("--date: got it with --from or --to; expected one night or a range")
    if last is not None and first is None:
        raise ConfigError(f"--to {last}: got no --from; expected both, or --date for one night")
    nights = Nights(first, last or today, back_fill=True) if first else Nights(one or today, one or today, False)
    if nights.last > today:
        raise ConfigError(f"{nights.last} has not come; today is {today} in the time zone of the config")
    if nights.first > nights.last:
        raise ConfigError(f"--from {nights.first}: expected a date not after --to {nights.last}")
    return nights
