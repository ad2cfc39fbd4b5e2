"""The register's changes on a stretch of road in a span of time: what `roadscan changes` asks and says."""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

import pyarrow as pa

from roadscan.errors import ConfigError, WarehouseError
from roadscan.inventory.query.rendering import plain
from roadscan.inventory.query.sql import query_release, quoted
from roadscan.settings import time_zone
from roadscan.warehouse import Release, Warehouse

#: Changes with the end of those that are lines.
CHANGES = "(SELECT c.*, a.km_end_m FROM changes_since AS c LEFT JOIN assets AS a USING (asset_id))"
ROUTES_NAMED = 10  # in a message
CHAINAGE = r"(\d+)(?:\+(\d{3})|\.(\d{1,3}))?"


@dataclass(frozen=True)
class Stretch:
    """Which changes are asked for; None for all.

    Attributes:
        route: its code, with or without leading zeros.
        from_m, to_m: chainage, both ends included.
        since: the first day, in the warehouse's time zone.
        until: the last day.
    """

    route: str | None = None
    from_m: int | None = None
    to_m: int | None = None
    since: date | None = None
    until: date | None = None

    def __str__(self) -> str:
        parts = [
            f"on route {self.route}" if self.route else "",
            "" if self.from_m is None or self.to_m is None else f"from km {km(self.from_m)} to {km(self.to_m)}",
            f"since {self.since}" if self.since else "",
            f"until {self.until}" if self.until else "",
        ]
        return " ".join(filter(None, parts)) or "in the register"


@dataclass(frozen=True)
class FoundChanges:
    """The changes that were asked for.

    Attributes:
        rows: of `schemas.CHANGES_SINCE`, with `km_end_m` of lines; the oldest first.
        asked: the question, with the route's code as the register has it.
        release: of which.
        zone: of the times.
        known: what the register has, in words: how many changes, of which days, on which routes.
    """

    rows: pa.Table
    asked: Stretch
    release: int
    zone: str
    known: str

    def heading(self) -> str:
        """How many there are of what, in a line; where there are none, also what there is."""
        found = self.rows.num_rows
        said = f"{found or 'no'} change{'' if found == 1 else 's'} {self.asked}"
        return said if found else f"{said}; {self.known}"

    def table(self) -> pa.Table:
        """The rows for people: days, places as km 10+163, and the id that `roadscan explain` takes."""
        rows = self.rows.to_pylist()
        only = len({row["route_code"] for row in rows}) == 1

        def place(row: dict[str, Any]) -> str:
            at = "" if row["km_m"] is None else km(row["km_m"])
            return at if only else f"{row['route_code'] or ''} {at}".strip()

        columns = {
            "changed": [row["changed_at"].date().isoformat() for row in rows],
            "change": [row["change"] for row in rows],
            "class": [row["class"] for row in rows],
            "km" if only else "route km": [place(row) for row in rows],
            "asset_id": [row["asset_id"] for row in rows],
        }
        more = {name: self.rows[name] for name in ("side", "state", "drive_id", "lon", "lat", "evidence_uri")}
        return pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()} | more)

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        asked = {name: plain(value) for name, value in vars(self.asked).items()}
        changes = [{name: plain(value) for name, value in row.items()} for row in self.rows.to_pylist()]
        return {"release": self.release, "time_zone": self.zone, "asked": asked, "changes": changes}


def find_changes(uri: str, asked: Stretch) -> FoundChanges:
    """A warehouse and a stretch of road -> the changes of its register there.

    Raises:
        WarehouseError: nothing was ever published there, or its register has no such route.
    """
    warehouse = Warehouse(uri)
    release = warehouse.published()
    routes = _routes(warehouse, release)
    asked = _found(uri, asked, routes)
    sql = f"FROM {CHANGES} WHERE {where(asked, 'changed_at')} ORDER BY changed_at, route_code, km_m, asset_id"
    rows = query_release(warehouse, release, sql)
    return FoundChanges(rows, asked, release.number, time_zone(warehouse.store), _known(warehouse, release, routes))


def find_stretch(warehouse: Warehouse, release: Release, asked: Stretch) -> Stretch:
    """A stretch as people name it -> the same with the route's code as the register has it.

    Raises:
        WarehouseError: the register has no such route, or no kilometres at all.
    """
    if asked.route is None and asked.from_m is None:
        return asked
    return _found(warehouse.store.uri, asked, _routes(warehouse, release))


def where(asked: Stretch, time: str) -> str:
    """A condition of SQL on `route_code`, `km_m`, `km_end_m` and a column of times.

    Args:
        asked: with the route's code as the register has it.
        time: the column that lies in the span of days.
    """
    conditions = ["true"]
    if asked.route is not None:
        conditions.append(f"route_code = {quoted(asked.route)}")
    if asked.from_m is not None and asked.to_m is not None:  # a line is where any of it is
        conditions.append(f"km_m <= {asked.to_m} AND coalesce(km_end_m, km_m) >= {asked.from_m}")
    if asked.since:
        conditions.append(f"{time} >= TIMESTAMPTZ '{asked.since} 00:00:00'")
    if asked.until:
        conditions.append(f"{time} < TIMESTAMPTZ '{asked.until + timedelta(days=1)} 00:00:00'")
    return " AND ".join(conditions)


def _found(uri: str, asked: Stretch, routes: dict[str, str]) -> Stretch:
    if asked.route is not None:
        return replace(asked, route=_code(asked.route, routes))
    if asked.from_m is not None and not routes:
        raise WarehouseError(_unlocated(uri, "km"))
    return asked


def _routes(warehouse: Warehouse, release: Release) -> dict[str, str]:
    """Every route of the register, and from where to where it has assets."""
    sql = (
        "SELECT route_code, min(km_m) AS first, max(coalesce(km_end_m, km_m)) AS last FROM ("
        "SELECT route_code, km_m, km_end_m FROM assets UNION ALL BY NAME SELECT route_code FROM coverage) "
        "WHERE route_code IS NOT NULL GROUP BY route_code ORDER BY route_code"
    )
    return {
        row["route_code"]: "" if row["first"] is None else f" (km {km(row['first'])} to {km(row['last'])})"
        for row in query_release(warehouse, release, sql).to_pylist()
    }


def _code(route: str, routes: dict[str, str]) -> str:
    """The code of a route as the register has it: leading zeros and case do not matter where only one is meant."""
    if not routes:
        raise WarehouseError(_unlocated(f"route: got {route!r}", "route"))

    def bare(code: str) -> str:
        return code.strip().lstrip("0").casefold()

    meant = [code for code in routes if code == route] or [code for code in routes if bare(code) == bare(route)]
    if len(meant) != 1:
        there = {code: routes[code] for code in meant} or routes
        raise WarehouseError(f"route: got {route!r}; the register has {_listed(there)}")
    return meant[0]


def _listed(routes: dict[str, str]) -> str:
    first = ", ".join(f"{code}{where}" for code, where in list(routes.items())[:ROUTES_NAMED])
    return first if len(routes) <= ROUTES_NAMED else f"{first} and {len(routes) - ROUTES_NAMED} more"


def _unlocated(got: str, what: str) -> str:
    return (
        f"{got}: the register has no {what}, as it was built without centrelines; "
        "run 'roadscan inventory' with --set reference.uri=…"
    )


def _known(warehouse: Warehouse, release: Release, routes: dict[str, str]) -> str:
    sql = "SELECT count(*) AS n, min(changed_at) AS first, max(changed_at) AS last FROM asset_changes"
    (row,) = query_release(warehouse, release, sql).to_pylist()
    if not row["n"]:
        return "the register has none yet: a change needs a drive where one was before"
    on = f", on routes {_listed(routes)}" if routes else ""
    return f"the register has {row['n']}, from {row['first'].date()} to {row['last'].date()}{on}"


def km(metres: int) -> str:
    """A chainage as signs have it.

    >>> km(10_163), km(500)
    ('10+163', '0+500')
    """
    return f"{metres // 1000}+{metres % 1000:03d}"


def read_km(text: str) -> tuple[int, int]:
    """A kilometre, or a range of chainage -> metres, both ends included.

    >>> read_km("10-20"), read_km("10+500-12"), read_km("10.5 - 12.25"), read_km("7")
    ((10000, 20000), (10500, 12000), (10500, 12250), (7000, 7999))

    Raises:
        ConfigError: it is neither, or ends before it begins.
    """
    found = re.fullmatch(rf"\s*{CHAINAGE}\s*(?:[-–]\s*{CHAINAGE}\s*)?", text)
    if found:
        whole, metres, decimals, end, *rest = found.groups()
        first = _metres(whole, metres, decimals)
        if end is None and metres is None and decimals is None:
            return first, first + 999
        last = first if end is None else _metres(end, *rest)
        if last >= first:
            return first, last
    raise ConfigError(f"km: got {text!r}; expected a kilometre or a range of them, as 10, 10-20 or 10+500-12+250")


def _metres(whole: str, metres: str | None, decimals: str | None) -> int:
    return int(whole) * 1000 + int(metres or (decimals or "").ljust(3, "0"))


def read_days(name: str, text: str) -> tuple[date, date]:
    """A day, a month or a year -> its first and its last day.

    >>> read_days("since", "2026-02")
    (datetime.date(2026, 2, 1), datetime.date(2026, 2, 28))

    Raises:
        ConfigError: it is none of them; `name` says of which option.
    """
    found = re.fullmatch(r"(\d{4})(?:-(\d{2}))?(?:-(\d{2}))?", text.strip())
    try:
        if found:
            year, month, day = (int(part) if part else None for part in found.groups())
            assert year is not None
            first = date(year, month or 1, day or 1)
            last_month = month or 12
            return first, date(year, last_month, day or calendar.monthrange(year, last_month)[1])
    except ValueError:  # the 31st of February, or the year 0
        pass
    raise ConfigError(f"{name}: got {text!r}; expected a day, a month or a year, as 2026-11-03, 2026-11 or 2026")
