"""The Arrow schemas of every table that leaves the program. Columns are only ever added, and new ones are nullable."""

from __future__ import annotations

import pyarrow as pa

SCHEMA_VERSION = b"1"

_UTC = pa.timestamp("us", tz="UTC")
_BOX = pa.list_(pa.float32(), 4)
_BOUNDS = pa.struct([(name, pa.float64()) for name in ("xmin", "ymin", "xmax", "ymax")])


def _schema(*fields: tuple[str, pa.DataType] | tuple[str, pa.DataType, bool]) -> pa.Schema:
    """Fields as (name, type), or (name, type, True) where null is a legal value."""
    return pa.schema(
        [pa.field(name, type_, nullable=bool(rest)) for name, type_, *rest in fields],
        metadata={b"schema_version": SCHEMA_VERSION},
    )


#: A drive's frames, as importers and the simulator write them. `reason` says why a frame cannot be used.
DRIVE_FRAMES = _schema(
    ("frame_id", pa.string()),  # unique in the drive
    ("image_uri", pa.string()),  # relative to the drive's image root
    ("captured_at", _UTC, True),
    ("lon", pa.float64(), True),  # WGS 84 degrees; so is lat
    ("lat", pa.float64(), True),
    ("heading_deg", pa.float64(), True),  # clockwise from north; of the vehicle, without the camera's mount yaw
    ("speed_mps", pa.float64(), True),
    ("hdop", pa.float64(), True),  # horizontal dilution of precision, as the receiver told it
    ("camera_id", pa.string()),  # one of the cameras in drive.json
    ("reason", pa.string(), True),  # a word, and a detail after a colon; null where the frame can be used
)

#: One row a frame of a scanned drive: every frame of the manifest exactly once.
FRAMES = _schema(
    ("drive_id", pa.string()),
    ("frame_id", pa.string()),
    ("image_uri", pa.string(), True),  # full address
    ("captured_at", _UTC, True),
    ("camera_lon", pa.float64(), True),  # WGS 84 degrees; so is camera_lat
    ("camera_lat", pa.float64(), True),
    ("heading_deg", pa.float64(), True),  # of the camera: vehicle heading plus mount yaw
    ("camera_id", pa.string()),
    ("fov_deg", pa.float64(), True),  # horizontal field of view
    ("status", pa.string()),  # ok | quarantined (the input is unusable) | failed (the store did not give it)
    ("reason", pa.string(), True),  # of a status other than ok: a word, and a detail after a colon
    ("width_px", pa.int32(), True),  # of the image, upright; so is height_px
    ("height_px", pa.int32(), True),
    ("n_detections", pa.int32()),
    ("run_key", pa.string()),  # digest of all that decides a drive's rows: drive, model and settings
)

#: One row a detection.
OBSERVATIONS = _schema(
    ("observation_id", pa.string()),  # drive, frame and a number
    ("drive_id", pa.string()),
    ("frame_id", pa.string()),
    ("image_uri", pa.string(), True),  # full address
    ("captured_at", _UTC, True),
    ("camera_lon", pa.float64()),  # WGS 84 degrees; so is camera_lat
    ("camera_lat", pa.float64()),
    ("heading_deg", pa.float64(), True),  # of the camera
    ("class", pa.string()),
    ("score", pa.float32()),  # of the model, 0 to 1
    ("box_px", _BOX, True),  # xyxy, pixels of the original image
    ("mask_rle", pa.string(), True),  # COCO compressed RLE of the original image's size
    ("bearing_deg", pa.float64(), True),  # to the box's centre, clockwise from north
    ("range_m", pa.float64(), True),  # from the camera
    ("range_sigma_m", pa.float64(), True),  # its standard error
    ("range_source", pa.string(), True),  # ground | size
    ("near_bearing_deg", pa.float64(), True),  # line assets: the two ends of the visible base
    ("near_range_m", pa.float64(), True),
    ("far_bearing_deg", pa.float64(), True),
    ("far_range_m", pa.float64(), True),
    ("run_key", pa.string()),  # as of the frame
    ("model_sha256", pa.string()),
    ("code_version", pa.string()),
)

#: One row a physical asset. GeoParquet: `geometry` is WKB, `bbox` its covering column.
ASSETS = _schema(
    ("asset_id", pa.string()),  # a ULID, kept from release to release
    ("class", pa.string()),
    ("geometry", pa.binary()),  # a point, or of a line asset a line; WGS 84 degrees
    ("bbox", _BOUNDS),
    ("lon", pa.float64()),  # of the point, or of the middle of the line; so is lat
    ("lat", pa.float64()),
    ("pos_sigma_m", pa.float64()),  # standard error of the position: root of the trace of its covariance …
    ("cov_ee_m2", pa.float64()),  # … east …
    ("cov_en_m2", pa.float64()),  # … east with north …
    ("cov_nn_m2", pa.float64()),  # … north
    ("length_m", pa.float64(), True),  # line assets
    ("side", pa.string(), True),  # left | right | overhead, seen along the direction of travel
    ("state", pa.string()),  # candidate | confirmed | suspect (missed once) | missing | rejected (by a reviewer)
    ("score", pa.float64()),  # mean of the detections, 0 to 1
    ("n_observations", pa.int32()),  # frames that detected it
    ("n_nights", pa.int32()),  # nights on which one did
    ("first_seen", _UTC),
    ("last_seen", _UTC),
    ("evidence_uri", pa.string(), True),  # image with the best look at it
    ("evidence_box_px", _BOX, True),  # xyxy, pixels of that image
    ("model_sha256", pa.string(), True),  # of the model that found it there
    ("existence", pa.float64(), True),  # probability that it stands
    ("azimuth_deg", pa.float64(), True),  # from the asset to the cameras that saw it, clockwise from north
    ("route_code", pa.string(), True),  # linear reference, where one is given: which route and section …
    ("section_code", pa.string(), True),
    ("district", pa.string(), True),
    ("km_m", pa.int32(), True),  # … chainage in metres (25430 is km 25+430); of a line its smaller end
    ("km_end_m", pa.int32(), True),  # line assets: the larger end
    ("offset_m", pa.float64(), True),  # from the centreline, to the right of growing km positive
    ("carriageway", pa.string(), True),
    ("lrs_version", pa.string(), True),  # of the reference that these columns came from
)

#: One row a change of the register.
ASSET_CHANGES = _schema(
    ("asset_id", pa.string()),
    ("class", pa.string()),
    ("change", pa.string()),  # new | suspect | missing | reappeared | moved; by a reviewer damaged | repaired
    ("drive_id", pa.string(), True),  # the drive that showed it; null for a reviewer's
    ("changed_at", _UTC),
    ("lon", pa.float64()),
    ("lat", pa.float64()),
)

#: One row an asset and a drive that saw it, or that should have seen it and did not.
ASSET_HISTORY = _schema(
    ("asset_id", pa.string()),
    ("class", pa.string()),
    ("drive_id", pa.string()),
    ("seen", pa.bool_()),  # whether the drive detected it
    ("looked_at", _UTC),  # end of the drive
    ("lon", pa.float64(), True),  # where this drive alone puts it; of a line its middle
    ("lat", pa.float64(), True),
    ("pos_sigma_m", pa.float64(), True),  # without the bias of the drive's GNSS
    ("hits", pa.int32()),  # frames that detected it
    ("covering", pa.int32()),  # frames that should have shown it
    ("score", pa.float64(), True),  # mean of the detections
)

#: One row an asset id that is no longer given: the asset it is part of now.
ASSET_ALIAS = _schema(
    ("alias_id", pa.string()),
    ("asset_id", pa.string()),
    ("reason", pa.string()),  # merged (two ids were one asset) | review (a reviewer said so)
    ("since", _UTC),  # end of the drive, or time of the review, that showed it
)

#: One row a reviewer's decision. Every run of the inventory applies all of them.
REVIEWS = _schema(
    ("asset_id", pa.string()),
    # accept | reject | merge (into target_id) | split (a second asset stands at lon, lat) | damaged | repaired
    ("action", pa.string()),
    ("target_id", pa.string(), True),  # merge: the asset that stays; split: the id of the second asset
    ("reviewed_at", _UTC),
    ("reviewer", pa.string(), True),
    ("note", pa.string(), True),
    ("class", pa.string()),  # of the asset, as it was when the review was taken in …
    ("geometry", pa.binary()),  # … and where it stood; of a split where the second one stands
    ("length_m", pa.float64(), True),
    ("first_seen", _UTC),
)

#: One row a kilometre of a section and a drive that surveyed it; one row without a drive where none did.
COVERAGE = _schema(
    ("route_code", pa.string()),
    ("section_code", pa.string()),
    ("district", pa.string(), True),
    ("km", pa.int32()),  # 25 is from km 25+000 to 26+000
    ("length_m", pa.float64()),  # of the section within this kilometre
    ("lon", pa.float64()),  # of its middle
    ("lat", pa.float64()),
    ("drive_id", pa.string(), True),
    ("first_at", _UTC, True),
    ("last_at", _UTC, True),
    ("frames", pa.int32()),
    ("lrs_version", pa.string()),
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
    ("started_at", _UTC, True),  # first and last frame that has a time
    ("ended_at", _UTC, True),
    ("bbox", _BOUNDS, True),  # of its frames that have a place; WGS 84 degrees
)

#: One row a drive that the register is made of.
INVENTORY_DRIVES = _schema(
    ("drive_id", pa.string()),
    ("digest", pa.string()),  # of its row of `runs`, as it was
    ("tiles", pa.list_(pa.string())),  # in which the register is built from it, as COLUMN,ROW
    ("reference", pa.string(), True),  # digest of the linear reference that its coverage is on
)

#: One row a drive and a tile: what the drive says alone, kept from night to night. Not for readers: the packed columns
#: are Arrow IPC streams, whose content may change with the version that is part of `key`.
DRIVE_ESTIMATES = _schema(
    ("tile", pa.string()),  # COLUMN,ROW
    ("drive_id", pa.string()),
    ("key", pa.string()),  # digest of all that decides the row: the drive's rows, settings, version
    ("detections", pa.int32()),
    ("yaw_rad", pa.float64(), True),  # by which bearings are turned; null as the rest without two usable frames
    ("poses", pa.binary(), True),  # packed: the usable frames …
    ("path", pa.binary(), True),  # … the line driven …
    ("seen", pa.binary(), True),  # … the detections, with the point estimate that each shows …
    ("points", pa.binary(), True),  # … the point estimates …
    ("lines", pa.binary(), True),  # … and those of lines
)

#: One row a tile: the register as the tile's build made it, before stitching and reviews. Not for readers.
TILE_REGISTERS = _schema(
    ("tile", pa.string()),  # COLUMN,ROW
    ("key", pa.string()),  # digest of all that decides it but ids: its drives in their order, settings, version
    ("assets", pa.binary()),  # packed
    ("changes", pa.binary()),  # packed
    ("history", pa.binary()),  # packed
)

#: Answers to what is often asked, computed from the tables above when a register is published (`inventory.views`).
ASSETS_PER_KM = _schema(
    ("route_code", pa.string(), True),
    ("section_code", pa.string(), True),
    ("km", pa.int32(), True),
    ("class", pa.string()),
    ("confirmed", pa.int64()),  # assets that begin in this kilometre, by state
    ("suspect", pa.int64()),
    ("candidate", pa.int64()),
    ("missing", pa.int64()),
    ("length_m", pa.float64(), True),  # of the confirmed lines, within this kilometre
)

#: One row a stretch between two confirmed assets of a class on one side, or up to the first of them.
ASSET_GAPS = _schema(
    ("class", pa.string()),
    ("route_code", pa.string(), True),
    ("section_code", pa.string(), True),
    ("carriageway", pa.string(), True),
    ("side", pa.string(), True),
    ("from_m", pa.int32()),
    ("to_m", pa.int32()),
    ("gap_m", pa.int32()),
    ("to_id", pa.string()),
    ("to_lon", pa.float64()),
    ("to_lat", pa.float64()),
    ("unsurveyed_km", pa.int64()),  # kilometres of it that no drive surveyed
)

#: One row a change, with where it is on the network and under the asset's id of now.
CHANGES_SINCE = _schema(
    ("changed_at", _UTC),
    ("change", pa.string()),
    ("class", pa.string()),
    ("asset_id", pa.string()),
    ("route_code", pa.string(), True),
    ("section_code", pa.string(), True),
    ("district", pa.string(), True),
    ("km_m", pa.int32(), True),
    ("side", pa.string(), True),
    ("lon", pa.float64()),
    ("lat", pa.float64()),
    ("drive_id", pa.string(), True),
    ("state", pa.string(), True),  # of now; null where the asset has left the register
    ("evidence_uri", pa.string(), True),
)

#: One row an asset and a drive, under the asset's id of now.
ASSET_TIMELINE = _schema(
    ("asset_id", pa.string()),
    ("class", pa.string()),
    ("looked_at", _UTC),
    ("drive_id", pa.string()),
    ("seen", pa.bool_()),
    ("hits", pa.int32()),
    ("covering", pa.int32()),
    ("score", pa.float64(), True),
    ("changes", pa.list_(pa.string()), True),  # what this drive changed of it
    ("lon", pa.float64(), True),
    ("lat", pa.float64(), True),
    ("pos_sigma_m", pa.float64(), True),
    ("route_code", pa.string(), True),
    ("section_code", pa.string(), True),
    ("km_m", pa.int32(), True),
    ("state", pa.string(), True),
)

#: Every table of a warehouse, by name.
TABLES = {
    "observations": OBSERVATIONS,
    "frames": FRAMES,
    "runs": RUNS,
    "assets": ASSETS,
    "asset_changes": ASSET_CHANGES,
    "asset_history": ASSET_HISTORY,
    "asset_alias": ASSET_ALIAS,
    "coverage": COVERAGE,
    "reviews": REVIEWS,
    "inventory_drives": INVENTORY_DRIVES,
    "drive_estimates": DRIVE_ESTIMATES,
    "tile_registers": TILE_REGISTERS,
    "assets_per_km": ASSETS_PER_KM,
    "asset_gaps": ASSET_GAPS,
    "changes_since": CHANGES_SINCE,
    "asset_timeline": ASSET_TIMELINE,
}
