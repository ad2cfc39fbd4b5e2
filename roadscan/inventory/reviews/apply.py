"""The register that drives make, and the reviews that hold, to the register as the reviewers have it."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import shapely

from roadscan.inventory.build import Built
from roadscan.inventory.fuse.existence import State
from roadscan.inventory.register.geoparquet import CORNERS
from roadscan.inventory.register.identity import resolved, with_ids
from roadscan.inventory.register.rows import in_order, in_time
from roadscan.inventory.reviews.standing import ACCEPT, CONDITIONS, MERGE, REJECT, SPLIT, standing
from roadscan.schemas import ASSET_ALIAS, ASSET_CHANGES, ASSETS

LOG = logging.getLogger(__name__)
#: Of two assets that are one, the state that comes first here stays.
PRECEDENCE = [state.label for state in (State.CONFIRMED, State.SUSPECT, State.CANDIDATE, State.MISSING, State.REJECTED)]


def with_removed(previous: pa.Table, reviews: pa.Table) -> pa.Table:
    """The register of before with the ids that reviews gave or took away, so that what stands there gets them again.

    Also those of reviews that were revoked: what was merged is to have its own id again.
    """
    there = set(rows_of(previous.select(["asset_id"]), named_in(reviews)))
    rows = []
    for review in reviews.to_pylist():
        removed = {MERGE: review["asset_id"], SPLIT: review["target_id"]}.get(review["action"])
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
    rows = reviews.to_pylist()
    held = standing(rows)
    register = _Reviewed(built, previous, named_in(reviews))
    for review in held:
        register.apply(review)
    given_up = {row["target_id"]: row for row in rows if row["action"] == SPLIT and row not in held}
    same, conditions, assets = register.same, register.conditions(), register.assets()
    aliases = register.aliases(given_up)
    return replace(
        built,
        assets=in_order(assets),
        aliases=resolved(aliases.filter(pc.invert(pc.is_in(aliases["alias_id"], assets["asset_id"])))),
        changes=in_time(pa.concat_tables([with_ids(built.changes, same), conditions]), "changed_at"),
        history=with_ids(built.history, same),
        observations=with_ids(built.observations, same),
        stitched={one: _end(same, other) for one, other in (dict(built.stitched) | same).items()},
    )


def named_in(reviews: pa.Table) -> set[str]:
    """The ids of all assets that reviews name, or give."""
    names = [name for name in ("asset_id", "target_id") if name in reviews.column_names]
    return {str(one) for name in names for one in reviews[name].to_pylist() if one is not None}


def rows_of(assets: pa.Table, ids: Collection[str]) -> dict[str, dict[str, Any]]:
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
        of_drives = pc.not_equal(built.aliases["reason"], "review")  # of reviewers: from before, and told again
        self._aliases = built.aliases.filter(of_drives).to_pylist()
        self._became = {row["alias_id"]: row["asset_id"] for row in self._aliases if row["alias_id"] in named}
        named = {*named, *self._became.values()}
        self.rows = rows_of(built.assets, named)
        self.same: dict[str, str] = {}
        self._merged_at: dict[str, datetime] = {}
        self._others = built.assets.filter(pc.invert(_among(built.assets, named)))
        self._before = rows_of(previous, named)
        self._noted: list[dict[str, Any]] = []
        self._doubted = _last_doubt(built.changes.filter(_among(built.changes, named)))

    def assets(self) -> pa.Table:
        """`schemas.ASSETS` as the reviews have left it, those that none names before the others."""
        return pa.concat_tables([self._others.cast(ASSETS), pa.Table.from_pylist(list(self.rows.values()), ASSETS)])

    def apply(self, review: dict[str, Any]) -> None:
        """Do what a review (a row of `schemas.REVIEWS`) says."""
        asset_id, action = self._now(review["asset_id"]), review["action"]
        if action == MERGE:
            self._merge(review, asset_id)
            return
        if asset_id not in self.rows:
            asset_id = self._now(self._became.get(asset_id, asset_id))
        row = self.rows.get(asset_id) or self._before.get(asset_id)
        if row is None:
            return
        if action == SPLIT and row["length_m"] is not None:
            LOG.warning("review of %s: a line cannot be split: the review is left out", asset_id)
            return
        self.rows[asset_id] = row
        if action in CONDITIONS:
            self._noted.append(_change(row, review))
        elif action == REJECT:
            self.rows[asset_id] = row | {"state": State.REJECTED.label, "existence": 0.0}
        elif action == SPLIT and review["target_id"] not in self.rows:
            self.rows[review["target_id"]] = _second(row, review)
        elif action == ACCEPT and not self._doubted.get(asset_id, review["reviewed_at"]) > review["reviewed_at"]:
            sure = {"state": State.CONFIRMED.label, "existence": max(row["existence"] or 0.0, 0.99)}
            self.rows[asset_id] = row | sure

    def aliases(self, given_up: dict[str, dict[str, Any]]) -> pa.Table:
        """`schemas.ASSET_ALIAS`: of what drives made one, of what reviewers did, and of splits that were revoked.

        Args:
            given_up: the reviews of those splits, by the id of the second asset.
        """
        rows = [row for row in self._aliases if row["alias_id"] not in self.same]
        there = {row["alias_id"] for row in rows}
        decided = {one: (review["asset_id"], review["reviewed_at"]) for one, review in given_up.items()}
        decided |= {one: (target, self._merged_at[one]) for one, target in self.same.items()}
        rows += [
            {"alias_id": one, "asset_id": self._now(target), "reason": "review", "since": at}
            for one, (target, at) in decided.items()
            if one not in there
        ]
        return with_ids(pa.Table.from_pylist(rows, schema=ASSET_ALIAS), self.same)

    def conditions(self) -> pa.Table:
        """`schemas.ASSET_CHANGES` that reviewers saw, under the ids of now."""
        return pa.Table.from_pylist(
            [row | {"asset_id": self._now(row["asset_id"])} for row in self._noted], ASSET_CHANGES
        )

    def _merge(self, review: dict[str, Any], asset_id: str) -> None:
        target = self._now(review["target_id"])
        if asset_id == target:
            return
        self.same[asset_id], self._merged_at[asset_id] = target, review["reviewed_at"]
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
