"""Point and overhead assets to rows: positions in degrees, side, state, best view, and what each drive said.

Legend: D drives, K estimates of all drives, N assets, M detections of all drives that show one. ENU metres.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import shapely

from roadscan.arrays import Floats, Ints
from roadscan.inventory.drive.estimates import view_weight
from roadscan.inventory.fuse.existence import ABSENT, State
from roadscan.inventory.fuse.points import PointAssets
from roadscan.inventory.register.rows import (
    History,
    Rows,
    change_columns,
    covariance_columns,
    history_columns,
    standing_columns,
)
from roadscan.schemas import ASSETS
from roadscan.taxonomy import Geometry, Taxonomy

REFUTED = 0.02  # a candidate that is less likely than this to stand leaves the register
DAY_US = 86_400_000_000


def point_rows(assets: PointAssets, taxonomy: Taxonomy) -> Rows:
    """The rows of point and overhead assets.

    Args:
        assets: of a region.
        taxonomy: which classes span the road.
    """
    drives = [seen.view.drive for seen in assets.observations]
    standing = assets.standing
    kept = ~((standing.state == State.CANDIDATE) & (standing.existence < REFUTED))
    number = np.where(kept, np.cumsum(kept) - 1, -1)
    keep = np.flatnonzero(kept)
    lon, lat = drives[0].enu.to_lonlat(*assets.xy[keep].T)
    shown = _ShownDetections(assets)
    columns = {
        "class": pa.array(np.array(assets.class_names, dtype=object)[assets.class_index[keep]], pa.string()),
        "lon": pa.array(lon, pa.float64()),
        "lat": pa.array(lat, pa.float64()),
        **covariance_columns(assets.cov[keep]),
        "length_m": pa.nulls(len(keep), pa.float64()),
        "side": pa.array(_side(assets, taxonomy)[keep].astype(object), pa.string()),
        **standing_columns(standing, keep),
        **shown.columns(keep),
        **shown.best_view(keep),
    }
    return Rows(
        columns,
        np.asarray(shapely.points(lon, lat), object).reshape(-1),
        change_columns(drives, standing, number),
        history_columns(drives, _history(assets, number, shown.mean_score())),
    )


def _side(assets: PointAssets, taxonomy: Taxonomy) -> npt.NDArray[np.str_]:
    """left, right or overhead, (N,): as the first drive saw it."""
    side = np.where(assets.pool.offset_m[assets.first] < 0, "left", "right")
    if not assets.class_names:
        return side
    overhead = np.array([taxonomy.get(name).geometry is Geometry.OVERHEAD for name in assets.class_names], bool)
    return np.where(overhead[assets.class_index], "overhead", side)


class _ShownDetections:
    """The detections of all drives that show assets; arrays are (M,)."""

    def __init__(self, assets: PointAssets) -> None:
        self.n = len(assets.class_index)
        self.drives = [seen.view.drive for seen in assets.observations]
        shown = [np.flatnonzero(seen.asset >= 0) for seen in assets.observations]
        detections = [drive.detections.take(rows) for drive, rows in zip(self.drives, shown, strict=True)]
        views = [seen.view for seen in assets.observations]
        self.drive = np.repeat(np.arange(len(shown)), [len(rows) for rows in shown])
        self.asset = np.concatenate([seen.asset[rows] for seen, rows in zip(assets.observations, shown, strict=True)])
        self.row = np.concatenate([d.row for d in detections])
        self.score = np.concatenate([d.score for d in detections])
        self.height = np.concatenate([d.box_height_px for d in detections])
        self.frame = np.concatenate([d.frame_index for d in detections])
        pairs = list(zip(views, detections, strict=True))
        self.time = np.concatenate([view.drive.poses.time_us[d.frame_index] for view, d in pairs])
        self.bearing = np.concatenate([d.bearing + view.yaw for view, d in pairs])

    def columns(self, keep: Ints) -> dict[str, pa.Array]:
        """What the detections say of each asset kept."""
        n = self.n
        order = np.lexsort((self.frame, self.drive, self.asset))
        new = np.ones(len(order), bool)
        new[1:] = np.any([np.diff(values[order]) != 0 for values in (self.asset, self.drive, self.frame)], axis=0)
        hits = np.bincount(self.asset[order][new], minlength=n)
        night = np.array([d.poses.time_us[0] // DAY_US for d in self.drives], np.int64)[self.drive]
        nights = np.bincount(np.unique(np.stack([self.asset, night]), axis=1)[0], minlength=n)
        count = np.maximum(np.bincount(self.asset, minlength=n), 1)
        score = np.bincount(self.asset, self.score, n) / count
        first, last = np.full(n, np.iinfo(np.int64).max), np.full(n, np.iinfo(np.int64).min)
        np.minimum.at(first, self.asset, self.time)
        np.maximum.at(last, self.asset, self.time)
        east, north = (np.bincount(self.asset, f(self.bearing), n) for f in (np.sin, np.cos))
        utc = ASSETS.field("first_seen").type
        return {
            "score": pa.array(score[keep]),
            "n_observations": pa.array(hits[keep]),
            "n_nights": pa.array(nights[keep]),
            "first_seen": pa.array(first[keep]).cast(utc),
            "last_seen": pa.array(last[keep]).cast(utc),
            "azimuth_deg": pa.array(np.degrees(np.arctan2(-east, -north))[keep] % 360),
        }

    def best_view(self, keep: Ints) -> dict[str, pa.Array]:
        """Where to see each asset kept best."""
        order = np.lexsort((-view_weight(self.score, self.height), self.asset))
        best = order[np.searchsorted(self.asset[order], keep)] if len(order) else np.zeros(0, np.int64)
        parts, places = [], []
        for number, drive in enumerate(self.drives):
            mine = np.flatnonzero(self.drive[best] == number)
            parts.append(drive.observations.select(["image_uri", "box_px", "model_sha256"]).take(self.row[best[mine]]))
            places.append(mine)
        table = pa.concat_tables(parts).take(np.argsort(np.concatenate(places)))
        columns = {"image_uri": "evidence_uri", "box_px": "evidence_box_px", "model_sha256": "model_sha256"}
        return {new: table[old].combine_chunks() for old, new in columns.items()}

    def mean_score(self) -> Floats:
        """Mean score of each asset's detections in each drive, (D, N); NaN for none."""
        drives = len(self.drives)
        at = self.drive * self.n + self.asset
        count = np.bincount(at, minlength=self.n * drives)
        with np.errstate(invalid="ignore"):
            return np.asarray(np.bincount(at, self.score, self.n * drives) / count).reshape(drives, self.n)


def _history(assets: PointAssets, number: Ints, score: Floats) -> History:
    """What each drive that saw an asset kept, or that clearly should have, said of it.

    Args:
        assets: of a region.
        number: (N,) the row of each, -1 for one that is not kept.
        score: (D, N) mean of the detections.
    """
    visibility, pool, asset = assets.visibility, assets.pool, assets.association.asset
    told = np.flatnonzero((number[visibility.asset] >= 0) & ((visibility.hits > 0) | (assets.ratio <= ABSENT)))
    key = visibility.drive * len(number) + visibility.asset
    order = np.argsort(key)
    known = np.flatnonzero(asset >= 0)
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
