"""A prior to a record that is kept for the next night's build, and back.

Legend: P assets. ENU metres of the frame that the prior was made in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from roadscan.arrays import Floats
from roadscan.inventory.drive.record import SEGMENTS, read_segment, segment_row
from roadscan.inventory.fuse.existence import Belief
from roadscan.inventory.fuse.prior import LinePrior, PointPrior, Prior
from roadscan.inventory.fuse.tally import VIEW, Tally
from roadscan.inventory.fuse.visibility import SECTORS
from roadscan.packing import packed, unpacked
from roadscan.taxonomy import Taxonomy

_POINT = ("sigma_m", "offset_m", "course", "reach_m")
_BELIEF = tuple(Belief.__dataclass_fields__)
_TALLY = tuple(name for name in Tally.__dataclass_fields__ if name not in ("view", "last_drive"))


def prior_record(prior: Prior) -> dict[str, Any]:
    """A prior as columns of `schemas.TILE_PRIORS`."""
    points, lines = prior.points, prior.lines
    segments = [
        {"line": number} | segment_row(segment) for number, of_line in enumerate(lines.segments) for segment in of_line
    ]
    return {
        "drive_ids": list(prior.drive_ids),
        "points": packed(_points(points)),
        "point_changes": packed(points.changes),
        "lines": packed(_lines(lines)),
        "line_segments": packed(pa.Table.from_pylist(segments, pa.schema([pa.field("line", pa.int64()), *SEGMENTS]))),
        "line_changes": packed(lines.changes),
    }


def prior_of(record: Mapping[str, Any], taxonomy: Taxonomy) -> Prior:
    """The prior of a row of `schemas.TILE_PRIORS`.

    Args:
        record: of `prior_record`.
        taxonomy: what is known of the classes.
    """
    points, lines, segments = (unpacked(record[name]) for name in ("points", "lines", "line_segments"))
    of_line: list[list[Any]] = [[] for _ in range(lines.num_rows)]
    for row in segments.to_pylist():
        of_line[row.pop("line")].append(read_segment(row, taxonomy))
    return Prior(
        tuple(record["drive_ids"]),
        PointPrior(
            class_name=np.asarray(points["class_name"].to_pylist(), dtype=np.str_),
            xy=_matrix(points["xy"], 2),
            raw_xy=_matrix(points["raw_xy"], 2),
            cov=_matrix(points["cov"], 2, 2),
            **{name: points[name].to_numpy() for name in _POINT},
            sectors=np.array(points["sectors"].to_pylist(), bool).reshape(-1, SECTORS),
            tally=Tally(
                **{name: points[f"tally_{name}"].to_numpy() for name in _TALLY},
                last_drive=np.array(points["last_drive"].to_pylist(), object),
                view=points.select(VIEW.names).cast(VIEW),
            ),
            belief=_belief(points),
            changes=unpacked(record["point_changes"]),
        ),
        LinePrior(
            class_names=lines["class_name"].to_pylist(),
            outlines=[np.array(xy).reshape(-1, 2) for xy in lines["outline"].to_pylist()],
            segments=of_line,
            nights=lines["nights"].to_numpy(),
            last_day=lines["last_day"].to_numpy(),
            last_drive=lines["last_drive"].to_pylist(),
            belief=_belief(lines),
            changes=unpacked(record["line_changes"]),
        ),
    )


def _points(points: PointPrior) -> pa.Table:
    columns: dict[str, Any] = {
        "class_name": pa.array(points.class_name.tolist(), pa.string()),
        "xy": _lists(points.xy),
        "raw_xy": _lists(points.raw_xy),
        "cov": _lists(points.cov),
        "sectors": pa.array(points.sectors.tolist(), pa.list_(pa.bool_())),
        "last_drive": pa.array(points.tally.last_drive, pa.string()),
    }
    columns |= {name: getattr(points, name) for name in _POINT}
    columns |= {f"tally_{name}": getattr(points.tally, name) for name in _TALLY}
    columns |= {name: points.tally.view[name] for name in VIEW.names}
    return pa.table(columns | _belief_columns(points.belief))


def _lines(lines: LinePrior) -> pa.Table:
    columns: dict[str, Any] = {
        "class_name": pa.array(lines.class_names, pa.string()),
        "outline": pa.array([xy.ravel().tolist() for xy in lines.outlines], pa.list_(pa.float64())),
        "nights": lines.nights,
        "last_day": lines.last_day,
        "last_drive": pa.array(lines.last_drive, pa.string()),
    }
    return pa.table(columns | _belief_columns(lines.belief))


def _belief_columns(belief: Belief) -> dict[str, Any]:
    return {f"belief_{name}": pa.array(getattr(belief, name)) for name in _BELIEF}


def _belief(table: pa.Table) -> Belief:
    return Belief(**{name: table[f"belief_{name}"].to_numpy() for name in _BELIEF})


def _lists(values: Floats) -> pa.Array:
    """Arrays (P, …) as lists."""
    return pa.array([one.ravel().tolist() for one in values], pa.list_(pa.float64()))


def _matrix(column: pa.ChunkedArray, *shape: int) -> Floats:
    return np.array(column.to_pylist(), float).reshape(-1, *shape)
