"""The whole register from all committed drives: a pure function of their tables and of the ids given before."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import shapely

from roadscan.inventory.assets import Asset
from roadscan.inventory.associate import nearby_pairs, one_to_one
from roadscan.inventory.config import InventoryConfig
from roadscan.inventory.drive_pass import read_pass
from roadscan.inventory.geoparquet import geo_metadata, geometry_columns, hilbert_distance
from roadscan.inventory.lifecycle import Change, Register
from roadscan.inventory.matching import gate_m, match_lines
from roadscan.inventory.sightings import find_sightings
from roadscan.schemas import ASSET_CHANGES, ASSETS
from roadscan.survey.geodesy import WGS84, LocalFrame
from roadscan.taxonomy import Geometry, Taxonomy

SAME_MOMENT = 0.01  # by which a distance counts less between assets that were first seen at one moment
SIMPLIFY_DEG = 1e-6  # 0.1 m: vertices of an outline that change it by less are dropped


@dataclass(frozen=True)
class DriveTables:
    """The committed rows of one drive."""

    drive_id: str
    frames: pa.Table
    observations: pa.Table


@dataclass(frozen=True)
class Built:
    """The register's tables.

    Attributes:
        assets: `schemas.ASSETS` with GeoParquet metadata, in Hilbert order.
        changes: `schemas.ASSET_CHANGES`, in the order in which they happened.
    """

    assets: pa.Table
    changes: pa.Table


def build(
    drives: Iterable[DriveTables],
    previous: pa.Table,
    taxonomy: Taxonomy,
    config: InventoryConfig,
    mint: Callable[[], str],
    on_drive: Callable[[str], None] | None = None,
) -> Built:
    """Build the register.

    Args:
        drives: in the order in which they were driven.
        previous: the assets published before, whose ids are kept.
        taxonomy: what is known of the classes.
        config: thresholds.
        mint: a new id for an asset that had none.
        on_drive: called with each drive's id when it is done.
    """
    register = Register(config)
    for tables in drives:
        drive = read_pass(tables.drive_id, tables.frames, tables.observations, config.min_score)
        if drive is not None:
            register.add(drive, find_sightings(drive, taxonomy, config))
        if on_drive is not None:
            on_drive(tables.drive_id)
    assets = register.assets
    order = hilbert_distance(np.array([a.lon for a in assets]), np.array([a.lat for a in assets])).argsort(
        kind="stable"
    )
    assets = [assets[n] for n in order]
    ids = [known or mint() for known in _carry_ids(assets, previous, taxonomy, config)]
    return Built(_asset_table(assets, ids), _change_table(register.changes, dict(zip(assets, ids, strict=True))))


def _carry_ids(
    assets: list[Asset], previous: pa.Table, taxonomy: Taxonomy, config: InventoryConfig
) -> list[str | None]:
    """For each asset the id of the previous asset of its class that it matches, or None.

    Of several near ones that which was first seen at the same moment: when two assets have become one, the older id
    stays.
    """
    ids: list[str | None] = [None] * len(assets)
    if not assets or not previous.num_rows:
        return ids
    old = previous.select(["asset_id", "class", "lon", "lat", "geometry", "first_seen"]).to_pylist()
    frame = LocalFrame(assets[0].lon, assets[0].lat)
    new_xy = np.stack(frame.to_xy([a.lon for a in assets], [a.lat for a in assets]), axis=1)
    old_xy = np.stack(frame.to_xy([row["lon"] for row in old], [row["lat"] for row in old]), axis=1)
    gates = np.array([gate_m(taxonomy.get(row["class"]), config) for row in old])
    i, j, distance = nearby_pairs(new_xy, old_xy, float(gates.max()))
    good = (distance <= gates[j]) & (gates[j] > 0)
    good &= np.array([assets[a].asset_class.name == old[b]["class"] for a, b in zip(i, j, strict=True)], bool)
    i, j, distance = i[good], j[good], distance[good]
    same = np.array([assets[a].first_seen == old[b]["first_seen"] for a, b in zip(i, j, strict=True)], bool)
    for pair in one_to_one(i, j, distance / gates[j] * np.where(same, SAME_MOMENT, 1.0), miss_cost=1.0):
        ids[i[pair]] = old[j[pair]]["asset_id"]
    is_line = [taxonomy.get(row["class"]).geometry is Geometry.LINE for row in old]
    old_lines = [
        (row["asset_id"], row["class"], _xy(frame, row)) for row, line in zip(old, is_line, strict=True) if line
    ]
    new_lines = [(n, a.asset_class.name, a.outline) for n, a in enumerate(assets) if a.outline is not None]
    lines = [(name, np.stack(frame.to_xy(*np.asarray(outline).T), axis=1)) for _, name, outline in new_lines]
    used: set[int] = set()
    for known, line in match_lines(lines, [entry[1:] for entry in old_lines], config.line_overlap_m):
        if known not in used:
            used.add(known)
            ids[new_lines[line][0]] = old_lines[known][0]
    return ids


def _xy(frame: LocalFrame, row: dict[str, bytes]) -> npt.NDArray[np.float64]:
    lonlat = shapely.get_coordinates(shapely.from_wkb(row["geometry"]))
    return np.stack(frame.to_xy(*lonlat.T), axis=1)


def _shape(asset: Asset) -> shapely.Geometry:
    if asset.outline is None:
        return shapely.Point(asset.lon, asset.lat)
    return shapely.simplify(shapely.LineString(asset.outline), SIMPLIFY_DEG)


def _asset_table(assets: list[Asset], ids: list[str]) -> pa.Table:
    shapes = np.array([_shape(asset) for asset in assets], dtype=object)
    rows = [_asset_row(asset, asset_id, shape) for asset, asset_id, shape in zip(assets, ids, shapes, strict=True)]
    columns = {
        name: pa.array([row[name] for row in rows], ASSETS.field(name).type) for name in (rows[0] if rows else {})
    }
    if not rows:
        return ASSETS.empty_table().replace_schema_metadata({**ASSETS.metadata, **geo_metadata(shapes)})
    columns |= geometry_columns(shapes)
    arrays = [columns[name].cast(ASSETS.field(name).type) for name in ASSETS.names]
    return (
        pa.table(arrays, names=ASSETS.names)
        .cast(ASSETS)
        .replace_schema_metadata({**ASSETS.metadata, **geo_metadata(shapes)})
    )


def _asset_row(asset: Asset, asset_id: str, shape: shapely.Geometry) -> dict[str, object]:
    """The columns of `schemas.ASSETS` other than `geometry` and `bbox`."""
    is_line = asset.asset_class.geometry is Geometry.LINE
    return {
        "asset_id": asset_id,
        "class": asset.asset_class.name,
        "lon": asset.lon,
        "lat": asset.lat,
        "pos_sigma_m": asset.pos_sigma_m,
        "cov_ee_m2": float(asset.cov[0, 0]),
        "cov_en_m2": float(asset.cov[0, 1]),
        "cov_nn_m2": float(asset.cov[1, 1]),
        "length_m": float(WGS84.geometry_length(shape)) if is_line else None,
        "side": asset.side,
        "state": asset.state,
        "score": asset.score_sum / asset.hits,
        "n_observations": asset.hits,
        "n_nights": len(asset.dates),
        "first_seen": asset.first_seen,
        "last_seen": asset.last_seen,
        "evidence_uri": asset.evidence.image_uri,
        "evidence_box_px": asset.evidence.box_px,
        "model_sha256": asset.evidence.model_sha256,
    }


def _change_table(changes: list[Change], ids: dict[Asset, str]) -> pa.Table:
    rows = [
        {
            "asset_id": ids[change.asset],
            "class": change.asset.asset_class.name,
            "change": change.change,
            "drive_id": change.drive_id,
            "changed_at": change.changed_at,
            "lon": change.asset.lon,
            "lat": change.asset.lat,
        }
        for change in changes
    ]
    return pa.Table.from_pylist(rows, schema=ASSET_CHANGES)
