"""The columns that another detector's tables may have, their bounds, and the tables that checking makes of them."""

from __future__ import annotations

import pyarrow as pa

from roadscan.schemas import ACCURACY

POSE_COLUMNS = ("drive_id", "frame_id", "captured_at", "camera_lon", "camera_lat")  # that every table needs
REQUIRED = (*POSE_COLUMNS, "class", "score", "bearing_deg")
IDS = ("drive_id", "frame_id", "observation_id")  # text; whole numbers are taken as text
TEXTS = (*IDS, "class", "image_uri", "model_sha256")
#: Bounds of the numbers, both ends included. A range beyond 1 km is in another unit.
BOUNDS = {
    "camera_lon": (-180.0, 180.0),
    "camera_lat": (-90.0, 90.0),
    "score": (0.0, 1.0),
    "bearing_deg": (-360.0, 360.0),
    "heading_deg": (-360.0, 360.0),
    "fov_deg": (1.0, 360.0),
    "range_m": (0.1, 1000.0),
    "range_sigma_m": (0.01, 1000.0),
    "near_bearing_deg": (-360.0, 360.0),
    "near_range_m": (0.1, 1000.0),
    "far_bearing_deg": (-360.0, 360.0),
    "far_range_m": (0.1, 1000.0),
    "pos_sigma_m": (0.001, 1000.0),
    "heading_sigma_deg": (0.001, 180.0),
    "altitude_m": (-1000.0, 10_000.0),
    "pitch_deg": (-90.0, 90.0),
    "roll_deg": (-180.0, 180.0),
    "bearing_sigma_deg": (0.001, 180.0),
}
LINE_ENDS = ("near_bearing_deg", "near_range_m", "far_bearing_deg", "far_range_m")
POSE = ("captured_at", "camera_lon", "camera_lat", "heading_deg", "fov_deg", "image_uri", *ACCURACY)
FRAME_COLUMNS = ("drive_id", "frame_id", *POSE)
COLUMNS = tuple(dict.fromkeys([*REQUIRED, *BOUNDS, "box_px", "image_uri", "observation_id", "model_sha256"]))
UNKNOWN = "unknown"  # camera or model, where no column tells

UTC_TIME, BOX = pa.timestamp("us", tz="UTC"), pa.list_(pa.float32(), 4)
TYPES = {
    **dict.fromkeys(TEXTS, pa.string()),
    **dict.fromkeys(BOUNDS, pa.float64()),
    "captured_at": UTC_TIME,
    "box_px": BOX,
}
#: Checked rows. `listed`: a row of the table of frames. `source`, `row`: where it is from, rows counted from 1.
CHECKED = pa.schema(
    [(name, TYPES[name]) for name in COLUMNS]
    + [("listed", pa.bool_()), ("source", pa.int32()), ("row", pa.int64()), ("reason", pa.string())]
)
#: Rows that were not used, as text; `line` is a CSV line with more or fewer cells than the first.
REJECTED = pa.schema(
    [("source", pa.string()), ("row", pa.int64()), ("reason", pa.string()), ("line", pa.string())]
    + [(name, pa.string()) for name in COLUMNS]
)
