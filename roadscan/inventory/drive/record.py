"""What one drive says alone to a record that is kept, and back: the register of the next night computes it no more.

Legend: F usable frames, M detections, K point estimates. ENU metres of the frame that the record was made in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from roadscan.inventory.config import InventoryConfig
from roadscan.inventory.drive.estimates import BestView, DriveEstimates, LineSegment, estimate, nothing_said
from roadscan.inventory.drive.passes import Detections, DrivenPath, DrivePass, Poses, read_pass
from roadscan.packing import packed, unpacked
from roadscan.schemas import OBSERVATIONS
from roadscan.survey.geodesy import LocalFrame
from roadscan.taxonomy import Taxonomy

#: Goes up with every change of `drive/` that changes what a drive says: kept records are then of no use.
VERSION = 4
VIEW = ("image_uri", "box_px", "model_sha256")  # of the observation that shows an asset best
SHOWN = (*VIEW, "observation_id", "drive_id", "frame_id", "captured_at", "score")  # of every one that shows it
_TIME = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True)
class DriveAlone:
    """One drive, and what it says alone.

    Attributes:
        drive: what it saw, and from where.
        estimates: what assets that shows.
    """

    drive: DrivePass
    estimates: DriveEstimates


def read_alone(
    drive_id: str,
    frames: pa.Table,
    observations: pa.Table,
    taxonomy: Taxonomy,
    config: InventoryConfig,
    enu: LocalFrame | None = None,
) -> DriveAlone | None:
    """A drive's committed rows to what it says alone; None where no frame is usable.

    Args:
        drive_id: the drive.
        frames: its rows of `schemas.FRAMES`.
        observations: its rows of `schemas.OBSERVATIONS`.
        taxonomy: what is known of the classes.
        config: `noise`, `tracking`, `lines`, `visibility.near_m`.
        enu: the metres; None for those about the middle of the drive.
    """
    ignored = [name for name in observations["class"].unique().to_pylist() if taxonomy.get(name).ignored]
    observations = observations.filter(pc.invert(pc.is_in(observations["class"], pa.array(ignored, pa.string()))))
    drive = read_pass(drive_id, frames, observations, config.tracking.min_score, enu, config.noise)
    if drive is None:
        return None
    return DriveAlone(drive, nothing_said(drive) if drive.still else estimate(drive, taxonomy, config))


def to_record(alone: DriveAlone | None) -> dict[str, Any]:
    """What a drive says as columns of `schemas.DRIVE_ESTIMATES`: null where it has no usable frame."""
    if alone is None:
        return {"detections": 0}
    drive, estimates = alone.drive, alone.estimates
    arrays = {name: values for name, values in vars(drive.detections).items() if name not in ("row", "class_name")}
    seen = drive.observations.select(["class", *SHOWN]).take(drive.detections.row)
    arrays |= {"label": estimates.label} | {name: seen[name] for name in seen.column_names if name not in arrays}
    return {
        "detections": seen.num_rows,
        "yaw_rad": estimates.yaw,
        "poses": packed(pa.table(vars(drive.poses))),
        "path": packed(pa.table(vars(drive.path))),
        "seen": packed(pa.table(arrays)),
        "points": packed(_points(estimates)),
        "lines": packed(pa.Table.from_pylist([_line(one, drive) for one in estimates.lines], SEGMENTS)),
    }


def from_record(record: Mapping[str, Any], enu: LocalFrame, taxonomy: Taxonomy) -> DriveAlone | None:
    """What a drive says, from its row of `schemas.DRIVE_ESTIMATES`.

    Of its observations only the detections' rows and the columns `SHOWN` are there.

    Args:
        record: of `to_record`, with `drive_id`.
        enu: the metres it was made in.
        taxonomy: what is known of the classes.
    """
    if record["poses"] is None:
        return None
    poses, path, seen = (_columns(unpacked(record[name])) for name in ("poses", "path", "seen"))
    table = unpacked(record["seen"])
    detections = Detections(
        row=np.arange(table.num_rows),
        class_name=np.asarray(table["class"].to_pylist(), dtype=np.str_),
        **{name: seen[name] for name in Detections.__dataclass_fields__ if name not in ("row", "class_name")},
    )
    drive = DrivePass(
        record["drive_id"], enu, Poses(**poses), DrivenPath(**path), detections, table.select(_SHOWN.names).cast(_SHOWN)
    )
    points = unpacked(record["points"])
    numbers = _columns(points.drop_columns(["class_name", "frames"]))
    estimates = DriveEstimates(
        class_name=np.asarray(points["class_name"].to_pylist(), dtype=np.str_),
        xy=np.stack([numbers["x"], numbers["y"]], axis=1),
        cov=np.stack([numbers[name] for name in _COV], axis=1).reshape(-1, 2, 2),
        s=numbers["s"],
        offset_m=numbers["offset_m"],
        course=numbers["course"],
        sigma_m=numbers["sigma_m"],
        frames=[frozenset(frames) for frames in points["frames"].to_pylist()],
        label=seen["label"],
        yaw=record["yaw_rad"],
        lines=[read_segment(row, taxonomy) for row in unpacked(record["lines"]).to_pylist()],
    )
    return DriveAlone(drive, estimates)


_COV = ("cov_ee", "cov_en", "cov_ne", "cov_nn")
_SHOWN = pa.schema([OBSERVATIONS.field(name) for name in ("class", *SHOWN)])
_FLOATS = pa.list_(pa.float64())
SEGMENTS = pa.schema(
    {
        "class": pa.string(),
        **dict.fromkeys(("xy", "cov", "line_xy"), _FLOATS),
        **dict.fromkeys(("sigma_m", "offset_m", "course", "mean_score", "weight"), pa.float64()),
        "hits": pa.int64(),
        **dict.fromkeys(("first_seen", "last_seen"), _TIME),
        **{name: _SHOWN.field(name).type for name in VIEW},
        "rows": pa.list_(pa.int64()),
    }
)


def _points(estimates: DriveEstimates) -> pa.Table:
    """The point estimates, a row each."""
    columns: dict[str, Any] = {"class_name": pa.array(estimates.class_name.tolist(), pa.string())}
    columns |= {"x": estimates.xy[:, 0], "y": estimates.xy[:, 1]}
    columns |= dict(zip(_COV, estimates.cov.reshape(-1, 4).T, strict=True))
    columns |= {name: getattr(estimates, name) for name in ("s", "offset_m", "course", "sigma_m")}
    return pa.table(columns | {"frames": pa.array([sorted(f) for f in estimates.frames], pa.list_(pa.int64()))})


def _columns(table: pa.Table) -> dict[str, Any]:
    """The columns that are numbers, as arrays of their own."""
    numbers = [f.name for f in table.schema if pa.types.is_integer(f.type) or pa.types.is_floating(f.type)]
    return {name: np.array(table[name].to_numpy()) for name in numbers}


def _line(segment: LineSegment, drive: DrivePass) -> dict[str, Any]:
    """A line's segment as a row of `SEGMENTS`, its `rows` being those of the detections."""
    order = np.argsort(drive.detections.row)
    place = order[np.searchsorted(drive.detections.row, segment.rows, sorter=order)]
    return segment_row(replace(segment, rows=place))


def segment_row(segment: LineSegment) -> dict[str, Any]:
    """A line's segment as a row of `SEGMENTS`."""
    names = ("sigma_m", "offset_m", "course", "hits", "mean_score", "first_seen", "last_seen")
    arrays = {name: getattr(segment, name).ravel().tolist() for name in ("xy", "cov", "line_xy", "rows")}
    return (
        {"class": segment.asset_class.name} | arrays | {n: getattr(segment, n) for n in names} | vars(segment.best_view)
    )


def read_segment(row: dict[str, Any], taxonomy: Taxonomy) -> LineSegment:
    """The segment of a row of `SEGMENTS`."""
    best_view = BestView(*(row.pop(name) for name in (*VIEW, "weight")))
    arrays = {"xy": (2,), "cov": (2, 2), "line_xy": (-1, 2)}
    row |= {name: np.array(row[name], float).reshape(shape) for name, shape in arrays.items()}
    row["rows"] = np.array(row["rows"], np.int64)
    return LineSegment(asset_class=taxonomy.get(row.pop("class")), best_view=best_view, **row)
