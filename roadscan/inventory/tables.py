"""From assets as arrays to the rows of the tables that leave: positions in degrees, times, evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from roadscan.inventory.drive_pass import DrivePass, Ints
from roadscan.inventory.existence import ABSENT, STATES, Looks, Standing
from roadscan.inventory.geoparquet import geo_metadata, geometry_columns, hilbert_distance
from roadscan.inventory.landmarks import Found
from roadscan.inventory.line_assets import LineAsset, middle_of
from roadscan.inventory.sightings import Landmarks
from roadscan.schemas import ASSET_CHANGES, ASSET_HISTORY, ASSETS
from roadscan.survey.geodesy import WGS84, Floats
from roadscan.taxonomy import Geometry, Taxonomy

REFUTED = 0.02  # a candidate that is less likely than this to stand leaves the register
SIMPLIFY_DEG = 1e-6  # 0.1 m: vertices of an outline that change it by less are dropped
DAY_US = 86_400_000_000


@dataclass(frozen=True)
class Rows:
    """The rows of some assets, (n,), without their ids.

    Attributes:
        assets: columns of `schemas.ASSETS` by name, without `asset_id`, `geometry` and `bbox`.
        shapes: (n,) in degrees.
        changes: columns of `schemas.ASSET_CHANGES`; `asset` is the number of the row instead of an id.
        history: the same of `schemas.ASSET_HISTORY`.
        moved_from: of rows whose asset was moved: longitude and latitude of where it stood before.
    """

    assets: dict[str, pa.Array]
    shapes: npt.NDArray[np.object_]
    changes: dict[str, pa.Array]
    history: dict[str, pa.Array]
    moved_from: dict[int, tuple[float, float]] = field(default_factory=dict)


def landmark_rows(
    drives: list[DrivePass], landmarks: list[Landmarks], found: Found, names: list[str], taxonomy: Taxonomy
) -> Rows:
    """The rows of point and overhead assets."""
    frame = drives[0].frame
    first = found.first
    kept = ~((found.standing.state == 0) & (found.standing.existence < REFUTED))
    number = np.where(kept, np.cumsum(kept) - 1, -1)
    keep = np.flatnonzero(kept)
    lon, lat = frame.to_lonlat(*found.xy[keep].T)
    overhead = np.array([taxonomy.get(name).geometry is Geometry.OVERHEAD for name in names], bool)
    side = np.where(found.pool.offset_m[first] < 0, "left", "right")
    side = np.where(overhead[found.kind], "overhead", side)[keep] if len(names) else np.zeros(0, str)
    seen = _Seen(drives, landmarks, found.detection)
    columns = {
        "class": pa.array(np.array(names, dtype=object)[found.kind[keep]], pa.string()),
        "lon": pa.array(lon, pa.float64()),
        "lat": pa.array(lat, pa.float64()),
        **_covariance(found.cov[keep]),
        "length_m": pa.nulls(len(keep), pa.float64()),
        "side": pa.array(side.astype(object), pa.string()),
        **_standing(found.standing, keep),
        **seen.columns(keep, len(kept)),
    }
    shapes = shapely.points(lon, lat)
    return Rows(
        columns,
        np.asarray(shapes, object).reshape(-1),
        _changes(drives, found.standing, number),
        _landmark_history(drives, found, number, seen.score_of(len(kept), len(drives))),
    )


class _Seen:
    """The detections of all drives that show assets."""

    def __init__(self, drives: list[DrivePass], landmarks: list[Landmarks], asset: Ints) -> None:
        self.drives = drives
        self.drive = np.repeat(np.arange(len(drives)), [len(d.detections.frame) for d in drives])
        shown = np.flatnonzero(asset >= 0)
        self.asset, self.drive = asset[shown], self.drive[shown]

        def joined(parts: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
            return np.concatenate(parts)[shown]

        self.row = joined([d.detections.row for d in drives])
        self.score = joined([d.detections.score for d in drives])
        self.height = joined([d.detections.box_height_px for d in drives])
        self.time = joined([d.poses.time_us[d.detections.frame] for d in drives])
        self.frame = joined([d.detections.frame for d in drives])
        self.bearing = joined([d.detections.bearing + one.yaw for d, one in zip(drives, landmarks, strict=True)])

    def columns(self, keep: Ints, n: int) -> dict[str, pa.Array]:
        """What the detections say of each asset kept, of n."""
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
            **self._evidence(keep),
        }

    def _evidence(self, keep: Ints) -> dict[str, pa.Array]:
        """The best look at each asset: by its score times the square root of the box's height."""
        weight = self.score * np.sqrt(np.maximum(self.height, 1))
        order = np.lexsort((-weight, self.asset))
        best = order[np.searchsorted(self.asset[order], keep)] if len(order) else np.zeros(0, np.int64)
        parts, places = [], []
        for number, drive in enumerate(self.drives):
            mine = np.flatnonzero(self.drive[best] == number)
            parts.append(drive.observations.select(["image_uri", "box_px", "model_sha256"]).take(self.row[best[mine]]))
            places.append(mine)
        table = pa.concat_tables(parts).take(np.argsort(np.concatenate(places)))
        columns = {"image_uri": "evidence_uri", "box_px": "evidence_box_px", "model_sha256": "model_sha256"}
        return {new: table[old].combine_chunks() for old, new in columns.items()}

    def score_of(self, n: int, drives: int) -> Floats:
        """Mean score of each asset's detections in each drive, (drives, n); NaN for none."""
        at = self.drive * n + self.asset
        count = np.bincount(at, minlength=n * drives)
        with np.errstate(invalid="ignore"):
            return np.asarray(np.bincount(at, self.score, n * drives) / count).reshape(drives, n)


def _covariance(cov: Floats) -> dict[str, pa.Array]:
    return {
        "pos_sigma_m": pa.array(np.sqrt(np.trace(cov, axis1=1, axis2=2))),
        "cov_ee_m2": pa.array(cov[:, 0, 0]),
        "cov_en_m2": pa.array(cov[:, 0, 1]),
        "cov_nn_m2": pa.array(cov[:, 1, 1]),
    }


def _standing(standing: Standing, keep: Ints) -> dict[str, pa.Array]:
    return {
        "state": pa.array(np.array(STATES, dtype=object)[standing.state[keep]], pa.string()),
        "existence": pa.array(standing.existence[keep], pa.float64()),
    }


def _changes(drives: list[DrivePass], standing: Standing, number: Ints) -> dict[str, pa.Array]:
    at = number[standing.changed]
    rows = np.flatnonzero(at >= 0)
    ends = [d.ended_at for d in drives]
    return {
        "asset": pa.array(at[rows], pa.int64()),
        "change": pa.array([standing.change[row] for row in rows], pa.string()),
        "drive_id": pa.array([drives[k].drive_id for k in standing.by[rows]], pa.string()),
        "changed_at": pa.array([ends[k] for k in standing.by[rows]], ASSET_CHANGES.field("changed_at").type),
    }


def _landmark_history(drives: list[DrivePass], found: Found, number: Ints, score: Floats) -> dict[str, pa.Array]:
    looks, pool, asset = found.looks, found.pool, found.association.asset
    told = np.flatnonzero((number[looks.asset] >= 0) & ((looks.hits > 0) | (found.evidence <= ABSENT)))
    key = looks.drive * len(number) + looks.asset
    order = np.argsort(key)
    known = np.flatnonzero(asset >= 0)
    place = order[np.searchsorted(key[order], pool.drive[known] * len(number) + asset[known])]
    weight = 1 / np.trace(pool.cov[known], axis1=1, axis2=2)
    total = np.bincount(place, weight, len(key))
    with np.errstate(invalid="ignore", divide="ignore"):
        xy = np.stack([np.bincount(place, weight * pool.xy[known, i], len(key)) / total for i in (0, 1)], axis=1)
        sigma = np.sqrt(1 / total)
    asset_of, drive = looks.asset[told], looks.drive[told]
    scores = score[drive, asset_of]
    return _history(drives, number[asset_of], drive, looks.hits[told], looks.looks[told], xy[told], sigma[told], scores)


def _history(
    drives: list[DrivePass], asset: Ints, drive: Ints, hits: Ints, looks: Ints, xy: Floats, sigma: Floats, score: Floats
) -> dict[str, pa.Array]:
    lon, lat = drives[0].frame.to_lonlat(*xy.T)
    known = np.isfinite(xy[:, 0])
    ends = np.array([d.poses.time_us[-1] for d in drives], np.int64)
    return {
        "asset": pa.array(asset, pa.int64()),
        "drive_id": pa.array([d.drive_id for d in drives], pa.string()).take(pa.array(drive)),
        "seen": pa.array(hits > 0),
        "looked_at": pa.array(ends[drive]).cast(ASSET_HISTORY.field("looked_at").type),
        "lon": pa.array(np.where(known, lon, np.nan), from_pandas=True),
        "lat": pa.array(np.where(known, lat, np.nan), from_pandas=True),
        "pos_sigma_m": pa.array(np.where(known, sigma, np.nan), from_pandas=True),
        "hits": pa.array(hits, pa.int32()),
        "covering": pa.array(looks, pa.int32()),
        "score": pa.array(score, from_pandas=True),
    }


def line_rows(drives: list[DrivePass], lines: list[LineAsset], looks: Looks, standing: Standing, cov: Floats) -> Rows:
    """The rows of line assets; `cov` is (n, 2, 2)."""
    frame = drives[0].frame
    degrees = [shapely.LineString(np.stack(frame.to_lonlat(*line.outline.T), 1)) for line in lines]
    shapes = [shapely.simplify(line, SIMPLIFY_DEG) for line in degrees]
    middle = np.array([middle_of(line.outline) for line in lines]).reshape(-1, 2)
    lon, lat = frame.to_lonlat(*middle.T)
    seen = [[s for _, s in line.sightings] for line in lines]
    hits = np.array([sum(s.hits for s in all_) for all_ in seen], np.int64)
    best = [max((s.evidence for s in all_), key=lambda e: e.weight) for all_ in seen]
    offset = np.array([all_[0].offset_m for all_ in seen])
    utc = ASSETS.field("first_seen").type
    everyone = np.arange(len(lines))
    columns = {
        "class": pa.array([line.asset_class.name for line in lines], pa.string()),
        "lon": pa.array(lon, pa.float64()),
        "lat": pa.array(lat, pa.float64()),
        **_covariance(cov),
        "length_m": pa.array([float(WGS84.geometry_length(shape)) for shape in shapes], pa.float64()),
        "side": pa.array(["left" if d < 0 else "right" for d in offset], pa.string()),
        **_standing(standing, everyone),
        "score": pa.array([sum(s.mean_score * s.hits for s in all_) for all_ in seen] / np.maximum(hits, 1)),
        "n_observations": pa.array(hits),
        "n_nights": pa.array([len({drives[k].started_at.date() for k, _ in line.sightings}) for line in lines]),
        "first_seen": pa.array([min(s.first_seen for s in all_) for all_ in seen], utc),
        "last_seen": pa.array([max(s.last_seen for s in all_) for all_ in seen], utc),
        "azimuth_deg": pa.nulls(len(lines), pa.float64()),
        "evidence_uri": pa.array([e.image_uri for e in best], pa.string()),
        "evidence_box_px": pa.array([e.box_px for e in best], ASSETS.field("evidence_box_px").type),
        "model_sha256": pa.array([e.model_sha256 for e in best], pa.string()),
    }
    places = np.full((len(looks.asset), 2), np.nan)
    score, sigma = np.full(len(looks.asset), np.nan), np.full(len(looks.asset), np.nan)
    for row, (n, k) in enumerate(zip(looks.asset.tolist(), looks.drive.tolist(), strict=True)):
        mine = [s for by, s in lines[n].sightings if by == k]
        if mine:
            places[row] = np.mean([s.xy for s in mine], axis=0)
            score[row], sigma[row] = np.mean([s.mean_score for s in mine]), np.sqrt(np.trace(mine[0].cov))
    hits_of = np.array(
        [sum(s.hits for by, s in lines[n].sightings if by == k) for n, k in zip(looks.asset, looks.drive, strict=True)],
        np.int64,
    )
    hits_of = np.where(looks.hits > 0, np.maximum(hits_of, 1), 0)
    history = _history(
        drives, looks.asset, looks.drive, hits_of, np.maximum(looks.looks, hits_of), places, sigma, score
    )
    return Rows(columns, np.array(shapes, dtype=object), _changes(drives, standing, everyone), history)


def concatenated(parts: Sequence[Rows]) -> Rows:
    """The rows of several, in the Hilbert order of their places; numbers of assets follow."""
    starts = np.cumsum([0, *(len(part.shapes) for part in parts)])

    def stacked(name: str) -> dict[str, pa.Array]:
        tables = [pa.table(getattr(part, name)) for part in parts]
        table = pa.concat_tables(tables, promote_options="permissive")  # of no rows, a list gives a column of nulls
        return {column: table[column].combine_chunks() for column in table.column_names}

    assets = stacked("assets")
    shapes = np.concatenate([part.shapes for part in parts])
    order = np.argsort(hilbert_distance(assets["lon"].to_numpy(), assets["lat"].to_numpy()), kind="stable")
    place = np.argsort(order)
    moved = {}
    for name in ("changes", "history"):
        columns = stacked(name)
        sizes = [len(getattr(part, name)["asset"]) for part in parts]
        old = columns["asset"].to_numpy() + np.repeat(starts[:-1], sizes)
        moved[name] = columns | {"asset": pa.array(place[old], pa.int64())}
    taken = {name: column.take(pa.array(order)) for name, column in assets.items()}
    return Rows(taken, shapes[order], moved["changes"], moved["history"])


def asset_table(rows: Rows, ids: list[str]) -> pa.Table:
    """`schemas.ASSETS` with GeoParquet metadata."""
    columns = rows.assets | geometry_columns(rows.shapes) | {"asset_id": pa.array(ids, pa.string())}
    arrays = [
        columns[field.name].cast(field.type) if field.name in columns else pa.nulls(len(ids), field.type)
        for field in ASSETS
    ]
    table = pa.Table.from_arrays(arrays, schema=ASSETS)
    return table.replace_schema_metadata({**ASSETS.metadata, **geo_metadata(rows.shapes)})


def event_table(events: dict[str, pa.Array], rows: Rows, ids: list[str], schema: pa.Schema) -> pa.Table:
    """Changes or history with ids, in the order in which they happened."""
    asset = events["asset"]
    known = {"asset_id": pa.array(ids, pa.string()).take(asset), "class": rows.assets["class"].take(asset)}
    place = {name: rows.assets[name].take(asset) for name in ("lon", "lat")}
    columns = place | events | known
    table = pa.Table.from_arrays([columns[field.name].cast(field.type) for field in schema], schema=schema)
    time = "changed_at" if "changed_at" in schema.names else "looked_at"
    return table.take(
        pc.sort_indices(table, [(time, "ascending"), ("drive_id", "ascending"), ("asset_id", "ascending")])
    )
