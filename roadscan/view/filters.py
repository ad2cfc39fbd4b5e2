"""Which assets are asked for: what a page's address says, and the rows of a register that pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from roadscan.arrays import Bools, Ints
from roadscan.errors import ConfigError
from roadscan.inventory.query.changes import read_days, read_km
from roadscan.view.register import NO_KM, SIDES, STATES, MapRegister

FIELDS = ("class", "state", "side", "route", "km", "since", "until", "score")


@dataclass(frozen=True)
class Filter:
    """What an asset must be; None and empty pass all.

    Attributes:
        classes, states, sides: one of these names.
        route: its code; 2 is 0002, too.
        km_m: chainage from and to; a line is where any of it is.
        since, until: days of the last detection, in `zone`, both included.
        score: at least this, 0 to 1.
        zone: of the days.
    """

    classes: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    sides: tuple[str, ...] = ()
    route: str | None = None
    km_m: tuple[int, int] | None = None
    since: date | None = None
    until: date | None = None
    score: float | None = None
    zone: str = "UTC"

    def passes(self, register: MapRegister, rows: slice | Ints = slice(None)) -> Bools | None:
        """Which of some rows pass; None where all do."""
        tests = [
            _chosen(register.kind[rows], self.classes, register.classes),
            _chosen(register.state[rows], self.states, STATES),
            _chosen(register.side[rows], self.sides, SIDES),
        ]
        if self.route is not None:
            meant = [n for n, code in enumerate(register.routes) if code and same_route(code, self.route)]
            tests.append(np.isin(register.route[rows], meant))
        if self.km_m is not None:
            first, last = self.km_m
            km, end = register.km_m[rows], register.km_end_m[rows]
            tests.append((km != NO_KM) & (km <= last) & (end >= first))
        if self.since is not None:
            tests.append(register.last_seen[rows] >= self._begins(self.since))
        if self.until is not None:
            tests.append(register.last_seen[rows] < self._begins(self.until + timedelta(days=1)))
        if self.score is not None:
            tests.append(register.score[rows] >= self.score)
        real = [test for test in tests if test is not None]
        return np.logical_and.reduce(real) if real else None

    def _begins(self, day: date) -> float:
        return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(self.zone)).astimezone(UTC).timestamp()


def read_filter(given: Mapping[str, list[str]], zone: str = "UTC") -> Filter:
    """The fields of an address to a filter; an empty text is none.

    Raises:
        ConfigError: one is not what it should be.
    """
    given = {name: [one for one in values if one] for name, values in given.items()}

    def one(name: str) -> str | None:
        return next(iter(given.get(name, [])), None)

    km, since, until, score = (one(name) for name in ("km", "since", "until", "score"))
    return Filter(
        tuple(given.get("class", [])),
        tuple(given.get("state", [])),
        tuple(given.get("side", [])),
        one("route"),
        read_km(km) if km else None,
        read_days("since", since)[0] if since else None,
        read_days("until", until)[1] if until else None,
        _share(score) if score else None,
        zone,
    )


def same_route(code: str, asked: str) -> bool:
    """Whether a code is the one asked for, where leading zeros and case do not matter.

    >>> same_route("0002", "2"), same_route("0020", "2")
    (True, False)
    """

    def bare(text: str) -> str:
        return text.strip().lstrip("0").casefold()

    return bare(code) == bare(asked)


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 <= value <= 1:
        raise ConfigError(f"score: got {text!r}; expected a number from 0 to 1")
    return value


def _chosen(codes: np.ndarray, wanted: tuple[str, ...], names: tuple[str, ...]) -> Bools | None:
    if not wanted:
        return None
    keeps = np.array([name in wanted for name in names], bool)
    return np.asarray(keeps[codes], bool)
