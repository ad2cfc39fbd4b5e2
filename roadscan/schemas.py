"""The Arrow schemas of every table that leaves the program. Columns are only ever added, and new ones are nullable."""

from __future__ import annotations

import pyarrow as pa

SCHEMA_VERSION = b"1"

_UTC = pa.timestamp("us", tz="UTC")
_BOX = pa.list_(pa.float32(), 4)


def _schema(*fields: tuple[str, pa.DataType] | tuple[str, pa.DataType, bool]) -> pa.Schema:
    """Fields as (name, type), or (name, type, True) where null is a legal value."""
    return pa.schema(
        [pa.field(name, type_, nullable=bool(rest)) for name, type_, *rest in fields],
        metadata={b"schema_version": SCHEMA_VERSION},
    )


#: A drive's frames, as importers and the simulator write them. `reason` says why a frame cannot be used.
DRIVE_FRAMES = _schema(
    ("frame_id", pa.string()),
    ("image_uri", pa.string()),  # relative to the drive's image root
    ("captured_at", _UTC, True),
    ("lon", pa.float64(), True),
    ("lat", pa.float64(), True),
    ("heading_deg", pa.float64(), True),  # clockwise from north; of the vehicle, without the camera's mount yaw
    ("speed_mps", pa.float64(), True),
    ("hdop", pa.float64(), True),
    ("camera_id", pa.string()),
    ("reason", pa.string(), True),
)

#: One row a frame of a scanned drive: every frame of the manifest exactly once.
FRAMES = _schema(
    ("drive_id", pa.string()),
    ("frame_id", pa.string()),
    ("image_uri", pa.string()),
    ("captured_at", _UTC, True),
    ("camera_lon", pa.float64(), True),
    ("camera_lat", pa.float64(), True),
    ("heading_deg", pa.float64(), True),  # of the camera: vehicle heading plus mount yaw
    ("camera_id", pa.string()),
    ("fov_deg", pa.float64()),  # horizontal field of view
    ("status", pa.string()),  # ok | quarantined (the input is unusable) | failed (the store did not give it)
    ("reason", pa.string(), True),
    ("width_px", pa.int32(), True),
    ("height_px", pa.int32(), True),
    ("n_detections", pa.int32()),
    ("run_key", pa.string()),
)

#: One row a detection.
OBSERVATIONS = _schema(
    ("observation_id", pa.string()),
    ("drive_id", pa.string()),
    ("frame_id", pa.string()),
    ("image_uri", pa.string()),
    ("captured_at", _UTC, True),
    ("camera_lon", pa.float64()),
    ("camera_lat", pa.float64()),
    ("heading_deg", pa.float64(), True),  # of the camera
    ("class", pa.string()),
    ("score", pa.float32()),
    ("box_px", _BOX),  # xyxy, pixels of the original image
    ("mask_rle", pa.string(), True),  # COCO compressed RLE of the original image's size
    ("bearing_deg", pa.float64(), True),  # to the box's centre, clockwise from north
    ("range_m", pa.float64(), True),
    ("range_sigma_m", pa.float64(), True),
    ("range_source", pa.string(), True),  # ground | size
    ("near_bearing_deg", pa.float64(), True),  # line assets: the two ends of the visible base
    ("near_range_m", pa.float64(), True),
    ("far_bearing_deg", pa.float64(), True),
    ("far_range_m", pa.float64(), True),
    ("run_key", pa.string()),
    ("model_sha256", pa.string()),
    ("code_version", pa.string()),
)

#: One row a physical asset. GeoParquet: `geometry` is WKB, `bbox` its covering column.
ASSETS = _schema(
    ("asset_id", pa.string()),
    ("class", pa.string()),
    ("geometry", pa.binary()),
    ("bbox", pa.struct([(name, pa.float64()) for name in ("xmin", "ymin", "xmax", "ymax")])),
    ("lon", pa.float64()),
    ("lat", pa.float64()),
    ("pos_sigma_m", pa.float64()),
    ("cov_ee_m2", pa.float64()),
    ("cov_en_m2", pa.float64()),
    ("cov_nn_m2", pa.float64()),
    ("length_m", pa.float64(), True),  # line assets
    ("side", pa.string(), True),  # left | right | overhead, seen along the direction of travel
    ("state", pa.string()),  # candidate | confirmed | missing
    ("score", pa.float64()),
    ("n_observations", pa.int32()),
    ("n_nights", pa.int32()),
    ("first_seen", _UTC),
    ("last_seen", _UTC),
    ("evidence_uri", pa.string()),
    ("evidence_box_px", _BOX),
    ("model_sha256", pa.string()),
)

#: One row a change of the register.
ASSET_CHANGES = _schema(
    ("asset_id", pa.string()),
    ("class", pa.string()),
    ("change", pa.string()),  # new | missing | reappeared
    ("drive_id", pa.string()),  # the drive that showed it
    ("changed_at", _UTC),
    ("lon", pa.float64()),
    ("lat", pa.float64()),
)

#: One row a scanned drive.
RUNS = _schema(
    ("drive_id", pa.string()),
    ("drive_uri", pa.string()),
    ("drive_sha256", pa.string()),  # of its drive.json
    ("run_key", pa.string()),
    ("frames", pa.int32()),
    ("frames_ok", pa.int32()),
    ("frames_quarantined", pa.int32()),
    ("frames_failed", pa.int32()),
    ("observations", pa.int32()),
    ("model_sha256", pa.string()),
    ("code_version", pa.string()),
    ("finished_at", _UTC),
)

#: Every table of a warehouse, by name.
TABLES = {
    "observations": OBSERVATIONS,
    "frames": FRAMES,
    "runs": RUNS,
    "assets": ASSETS,
    "asset_changes": ASSET_CHANGES,
}
