"""All that a release knows of some assets, as the page shows it, and the photographs that show each."""

# ruff: noqa: S608 - statements are put together from constants, and texts that are quoted
from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import shapely

from roadscan.errors import NotFound
from roadscan.inventory.query import query_release, quoted
from roadscan.inventory.query.rendering import plain
from roadscan.view.tiles import ellipses_m
from roadscan.warehouse import Release, Warehouse

PHOTOGRAPHS = 24  # the newest, one a drive
ABSENT = ("suspect", "missing")  # states that a look without a detection made
FAR_PX = 100_000  # a corner farther away is none of an image's
Row = dict[str, Any]
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Photograph:
    """One photograph of an asset.

    Attributes:
        uri: of the image, as the release names it.
        box_px: xyxy in pixels of the image; None where the drive looked and did not find the asset.
        facts: drive, time and score, for people.
    """

    uri: str
    box_px: Box | None
    facts: Row


@dataclass(frozen=True)
class Details:
    """What a release knows of an asset.

    Attributes:
        asset_id: of now.
        facts: as JSON.
        photographs: the newest first.
    """

    asset_id: str
    facts: Row
    photographs: list[Photograph]

    def to_dict(self) -> Row:
        """As JSON has it; photographs are numbered in their order."""
        shown = [{**one.facts, "uri": one.uri, "box_px": one.box_px} for one in self.photographs]
        return {**self.facts, "photographs": shown}


def current_id(warehouse: Warehouse, release: Release, asset_id: str) -> str:
    """An id of now, or one that became another -> the id that the asset has now.

    Raises:
        NotFound: the register of the release has no such asset.
    """
    named = f"SELECT asset_id FROM asset_ids WHERE id = {quoted(asset_id)}"
    found = query_release(warehouse, release, named)["asset_id"].to_pylist()
    if not found:
        raise NotFound(f"asset_id: release {release.number} has no asset {asset_id!r}")
    return str(found[0])


def read_details(warehouse: Warehouse, release: Release, asset_ids: Sequence[str]) -> list[Details]:
    """Ids of now -> what a release knows of these assets, in one question: a hundred cost little more than one."""
    ids = _listed(asset_ids)
    (first,) = query_release(
        warehouse,
        release,
        _together(
            {
                "aliases": f"SELECT alias_id, asset_id, reason, since FROM asset_alias WHERE asset_id IN ({ids})",
                "absent": f"SELECT asset_id FROM assets WHERE asset_id IN ({ids}) AND state IN ({_listed(ABSENT)})",
            }
        ),
    ).to_pylist()
    aliases = first["aliases"] or []
    now_is = {row["alias_id"]: row["asset_id"] for row in aliases}
    absent = [row["asset_id"] for row in first["absent"] or []]
    (told,) = query_release(warehouse, release, _question(asset_ids, list(now_is), absent)).to_pylist()
    rows = {name: _grouped(part or [], now_is) for name, part in told.items()}
    rows["aliases"] = _grouped(aliases, {})
    return [
        _details(release, one, {name: of.get(one, []) for name, of in rows.items()})
        for one in asset_ids
        if one in rows["asset"]
    ]


def _question(asset_ids: Sequence[str], aliases: Sequence[str], absent: Sequence[str]) -> str:
    """What there is to know of some assets; where those were that are absent costs a read of frames."""
    ids, all_ids = _listed(asset_ids), _listed([*asset_ids, *aliases])
    parts = {
        "asset": f"SELECT * EXCLUDE (bbox) FROM assets WHERE asset_id IN ({ids})",
        "drives": "SELECT * EXCLUDE (class, route_code, section_code, km_m, state) "
        f"FROM asset_timeline WHERE asset_id IN ({ids})",
        "changes": f"SELECT asset_id, change, changed_at, drive_id FROM changes_since WHERE asset_id IN ({ids})",
        "reviews": "SELECT asset_id, action, target_id, reviewed_at, reviewer, note FROM reviews "
        f"WHERE asset_id IN ({all_ids}) OR target_id IN ({all_ids})",
        "seen": "SELECT asset_id, drive_id, frame_id, captured_at, score, image_uri, box_px, "
        "score * sqrt(abs((box_px[3] - box_px[1]) * (box_px[4] - box_px[2]))) AS worth FROM asset_observations "
        f"WHERE asset_id IN ({all_ids}) AND image_uri IS NOT NULL AND box_px IS NOT NULL "
        "QUALIFY row_number() OVER (PARTITION BY asset_id, drive_id ORDER BY worth DESC, frame_id) = 1",
    }
    if absent:
        parts["missed"] = (
            "SELECT asset_id, after_drive AS drive_id, after_at AS captured_at, after_uri AS image_uri "
            "FROM change_photographs "
            f"WHERE asset_id IN ({_listed(absent)}) AND after_uri IS NOT NULL AND after_box_px IS NULL"
        )
    return _together(parts)


def _together(parts: Mapping[str, str]) -> str:
    """One statement for several, since opening a release costs more than asking it; a column each, of rows."""
    columns = (f"(SELECT list(part) FROM ({sql}) AS part) AS {name}" for name, sql in parts.items())
    return f"SELECT {', '.join(columns)}"


def _grouped(rows: Iterable[Row], now_is: dict[str, str]) -> dict[str, list[Row]]:
    """Rows by the id that their asset has now; a review of two assets is of each."""
    groups = defaultdict[str, list[Row]](list)
    for row in rows:
        names = filter(None, (row["asset_id"], row.get("target_id")))
        for one in {now_is.get(name, name) for name in names}:
            groups[one].append(row)
    return groups


def _details(release: Release, asset_id: str, rows: dict[str, list[Row]]) -> Details:
    asset = dict(rows["asset"][0])
    shape = shapely.from_wkb(asset.pop("geometry"))
    covariance = [[asset.pop(f"cov_{two}_m2") for two in ("ee", "en", "nn")]]
    facts = {
        "release": release.number,
        "asset": plain(asset),
        "geometry": shapely.geometry.mapping(shape),
        "ellipse_m": ellipses_m(covariance)[0].round(3).tolist(),  # type: ignore[arg-type]
        "aliases": _shown(rows["aliases"], "since", without="asset_id"),
        "drives": _shown(rows["drives"], "looked_at", without="asset_id"),
        "changes": _shown(rows["changes"], "changed_at", without="asset_id"),
        "reviews": _shown(rows["reviews"], "reviewed_at"),
    }
    return Details(asset_id, facts, _photographs(asset, rows["seen"], rows.get("missed", [])))


def _shown(rows: list[Row], time: str, without: str = "") -> list[Row]:
    """Rows as JSON, the newest first."""
    newest = sorted(rows, key=lambda row: row[time], reverse=True)
    return [plain({name: value for name, value in row.items() if name != without}) for row in newest]


def _photographs(asset: Row, seen: list[Row], missed: list[Row]) -> list[Photograph]:
    """Of each drive that saw it the best, by size and score; of one that changed it by not seeing it where it was."""
    best: dict[str, Row] = {}
    for row in sorted(seen, key=lambda row: (row["worth"], row["frame_id"])):
        best[row["drive_id"]] = row
    best = {row["drive_id"]: row | {"box_px": None} for row in missed} | best
    found = sorted(best.values(), key=lambda row: row["captured_at"], reverse=True)[:PHOTOGRAPHS]
    if not found and asset["evidence_uri"]:
        found = [{"image_uri": asset["evidence_uri"], "box_px": asset["evidence_box_px"]}]
    facts = ("drive_id", "frame_id", "captured_at", "score")
    return [
        Photograph(row["image_uri"], _box(row["box_px"]), plain({name: row.get(name) for name in facts}))
        for row in found
    ]


def _box(values: Sequence[float] | None) -> Box | None:
    """A box that can be drawn; None for what no image has."""
    if not values or len(values) != 4 or not all(math.isfinite(one) and abs(one) < FAR_PX for one in values):
        return None
    left, top, right, bottom = values
    return min(left, right), min(top, bottom), max(left, right), max(top, bottom)


def _listed(texts: Iterable[str]) -> str:
    return ", ".join(map(quoted, texts))
