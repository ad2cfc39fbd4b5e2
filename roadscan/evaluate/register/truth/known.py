"""What is known of the road after some drives, whoever says it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from scipy.spatial import cKDTree

from roadscan.arrays import Floats
from roadscan.survey.geodesy import LocalFrame

#: A known asset of a file, conformed; the simulator's table has all but `drive_id` and `state`.
KNOWN = pa.schema(
    [
        ("asset_id", pa.string()),
        ("class", pa.string()),
        ("geometry", pa.string()),  # point | line | overhead
        ("lon", pa.float64()),  # of a line its middle
        ("lat", pa.float64()),
        ("lons", pa.list_(pa.float64())),  # vertices of a line
        ("lats", pa.list_(pa.float64())),
        ("drive_id", pa.string()),
        ("state", pa.string()),  # standing | removed
    ]
)


MAX_LAT = 89.0  # a latitude beyond it is none of a road


@dataclass(frozen=True)
class Known:
    """What is known of the road after some drives.

    Attributes:
        standing: rows of `KNOWN` (or the simulator's) that stood at the last drive.
        removed: those that stood during the drives and not at the last; None where nobody says.
        seen: ids that count for recall; None for all.
    """

    standing: pa.Table
    removed: pa.Table | None
    seen: set[str] | None


def nearest_m(places: Floats, others: Floats) -> Floats:
    """Metres from each place, (n, 2) longitude and latitude, to the nearest of others; infinite where there are none.

    Right to 0.3% within 500 km of the first of the others; beyond, only how far roughly.
    """
    if len(others) == 0 or len(places) == 0:
        return np.full(len(places), np.inf)
    frame = LocalFrame(*others[0].tolist())
    tree = cKDTree(np.stack(frame.to_xy(*others.T), axis=1))
    xy = np.stack(frame.to_xy(*places.T), axis=1)
    xy[~np.isfinite(xy).all(axis=1)] = 1e8  # the other side of the globe has no place in the frame
    return np.asarray(tree.query(xy)[0])
