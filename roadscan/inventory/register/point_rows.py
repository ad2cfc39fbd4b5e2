"""Point and overhead assets to rows: positions in degrees, side, state, best view, and what each drive said.

Legend: K estimates of all drives, N assets. ENU metres.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import shapely

from roadscan.arrays import Ints
from roadscan.inventory.fuse.existence import ABSENT, REFUTED, State
from roadscan.inventory.fuse.points import PointAssets
from roadscan.inventory.fuse.tally import Tally
from roadscan.inventory.register.rows import (
    History,
    Rows,
    change_columns,
    covariance_columns,
    history_columns,
    observation_columns,
    standing_columns,
)
from roadscan.inventory.register.sides import sides
from roadscan.schemas import ASSETS
from roadscan.survey.geodesy import LocalFrame
from roadscan.taxonomy import Geometry, Taxonomy

_SHOWN = {"evidence_uri": "image_uri", "evidence_box_px": "box_px", "model_sha256": "model_sha256"}


def point_rows(assets: PointAssets, taxonomy: Taxonomy, enu: LocalFrame) -> Rows:
    """The rows of point and overhead assets.

    Args:
        assets: of a region.
        taxonomy: which classes span the road.
        enu: the metres.
    """
    drives = [seen.view.drive for seen in assets.observations]
    standing = assets.standing
    kept = ~((standing.state == State.CANDIDATE) & (standing.existence < REFUTED))
    number = np.where(kept, np.cumsum(kept) - 1, -1)
    keep = np.flatnonzero(kept)
    lon, lat = enu.to_lonlat(*assets.xy[keep].T)
    columns = {
        "class": pa.array(np.array(assets.class_names, dtype=object)[assets.class_index[keep]], pa.string()),
        "lon": pa.array(lon, pa.float64()),
        "lat": pa.array(lat, pa.float64()),
        **covariance_columns(assets.cov[keep]),
        "length_m": pa.nulls(len(keep), pa.float64()),
        "side": pa.array(_side(assets, taxonomy)[keep].astype(object), pa.string()),
        **standing_columns(standing, keep),
        "control_id": pa.array(assets.control_id[keep], pa.string()),
        **_tally_columns(assets.tally.take(keep)),
    }
    return Rows(
        columns,
        np.asarray(shapely.points(lon, lat), object).reshape(-1),
        change_columns(drives, standing, number, assets.before.changes),
        history_columns(drives, _history(assets, number), enu),
        observation_columns(drives, _observations(assets, number)),
    )


def _side(assets: PointAssets, taxonomy: Taxonomy) -> npt.NDArray[np.str_]:
    """left, right or overhead, (N,)."""
    side = sides(assets.xy, assets.pool.offset_m[assets.first], [seen.view for seen in assets.observations])
    if not assets.class_names:
        return side
    overhead = np.array([taxonomy.get(name).geometry is Geometry.OVERHEAD for name in assets.class_names], bool)
    return np.where(overhead[assets.class_index], "overhead", side)


def _observations(assets: PointAssets, number: Ints) -> list[tuple[Ints, Ints]]:
    """Of each drive the numbers (N,) of assets kept, and the rows of its observations that show them."""
    found = []
    for seen in assets.observations:
        shown = np.flatnonzero(seen.asset >= 0)
        kept = shown[number[seen.asset[shown]] >= 0]
        found.append((number[seen.asset[kept]], seen.view.drive.detections.row[kept]))
    return found


def _tally_columns(tally: Tally) -> dict[str, pa.Array]:
    """What the detections say of each asset, and where to see it best."""
    utc = ASSETS.field("first_seen").type
    return {
        "score": pa.array(tally.score / np.maximum(tally.detections, 1)),
        "n_observations": pa.array(tally.observations),
        "n_nights": pa.array(tally.nights),
        "first_seen": pa.array(tally.first_us).cast(utc),
        "last_seen": pa.array(tally.last_us).cast(utc),
        "last_drive_id": pa.array(tally.last_drive, pa.string()),
        "azimuth_deg": pa.array(np.degrees(np.arctan2(-tally.east, -tally.north)) % 360),
    } | {name: tally.view[view].combine_chunks() for name, view in _SHOWN.items()}


def _history(assets: PointAssets, number: Ints) -> History:
    """What each drive that saw an asset kept, or that clearly should have, said of it.

    Args:
        assets: of a region.
        number: (N,) the row of each, -1 for one that is not kept.
    """
    score = assets.shown.mean_score(len(assets.observations), len(number))
    visibility, pool, asset = assets.visibility, assets.pool, assets.association.asset
    told = np.flatnonzero((number[visibility.asset] >= 0) & ((visibility.hits > 0) | (assets.ratio <= ABSENT)))
    key = visibility.drive * len(number) + visibility.asset
    order = np.argsort(key)
    known = np.flatnonzero((asset >= 0) & (pool.drive >= 0))
    place = order[np.searchsorted(key[order], pool.drive[known] * len(number) + asset[known])]
    weight = 1 / np.trace(pool.cov[known], axis1=1, axis2=2)
    total = np.bincount(place, weight, len(key))
    with np.errstate(invalid="ignore", divide="ignore"):
        xy = np.stack([np.bincount(place, weight * pool.xy[known, i], len(key)) / total for i in (0, 1)], axis=1)
        sigma_m = np.sqrt(1 / total)
    about, drive = visibility.asset[told], visibility.drive[told]
    return History(
        asset=number[about],
        drive=drive,
        hits=visibility.hits[told],
        opportunities=visibility.opportunities[told],
        xy=xy[told],
        sigma_m=sigma_m[told],
        score=score[drive, about],
    )
