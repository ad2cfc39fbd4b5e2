"""Reviewers' decisions to changes of the register: taken in once, applied by every run after, undone by none.

A file of reviews has the columns `asset_id` and `action`, and as the action needs `target_id` (merge) or `lon` and
`lat` (split); also `reviewed_at`, `reviewer` and `note`, where known.

    accept   the asset is there: it is confirmed, until a later drive looks and misses it
    reject   it is no asset: its state is rejected
    merge    it is the same as the target: its id becomes an alias
    split    a second asset of its class stands at lon, lat
    damaged, repaired    a change of it at `reviewed_at`; a detector cannot tell, who looks at its evidence can
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import shapely

from roadscan.errors import ConfigError
from roadscan.inventory.build import Built
from roadscan.inventory.fuse.existence import State
from roadscan.inventory.register.geoparquet import CORNERS
from roadscan.inventory.register.identity import with_ids
from roadscan.inventory.register.rows import in_order, in_time
from roadscan.schemas import ASSET_ALIAS, ASSET_CHANGES, ASSETS, REVIEWS

CONDITIONS = ("damaged", "repaired")
ACTIONS = ("accept", "reject", "merge", "split", *CONDITIONS)
SHOWN = 10  # problems named at once
#: Of two assets that are one, the state that comes first here stays.
PRECEDENCE = [state.label for state in (State.CONFIRMED, State.SUSPECT, State.CANDIDATE, State.MISSING, State.REJECTED)]


def ingest(
    given: pa.Table, assets: pa.Table, aliases: pa.Table, known: pa.Table, now: datetime, mint: Callable[[], str]
) -> pa.Table:
    """All reviews: those known, and the given ones with what they need to be applied again later.

    Args:
        given: the rows of a file.
        assets: the register that the reviewers saw.
        aliases: its aliases; a review may name an id that has become another.
        known: `schemas.REVIEWS` of before.
        now: time of a review that has none.
        mint: ids for the second assets of splits.

    Raises:
        ConfigError: which rows cannot be applied, and why.
    """
    lacking = [name for name in ("asset_id", "action") if name not in given.column_names]
    if lacking:
        raise ConfigError(f"reviews: no column {lacking[0]}; got {', '.join(given.column_names)}")
    now_is = dict(zip(aliases["alias_id"].to_pylist(), aliases["asset_id"].to_pylist(), strict=True))
    standing = _rows_of(assets, {now_is.get(one, one) for one in _named(given)})
    seen = {(row["asset_id"], row["action"], row["target_id"], row["reviewed_at"]) for row in known.to_pylist()}
    places = {(row["asset_id"], row["geometry"]) for row in known.to_pylist() if row["action"] == "split"}
    problems, rows = [], []
    for number, row in enumerate(given.to_pylist(), start=1):
        row["asset_id"] = now_is.get(row["asset_id"], row["asset_id"])
        row["target_id"] = now_is.get(row.get("target_id"), row.get("target_id"))
        problem = _problem(row, standing)
        if problem:
            problems.append(f"row {number}: {problem}")
            continue
        asset = standing[row["asset_id"]]
        shape = shapely.to_wkb(shapely.Point(row["lon"], row["lat"])) if row["action"] == "split" else asset["geometry"]
        key = (row["asset_id"], row["action"], row["target_id"], row.get("reviewed_at"))
        if key in seen or (row["asset_id"], shape) in places:
            continue
        rows.append(
            {name: row.get(name) for name in ("asset_id", "action", "target_id", "reviewer", "note")}
            | {name: asset[name] for name in ("class", "length_m", "first_seen")}
            | {"geometry": shape, "reviewed_at": row.get("reviewed_at") or now}
        )
        if row["action"] == "split":
            rows[-1] |= {"target_id": mint(), "length_m": None}
    if problems:
        more = [f"and {len(problems) - SHOWN} more"] if len(problems) > SHOWN else []
        raise ConfigError("\n  ".join(["reviews: nothing was taken in", *problems[:SHOWN], *more]))
    return pa.concat_tables([known, pa.Table.from_pylist(rows, schema=REVIEWS)]).sort_by("reviewed_at")


def _problem(row: dict[str, Any], standing: dict[str, dict[str, Any]]) -> str | None:
    if row["action"] not in ACTIONS:
        return f"action: got {row['action']!r}; expected one of {', '.join(ACTIONS)}"
    for name in ("asset_id", "target_id") if row["action"] == "merge" else ("asset_id",):
        if row[name] not in standing:
            return f"{name}: got {row[name]!r}; expected the id of an asset of the register"
    if row["action"] == "merge":
        asset, target = standing[row["asset_id"]], standing[row["target_id"]]
        if row["asset_id"] == row["target_id"]:
            return f"target_id: got {row['target_id']!r}, the asset itself; expected another one"
        if asset["class"] != target["class"]:
            return f"target_id: got a {target['class']}; expected a {asset['class']}, as the asset is"
    if row["action"] == "split":
        lon, lat = row.get("lon"), row.get("lat")
        if lon is None or lat is None or not (-180 <= lon <= 180 and -90 <= lat <= 90):
            return f"lon, lat: got {lon}, {lat}; expected where the second asset stands, in degrees"
    return None


def with_removed(previous: pa.Table, reviews: pa.Table) -> pa.Table:
    """The register of before with the ids that reviews gave or took away, so that what stands there gets them again."""
    there = set(_rows_of(previous.select(["asset_id"]), _named(reviews)))
    rows = []
    for review in reviews.to_pylist():
        removed = {"merge": review["asset_id"], "split": review["target_id"]}.get(review["action"])
        if removed and removed not in there:
            shape = shapely.from_wkb(review["geometry"])
            middle = shape if shape.geom_type == "Point" else shape.interpolate(0.5, normalized=True)
            rows.append(
                {name: review[name] for name in ("class", "geometry", "length_m", "first_seen")}
                | {"asset_id": removed, "lon": middle.x, "lat": middle.y}
                | {"bbox": dict(zip(CORNERS, shape.bounds, strict=True))}
            )
            there.add(removed)
    added = pa.Table.from_pylist([dict.fromkeys(ASSETS.names) | row for row in rows], schema=ASSETS)
    return pa.concat_tables([previous.cast(ASSETS), added]) if rows else previous


def apply_reviews(built: Built, previous: pa.Table, reviews: pa.Table) -> Built:
    """The register as the reviewers have it.

    Args:
        built: what the drives say.
        previous: the assets published before: what was accepted stays, also when the drives no longer show it.
        reviews: `schemas.REVIEWS`, in the order of their time.
    """
    if not reviews.num_rows:
        return built
    register = _Reviewed(built, previous, _named(reviews))
    for review in reviews.to_pylist():
        register.apply(review)
    same, conditions = register.same, register.conditions()
    return replace(
        built,
        assets=in_order(register.assets()),
        aliases=register.aliases(built.aliases, reviews),
        changes=in_time(pa.concat_tables([with_ids(built.changes, same), conditions]), "changed_at"),
        history=with_ids(built.history, same),
        observations=with_ids(built.observations, same),
        stitched={one: _end(same, other) for one, other in (dict(built.stitched) | same).items()},
    )


def _named(reviews: pa.Table) -> set[str]:
    """The ids of all assets that reviews name, or give."""
    names = [name for name in ("asset_id", "target_id") if name in reviews.column_names]
    return {str(one) for name in names for one in reviews[name].to_pylist() if one is not None}


def _rows_of(assets: pa.Table, ids: Collection[str]) -> dict[str, dict[str, Any]]:
    """The rows of some assets, by id: a register has millions, and reviews name a few."""
    return {row["asset_id"]: row for row in assets.filter(_among(assets, ids)).to_pylist()}


def _among(table: pa.Table, ids: Collection[str]) -> pa.ChunkedArray:
    """Which rows are of these assets."""
    return pc.is_in(table["asset_id"], pa.array(sorted(ids), pa.string()))


def _end(same: dict[str, str], one: str) -> str:
    """The id that an id comes to through merges, one after the other."""
    for _ in same:
        one = same.get(one, one)
    return one


class _Reviewed:
    """The register's rows that reviews name, by id, while these are applied one after the other.

    Attributes:
        rows: of `schemas.ASSETS`, by id.
        same: from an id that was merged to the one that it was merged into.
    """

    def __init__(self, built: Built, previous: pa.Table, named: Collection[str]) -> None:
        self.rows = _rows_of(built.assets, named)
        self.same: dict[str, str] = {}
        self._others = built.assets.filter(pc.invert(_among(built.assets, named)))
        self._before = _rows_of(previous, named)
        self._noted: list[dict[str, Any]] = []
        self._doubted = _last_doubt(built.changes.filter(_among(built.changes, named)))

    def assets(self) -> pa.Table:
        """`schemas.ASSETS` as the reviews have left it, those that none names before the others."""
        return pa.concat_tables([self._others.cast(ASSETS), pa.Table.from_pylist(list(self.rows.values()), ASSETS)])

    def apply(self, review: dict[str, Any]) -> None:
        """Do what a review (a row of `schemas.REVIEWS`) says."""
        asset_id, action = self._now(review["asset_id"]), review["action"]
        if action == "merge":
            self._merge(review, asset_id)
            return
        row = self.rows.get(asset_id) or self._before.get(asset_id)
        if row is None:
            return
        self.rows[asset_id] = row
        if action in CONDITIONS:
            self._noted.append(_change(row, review))
        elif action == "reject":
            self.rows[asset_id] = row | {"state": State.REJECTED.label, "existence": 0.0}
        elif action == "split" and review["target_id"] not in self.rows:
            self.rows[review["target_id"]] = _second(row, review)
        elif action == "accept" and not self._doubted.get(asset_id, review["reviewed_at"]) > review["reviewed_at"]:
            sure = {"state": State.CONFIRMED.label, "existence": max(row["existence"] or 0.0, 0.99)}
            self.rows[asset_id] = row | sure

    def aliases(self, known: pa.Table, reviews: pa.Table) -> pa.Table:
        """`schemas.ASSET_ALIAS`: those known, and the ids that were merged."""
        since = {review["asset_id"]: review["reviewed_at"] for review in reviews.to_pylist()}
        rows = [row for row in known.to_pylist() if row["alias_id"] not in self.same]
        rows += [
            {"alias_id": one, "asset_id": self._now(target), "reason": "review", "since": since[one]}
            for one, target in self.same.items()
        ]
        return with_ids(pa.Table.from_pylist(rows, schema=ASSET_ALIAS), self.same).sort_by("alias_id")

    def conditions(self) -> pa.Table:
        """`schemas.ASSET_CHANGES` that reviewers saw, under the ids of now."""
        return pa.Table.from_pylist(
            [row | {"asset_id": self._now(row["asset_id"])} for row in self._noted], ASSET_CHANGES
        )

    def _merge(self, review: dict[str, Any], asset_id: str) -> None:
        target = self._now(review["target_id"])
        if asset_id == target:
            return
        self.same[review["asset_id"]] = target
        if asset_id in self.rows:
            gone = self.rows.pop(asset_id)
            stays = self.rows.get(target)
            self.rows[target] = _both(stays, gone) if stays else gone | {"asset_id": target}

    def _now(self, asset_id: str) -> str:
        while asset_id in self.same:
            asset_id = self.same[asset_id]
        return asset_id


def _last_doubt(changes: pa.Table) -> dict[str, datetime]:
    """When a drive last made an asset suspect or missing, by id."""
    doubts = pa.array([State.SUSPECT.label, State.MISSING.label])
    doubted: dict[str, datetime] = {}
    for change in changes.filter(pc.is_in(changes["change"], doubts)).to_pylist():
        asset_id, at = change["asset_id"], change["changed_at"]
        doubted[asset_id] = max(at, doubted.get(asset_id, at))
    return doubted


def _both(stays: dict[str, Any], goes: dict[str, Any]) -> dict[str, Any]:
    """The row of two assets that are one."""
    return stays | {
        "n_observations": stays["n_observations"] + goes["n_observations"],
        "n_nights": max(stays["n_nights"], goes["n_nights"]),
        "first_seen": min(stays["first_seen"], goes["first_seen"]),
        "last_seen": max(stays["last_seen"], goes["last_seen"]),
        "existence": max(stays["existence"] or 0.0, goes["existence"] or 0.0),
        "state": min(stays["state"], goes["state"], key=PRECEDENCE.index),
    }


def _change(row: dict[str, Any], review: dict[str, Any]) -> dict[str, Any]:
    """What a reviewer saw of an asset, as a change that no drive showed."""
    place = {name: row[name] for name in ("asset_id", "class", "lon", "lat")}
    return place | {"change": review["action"], "drive_id": None, "changed_at": review["reviewed_at"]}


def _second(row: dict[str, Any], review: dict[str, Any]) -> dict[str, Any]:
    """The row of the second asset of a split: the first one's evidence, at its own place."""
    point = shapely.from_wkb(review["geometry"])
    place = {"lon": point.x, "lat": point.y, "geometry": review["geometry"]}
    box = {"bbox": dict(zip(CORNERS, point.bounds, strict=True))}
    return row | place | box | {"asset_id": review["target_id"], "state": State.CONFIRMED.label}
