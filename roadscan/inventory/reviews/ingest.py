"""A file of reviews to the rows that every later run applies; what cannot be applied is refused, with its reason."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import shapely

from roadscan.errors import ConfigError, Malformed
from roadscan.inventory.reviews.apply import named_in, rows_of
from roadscan.inventory.reviews.standing import ACTIONS, MERGE, REVOKE, SPLIT, revokes, standing
from roadscan.parsing import read_parquet
from roadscan.schemas import REVIEWS
from roadscan.storage import read_given
from roadscan.survey.geodesy import WGS84

SHOWN = 10  # problems named at once
FAR_M = 1000.0  # what was taken for one asset stands nearer than this; lon and lat in each other's place do not
GIVEN = {name: REVIEWS.field(name).type for name in ("asset_id", "action", "target_id", "reviewer", "note")} | {
    "reviewed_at": REVIEWS.field("reviewed_at").type,
    "lon": pa.float64(),
    "lat": pa.float64(),
}
TIMES = (datetime(1900, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC))  # of a review


def read_reviews(uri: str) -> pa.Table:
    """The rows of a file.

    Raises:
        ConfigError: it is not there, or no Parquet file.
        StorageError: it cannot be read.
    """
    data = read_given("reviews", uri, "a Parquet file of reviews")
    try:
        return read_parquet(data)
    except Malformed as error:
        raise ConfigError(f"reviews: {uri}: {error}") from None


def ingest(
    given: pa.Table, assets: pa.Table, aliases: pa.Table, known: pa.Table, now: datetime, mint: Callable[[], str]
) -> pa.Table:
    """The given reviews that are new, with what they need to be applied again later.

    Args:
        given: the rows of a file, also those that were taken in before.
        assets: the register that the reviewers saw.
        aliases: its aliases; a review may name an id that has become another.
        known: `schemas.REVIEWS` of before.
        now: time of a review that has none.
        mint: ids for the second assets of splits.

    Raises:
        ConfigError: which rows cannot be applied, and why.
    """
    taken, refused = sort_out(given, assets, aliases, known, now, mint)
    problems = [f"row {number}: {problem}" for number, problem in refused.items()]
    if problems:
        more = [f"and {len(problems) - SHOWN} more"] if len(problems) > SHOWN else []
        raise ConfigError("\n  ".join(["reviews: nothing was taken in", *problems[:SHOWN], *more]))
    return taken


def sort_out(
    given: pa.Table, assets: pa.Table, aliases: pa.Table, known: pa.Table, now: datetime, mint: Callable[[], str]
) -> tuple[pa.Table, dict[int, str]]:
    """Arguments as of `ingest` -> the reviews that are new and can be applied; by row, from 1, why others cannot be."""
    given = _typed(given)
    taken = _Taken(assets, aliases, known.to_pylist(), given, now, mint)
    problems = {number: taken.take(row) for number, row in enumerate(given.to_pylist(), start=1)}
    refused = {number: problem for number, problem in problems.items() if problem}
    return pa.Table.from_pylist(taken.rows, schema=REVIEWS), refused


def _typed(given: pa.Table) -> pa.Table:
    """The columns of a file that a review may have, with the types that they have in the register."""
    names = given.column_names
    for name in ("asset_id", "action"):
        if name not in names:
            raise ConfigError(f"reviews: no column {name}; got {', '.join(names)}")
    columns = {}
    for name, kind in GIVEN.items():
        if names.count(name) > 1:
            raise ConfigError(f"reviews: column {name}: got {names.count(name)} of them; expected one")
        column = given[name] if name in names else pa.nulls(given.num_rows, kind)
        try:
            finer = pa.types.is_timestamp(column.type) and column.type.unit == "ns"
            columns[name] = pc.cast(column, kind, safe=not finer)
        except pa.ArrowException as error:
            raise ConfigError(f"reviews: column {name}: got {column.type}; expected {kind}: {error}") from None
    times = columns["reviewed_at"]
    odd = pc.or_(
        *(how(times, pa.scalar(end, times.type)) for how, end in zip((pc.less, pc.greater), TIMES, strict=True))
    )
    if (row := pc.index(pc.fill_null(odd, False), True).as_py()) >= 0:
        raise ConfigError(f"reviews: row {row + 1}: reviewed_at: expected a time between 1900 and 2200")
    return pa.table(columns)


class _Taken:
    """The reviews of a file that are new, row by row.

    Attributes:
        rows: of `schemas.REVIEWS`, so far.
    """

    def __init__(
        self,
        assets: pa.Table,
        aliases: pa.Table,
        known: list[dict[str, Any]],
        given: pa.Table,
        now: datetime,
        mint: Callable[[], str],
    ) -> None:
        self._now_is = dict(zip(aliases["alias_id"].to_pylist(), aliases["asset_id"].to_pylist(), strict=True))
        self._assets = rows_of(assets, {self._now_is.get(one, one) for one in named_in(given)})
        self._known, self._now, self._mint = known, now, mint
        self._told = {key for row in known for key in self._keys(row, row["reviewed_at"], None)}
        self.rows: list[dict[str, Any]] = []

    def take(self, row: dict[str, Any]) -> str | None:
        """Take one in, unless it is known; why it cannot be, or None."""
        if self._told.intersection(self._keys(row, row["reviewed_at"])):
            return None
        told = self._keys(row, row["reviewed_at"], None)
        problem = self._revoke(row) if row["action"] == REVOKE else self._decide(row)
        self._told |= set() if problem else told
        return problem

    def _keys(self, row: dict[str, Any], *times: datetime | None) -> set[tuple[object, ...]]:
        """By what a review is known again: with the ids that it has, or those of now, at some times (None: any).

        A revoke is of an id as it was when that was decided: of two that were merged since, each has its own.
        """
        other = _place(row) if row["action"] == SPLIT else row["target_id"]
        pairs = {(row["asset_id"], other)}
        if row["action"] != REVOKE:
            pairs.add((self._of_now(row["asset_id"]), self._of_now(other)))
        return {(row["action"], *pair, at) for pair in pairs for at in times}

    def _of_now(self, one: str | bytes | None) -> str | bytes | None:
        return self._now_is.get(one, one)

    def _held(self) -> list[dict[str, Any]]:
        return standing(sorted([*self._known, *self.rows], key=lambda one: one["reviewed_at"]))

    def _decide(self, row: dict[str, Any]) -> str | None:
        row |= {name: self._of_now(row[name]) for name in ("asset_id", "target_id")}
        if problem := self._problem(row):
            return problem
        asset = self._assets[row["asset_id"]]
        if row["action"] == SPLIT:
            if any(_place(one) == _place(row) and one["asset_id"] == row["asset_id"] for one in self._held()):
                return None
            asset = asset | {"geometry": _place(row), "length_m": None}
            row["target_id"] = self._mint()
        self._add(row, asset)
        return None

    def _revoke(self, row: dict[str, Any]) -> str | None:
        row["reviewed_at"] = row["reviewed_at"] or self._now
        earlier = [one for one in self._held() if one["reviewed_at"] <= row["reviewed_at"]]
        for asset_id in (row["asset_id"], self._of_now(row["asset_id"])):
            revoke = row | {"asset_id": asset_id}
            if self._told & self._keys(revoke, row["reviewed_at"]):
                return None
            found = [one for one in earlier if revokes(revoke, one)]
            if found:
                self._add(revoke, found[-1])
                return None
        what = f"{row['asset_id']!r}" + (f" with {row['target_id']!r}" if row["target_id"] else "")
        return f"asset_id: got {what}, of which no earlier review holds; expected an asset that one decided about"

    def _add(self, row: dict[str, Any], asset: dict[str, Any]) -> None:
        self.rows.append(
            {name: row[name] for name in ("asset_id", "action", "target_id", "reviewer", "note")}
            | {name: asset[name] for name in ("class", "length_m", "first_seen", "geometry")}
            | {"reviewed_at": row["reviewed_at"] or self._now}
        )

    def _problem(self, row: dict[str, Any]) -> str | None:
        """Why no register could be built with a review."""
        if row["action"] not in ACTIONS:
            return f"action: got {row['action']!r}; expected one of {', '.join(ACTIONS)}"
        for name in ("asset_id", "target_id") if row["action"] == MERGE else ("asset_id",):
            if row[name] not in self._assets:
                return f"{name}: got {row[name]!r}; expected the id of an asset of the register"
        asset = self._assets[row["asset_id"]]
        if row["action"] == MERGE:
            return _unmergeable(asset, self._assets[row["target_id"]])
        return _unsplittable(asset, row["lon"], row["lat"]) if row["action"] == SPLIT else None


def _place(review: dict[str, Any]) -> bytes | None:
    """Where the second asset of a split stands, of a row of a file or of `schemas.REVIEWS`; None of other reviews."""
    if review["action"] != SPLIT:
        return None
    if "geometry" in review:
        return bytes(review["geometry"])
    unknown = review["lon"] is None or review["lat"] is None
    return None if unknown else bytes(shapely.to_wkb(shapely.Point(review["lon"], review["lat"])))


def _unmergeable(asset: dict[str, Any], target: dict[str, Any]) -> str | None:
    if asset["asset_id"] == target["asset_id"]:
        return f"target_id: got {target['asset_id']!r}, the asset itself; expected another one"
    if asset["class"] != target["class"]:
        return f"target_id: got a {target['class']}; expected a {asset['class']}, as the asset is"
    if (asset["length_m"] is None) != (target["length_m"] is None):
        line, point = ("line", "point") if target["length_m"] is not None else ("point", "line")
        return f"target_id: got a {line}; expected a {point}, as the asset is"
    return None


def _unsplittable(asset: dict[str, Any], lon: float | None, lat: float | None) -> str | None:
    if asset["length_m"] is not None:
        return f"action: got split of a line ({asset['class']}); expected a point: lines are cut by what drives see"
    if lon is None or lat is None or not (-180 <= lon <= 180 and -90 <= lat <= 90):
        return f"lon, lat: got {lon}, {lat}; expected where the second asset stands, in degrees"
    far_m = WGS84.inv(asset["lon"], asset["lat"], lon, lat)[2]
    if far_m > FAR_M:
        return f"lon, lat: got a place {far_m:,.0f} m from the asset; expected one within {FAR_M:,.0f} m of it"
    return None
