"""How far a drive went."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from roadscan.survey.geodesy import WGS84

LONGEST_STEP_M = 100.0  # from frame to frame: further apart, what lies between them was not surveyed


def path_length_m(frames: pa.Table) -> float:
    """Rows of `DRIVE_FRAMES` -> metres along the frames of the camera that took the most; those without a place apart.

    Steps longer than `LONGEST_STEP_M` are not counted. The receiver's noise makes a path longer: by about σ²/d at each
    step of d metres, where a receiver is off by σ from one frame to the next.
    """
    known = frames.filter(pc.field("lon").is_valid() & pc.field("lat").is_valid() & pc.field("captured_at").is_valid())
    if known.num_rows < 2:
        return 0.0
    counts = known.group_by("camera_id").aggregate([("camera_id", "count")]).sort_by("camera_id")
    most = counts["camera_id"][pc.index(counts["camera_id_count"], pc.max(counts["camera_id_count"])).as_py()]
    own = known.filter(pc.equal(known["camera_id"], most)).sort_by("captured_at")
    lon, lat = own["lon"].to_numpy(), own["lat"].to_numpy()
    _, _, steps_m = WGS84.inv(lon[:-1], lat[:-1], lon[1:], lat[1:])
    return float(steps_m[steps_m <= LONGEST_STEP_M].sum())
