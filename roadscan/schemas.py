"""The Arrow schemas of every table that leaves the program. Columns are only ever added, and new ones are nullable.

What a table and each of its columns mean, and a column's unit, are metadata of the schema: every Parquet file has them,
``roadscan query --describe`` prints them, and the pages are made of them.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from roadscan.units import unit_of

SCHEMA_VERSION = b"1"

_UTC = pa.timestamp("us", tz="UTC")
_BOX = pa.list_(pa.float32(), 4)
_BOX_PX = "xyxy, pixels of the original image; of a panorama x2 beyond its width goes on at its left edge"
_COUNTS = pa.list_(pa.struct([("class", pa.string()), ("count", pa.int64())]))
#: How well a frame's pose is known, and the rest of it: columns that tables of before do not have.
ACCURACY = ("pos_sigma_m", "heading_sigma_deg", "altitude_m", "pitch_deg", "roll_deg")
_BOUNDS = pa.struct([(name, pa.float64()) for name in ("xmin", "ymin", "xmax", "ymax")])


_SIDE = (
    "left | right | overhead: of the centreline as km grow; without one of travel, or, where both ways are driven, as "
    "seen going north or east"
)

#: What columns mean that mean the same in every table.
_MEANINGS = {
    "drive_id": "one survey with a vehicle",
    "frame_id": "one image of the drive",
    "asset_id": "a thing beside the road, whose id lasts; its column of `assets`",
    "class": "what it is, such as Bus Stop",
    "captured_at": "when the image was taken",
    "lon": "WGS 84",
    "lat": "WGS 84",
    "route_code": "of the linear reference",
    "section_code": "of the route's section",
    "district": "that looks after the section",
    "carriageway": "of the section, as the linear reference names it",
    "side": _SIDE,
    "state": "of the asset: candidate | confirmed | suspect | missing | rejected",
    "km_m": "chainage in metres: 25430 is km 25+430",
    "code_version": "of the roadscan that wrote the row",
    "model_sha256": "of the model file that was used",
    "run_key": "digest of all that decides a drive's rows: drive, model and settings",
    "lrs_version": "of the linear reference",
    "length_m": "of a line",
    "pos_sigma_m": "standard error of the position",
    "evidence_uri": "image with the best look at the asset",
    "hits": "frames that detected it",
    "covering": "frames that should have shown it",
    "seen": "whether the drive detected it",
    "looked_at": "end of the drive",
}


def _schema(meaning: str, *fields: tuple[Any, ...]) -> pa.Schema:
    """A table's meaning, and its fields as (name, type) with True where null is legal and a text of what it means."""
    return pa.schema([_field(*field) for field in fields], {b"schema_version": SCHEMA_VERSION, b"description": meaning})


def _field(name: str, type_: pa.DataType, *rest: bool | str) -> pa.Field:
    meaning = next((one for one in rest if isinstance(one, str)), _MEANINGS.get(name, ""))
    said = {"description": meaning, "unit": unit_of(name)}
    return pa.field(name, type_, True in rest, {key: text for key, text in said.items() if text})


def described(field: pa.Field) -> tuple[str, str]:
    """A field of a table -> its unit and its meaning; empty where it has none."""
    said = field.metadata or {}
    return said.get(b"unit", b"").decode(), said.get(b"description", b"").decode()


_POSE = (
    (
        "pos_sigma_m",
        pa.float64(),
        True,
        "standard error of lon and lat together: root of the trace of their covariance",
    ),
    ("heading_sigma_deg", pa.float64(), True, "standard error of heading_deg"),
    ("altitude_m", pa.float64(), True, "of the camera, as the source tells it"),
    ("pitch_deg", pa.float64(), True, "of the vehicle, up positive; panoramas are levelled by it"),
    ("roll_deg", pa.float64(), True, "of the vehicle, to the right positive; likewise"),
)

DRIVE_FRAMES = _schema(
    "A drive's frames, as importers and the simulator write them. `reason` says why a frame cannot be used.",
    ("frame_id", pa.string(), "unique in the drive"),
    (
        "image_uri",
        pa.string(),
        "relative to the drive's image root; of a video with its time in it, as a.mp4#t=12.345678",
    ),
    ("captured_at", _UTC, True),
    ("lon", pa.float64(), True, "of the vehicle's camera, WGS 84"),
    ("lat", pa.float64(), True, "of the vehicle's camera, WGS 84"),
    ("heading_deg", pa.float64(), True, "clockwise from north; of the vehicle, without the camera's mount yaw"),
    ("speed_mps", pa.float64(), True, "of the vehicle"),
    ("hdop", pa.float64(), True, "horizontal dilution of precision, as the receiver told it"),
    ("camera_id", pa.string(), "one of the cameras in drive.json"),
    ("reason", pa.string(), True, "a word, and a detail after a colon; null where the frame can be used"),
    *_POSE,
)

FRAMES = _schema(
    "One row a frame of a scanned drive: every frame of the manifest exactly once.",
    ("drive_id", pa.string()),
    ("frame_id", pa.string()),
    ("image_uri", pa.string(), True, "full address"),
    ("captured_at", _UTC, True),
    ("camera_lon", pa.float64(), True, "of the camera, WGS 84"),
    ("camera_lat", pa.float64(), True, "of the camera, WGS 84"),
    ("heading_deg", pa.float64(), True, "of the camera: vehicle heading plus mount yaw"),
    ("camera_id", pa.string(), "one of the cameras in drive.json"),
    ("fov_deg", pa.float64(), True, "horizontal field of view; 360 of a panorama"),
    ("status", pa.string(), "ok | quarantined (the input is unusable) | failed (the store did not give it)"),
    ("reason", pa.string(), True, "of a status other than ok: a word, and a detail after a colon"),
    ("width_px", pa.int32(), True, "of the image, upright"),
    ("height_px", pa.int32(), True, "of the image, upright"),
    ("n_detections", pa.int32(), "rows of it in `observations`"),
    ("run_key", pa.string(), "digest of all that decides a drive's rows: drive, model and settings"),
    ("light", pa.float32(), True, "mean luminance of the image, 0 black to 1 white"),
    ("blur", pa.float32(), True, "blur effect (Crete 2007) of the image's middle half, 0 sharp to 1"),
    *_POSE,
)

OBSERVATIONS = _schema(
    "One row a detection.",
    ("observation_id", pa.string(), "drive, frame and a number"),
    ("drive_id", pa.string()),
    ("frame_id", pa.string()),
    ("image_uri", pa.string(), True, "full address"),
    ("captured_at", _UTC, True),
    ("camera_lon", pa.float64(), "of the camera, WGS 84"),
    ("camera_lat", pa.float64(), "of the camera, WGS 84"),
    ("heading_deg", pa.float64(), True, "of the camera"),
    ("class", pa.string()),
    ("score", pa.float32(), "of the model, 0 to 1"),
    ("box_px", _BOX, True, _BOX_PX),
    ("mask_rle", pa.string(), True, "COCO compressed RLE of the original image's size"),
    ("bearing_deg", pa.float64(), True, "to the box's centre, clockwise from north"),
    ("range_m", pa.float64(), True, "from the camera"),
    ("range_sigma_m", pa.float64(), True, "standard error of range_m"),
    ("range_source", pa.string(), True, "ground | size"),
    ("near_bearing_deg", pa.float64(), True, "line assets: to the near end of the visible base, clockwise from north"),
    ("near_range_m", pa.float64(), True, "line assets: to the near end"),
    ("far_bearing_deg", pa.float64(), True, "line assets: to the far end of the visible base, clockwise from north"),
    ("far_range_m", pa.float64(), True, "line assets: to the far end"),
    ("run_key", pa.string(), "as of the frame"),
    ("model_sha256", pa.string()),
    ("code_version", pa.string()),
    *_POSE,
    ("bearing_sigma_deg", pa.float64(), True, "standard error of bearing_deg, without that of the heading"),
)

ASSETS = _schema(
    "One row a physical asset. GeoParquet: `geometry` is WKB, `bbox` its covering column.",
    ("asset_id", pa.string(), "a ULID, kept from release to release"),
    ("class", pa.string()),
    ("geometry", pa.binary(), "a point, or of a line asset a line; WGS 84 degrees"),
    (
        "bbox",
        _BOUNDS,
        "bounds of the geometry, WGS 84 degrees",
    ),
    ("lon", pa.float64(), "of the point, or of the middle of the line; WGS 84"),
    ("lat", pa.float64(), "of the point, or of the middle of the line; WGS 84"),
    ("pos_sigma_m", pa.float64(), "standard error of the position: root of the trace of its covariance"),
    ("cov_ee_m2", pa.float64(), "covariance of the position: east"),
    ("cov_en_m2", pa.float64(), "covariance of the position: east with north"),
    ("cov_nn_m2", pa.float64(), "covariance of the position: north"),
    ("length_m", pa.float64(), True, "line assets"),
    (
        "side",
        pa.string(),
        True,
        _SIDE,
    ),
    ("state", pa.string(), "candidate | confirmed | suspect (missed once) | missing | rejected (by a reviewer)"),
    ("score", pa.float64(), "mean of the detections, 0 to 1"),
    ("n_observations", pa.int32(), "frames that detected it"),
    ("n_nights", pa.int32(), "nights on which one did"),
    ("first_seen", _UTC, "time of the first frame that detected it"),
    ("last_seen", _UTC, "time of the last frame that detected it"),
    ("last_drive_id", pa.string(), True, "the drive of that frame"),
    ("evidence_uri", pa.string(), True, "image with the best look at it"),
    ("evidence_box_px", _BOX, True, "xyxy, pixels of that image, as `box_px` of `observations`"),
    ("model_sha256", pa.string(), True, "of the model that found it there"),
    ("existence", pa.float64(), True, "probability that it stands"),
    ("azimuth_deg", pa.float64(), True, "from the asset to the cameras that saw it, clockwise from north"),
    ("route_code", pa.string(), True, "linear reference, where one is given: its route"),
    ("section_code", pa.string(), True, "linear reference: the route's section"),
    ("district", pa.string(), True),
    ("km_m", pa.int32(), True, "chainage in metres (25430 is km 25+430); of a line its smaller end"),
    ("km_end_m", pa.int32(), True, "line assets: the larger end"),
    ("offset_m", pa.float64(), True, "from the centreline, to the right of growing km positive"),
    ("carriageway", pa.string(), True),
    (
        "lrs_version",
        pa.string(),
        True,
        "of the reference that route, section, kilometre, offset and carriageway came from",
    ),
    ("control_id", pa.string(), True, "the owner's name of the surveyed asset that it is pinned to"),
)

ASSET_CHANGES = _schema(
    "One row a change of the register.",
    ("asset_id", pa.string()),
    ("class", pa.string()),
    ("change", pa.string(), "new | suspect | missing | reappeared | moved; by a reviewer damaged | repaired"),
    ("drive_id", pa.string(), True, "the drive that showed it; null for a reviewer's"),
    ("changed_at", _UTC, "end of the drive that showed it, or time of the review"),
    ("lon", pa.float64()),
    ("lat", pa.float64()),
)

ASSET_HISTORY = _schema(
    "One row an asset and a drive that saw it, or that should have seen it and did not.",
    ("asset_id", pa.string()),
    ("class", pa.string()),
    ("drive_id", pa.string()),
    ("seen", pa.bool_(), "whether the drive detected it"),
    ("looked_at", _UTC, "end of the drive"),
    ("lon", pa.float64(), True, "where this drive alone puts it, WGS 84; of a line its middle"),
    ("lat", pa.float64(), True, "where this drive alone puts it, WGS 84; of a line its middle"),
    ("pos_sigma_m", pa.float64(), True, "standard error of that place, without the bias of the drive's GNSS"),
    ("hits", pa.int32(), "frames that detected it"),
    ("covering", pa.int32(), "frames that should have shown it"),
    ("score", pa.float64(), True, "mean of the detections"),
    ("tile", pa.string(), True, "in which the asset was built, COLUMN,ROW"),
)

ASSET_OBSERVATIONS = _schema(
    "One row an asset and a detection that shows it: every dated photograph of an asset, by asset, then by time.",
    ("asset_id", pa.string()),
    ("class", pa.string()),
    ("observation_id", pa.string(), "of the detection, in `observations`"),
    ("drive_id", pa.string()),
    ("frame_id", pa.string()),
    ("image_uri", pa.string(), True, "full address"),
    ("captured_at", _UTC),
    ("box_px", _BOX, True, _BOX_PX),
    ("score", pa.float32(), "of the detection, 0 to 1"),
    ("tile", pa.string(), True, "in which the asset was built, COLUMN,ROW"),
)

ASSET_ALIAS = _schema(
    "One row an asset id that is no longer given: the asset it is part of now.",
    ("alias_id", pa.string(), "the id that is no longer given"),
    ("asset_id", pa.string()),
    ("reason", pa.string(), "merged (two ids were one asset) | review (a reviewer said so)"),
    ("since", _UTC, "end of the drive, or time of the review, that showed it"),
)

REVIEWS = _schema(
    "One row a reviewer's decision. Every run of the inventory applies all that none revoked.",
    ("asset_id", pa.string()),
    (
        "action",
        pa.string(),
        "accept | reject | merge (into target_id) | split (a second asset stands at lon, lat) | damaged | repaired | "
        "revoke (what was decided of it before)",
    ),
    (
        "target_id",
        pa.string(),
        True,
        "merge: the asset that stays; split: the id of the second asset; revoke: that of the only review it is of",
    ),
    ("reviewed_at", _UTC, "when it was decided"),
    ("reviewer", pa.string(), True, "who decided"),
    ("note", pa.string(), True, "what else was said"),
    ("class", pa.string(), "of the asset, as it was when the review was taken in"),
    ("geometry", pa.binary(), "where the asset stood then; of a split where the second one stands"),
    ("length_m", pa.float64(), True, "of the asset then, if it is a line"),
    ("first_seen", _UTC, "of the asset then"),
)

COVERAGE = _schema(
    "One row a kilometre of a section and a drive that surveyed it; one row without a drive where none did.",
    ("route_code", pa.string()),
    ("section_code", pa.string()),
    ("district", pa.string(), True),
    ("km", pa.int32(), "25 is from km 25+000 to 26+000"),
    ("length_m", pa.float64(), "of the section within this kilometre"),
    ("lon", pa.float64(), "of the kilometre's middle, WGS 84"),
    ("lat", pa.float64(), "of the kilometre's middle, WGS 84"),
    ("drive_id", pa.string(), True),
    ("first_at", _UTC, True, "time of the drive's first frame there"),
    ("last_at", _UTC, True, "time of its last frame there"),
    ("frames", pa.int32(), "that the drive took there"),
    ("lrs_version", pa.string()),
)

RUNS = _schema(
    "One row a scanned drive.",
    ("drive_id", pa.string()),
    ("drive_uri", pa.string(), "the drive's folder"),
    ("drive_sha256", pa.string(), "of its drive.json"),
    ("run_key", pa.string()),
    ("frames", pa.int32(), "in the drive's table"),
    ("frames_ok", pa.int32(), "that were scanned"),
    ("frames_quarantined", pa.int32(), "whose input is unusable"),
    ("frames_failed", pa.int32(), "that the store did not give"),
    ("observations", pa.int32(), "detections in all its frames"),
    ("model_sha256", pa.string()),
    ("code_version", pa.string()),
    ("finished_at", _UTC, "when its scan was committed"),
    ("started_at", _UTC, True, "time of its first frame that has one"),
    ("ended_at", _UTC, True, "time of its last frame that has one"),
    ("bbox", _BOUNDS, True, "of its frames that have a place; WGS 84 degrees"),
    ("length_m", pa.float64(), True, "along its frames, times the share of them that was scanned"),
    ("detections", _COUNTS, True, "those of `observations`, by class; null as length_m of another detector's drives"),
)

INVENTORY_DRIVES = _schema(
    "One row a drive that the register is made of.",
    ("drive_id", pa.string()),
    ("digest", pa.string(), "of its row of `runs`, as it was"),
    ("tiles", pa.list_(pa.string()), "in which the register is built from it, as COLUMN,ROW"),
    ("reference", pa.string(), True, "digest of the linear reference that its coverage is on"),
)

DRIVE_ESTIMATES = _schema(
    "One row a drive and a tile: what the drive says alone, kept from night to night. Not for readers: the packed "
    "columns are Arrow IPC streams, whose content may change with the version that is part of `key`.",
    ("tile", pa.string(), "COLUMN,ROW"),
    ("drive_id", pa.string()),
    ("key", pa.string(), "digest of all that decides the row: the drive's rows, settings, version"),
    ("detections", pa.int32(), "of the drive in the tile"),
    ("yaw_rad", pa.float64(), True, "by which bearings are turned; null as the rest without a usable frame"),
    ("poses", pa.binary(), True, "packed: the usable frames"),
    ("path", pa.binary(), True, "packed: the line driven"),
    ("seen", pa.binary(), True, "packed: the detections, with the point estimate that each shows"),
    ("points", pa.binary(), True, "packed: the point estimates"),
    ("lines", pa.binary(), True, "packed: the estimates of lines"),
)

TILE_REGISTERS = _schema(
    "One row a tile: the register as the tile's build made it, before stitching and reviews. Not for readers.",
    ("tile", pa.string(), "COLUMN,ROW"),
    ("key", pa.string(), "digest of all that decides it but ids: its drives in their order, settings, version"),
    ("assets", pa.binary(), "packed"),
    ("changes", pa.binary(), "packed"),
)

TILE_PRIORS = _schema(
    "One row a tile: what drives that its next build leaves out have said of its assets. Not for readers.",
    ("tile", pa.string(), "COLUMN,ROW"),
    ("key", pa.string(), "digest of all that decides it: those drives, settings, version"),
    ("drive_ids", pa.list_(pa.string()), "those drives"),
    ("points", pa.binary(), "packed: point and overhead assets"),
    ("point_changes", pa.binary(), "packed: what those drives changed of them"),
    ("lines", pa.binary(), "packed: line assets"),
    ("line_segments", pa.binary(), "packed: what is seen of them from each sector of the compass"),
    ("line_changes", pa.binary(), "packed: what those drives changed of them"),
)

ASSETS_PER_KM = _schema(
    "Answers to what is often asked, computed from the tables above when a register is published (`inventory.views`).",
    ("route_code", pa.string(), True),
    ("section_code", pa.string(), True),
    ("km", pa.int32(), True, "25 is from km 25+000 to 26+000; null without a linear reference"),
    ("class", pa.string()),
    ("confirmed", pa.int64(), "confirmed assets that begin in this kilometre"),
    ("suspect", pa.int64(), "suspect assets that begin there"),
    ("candidate", pa.int64(), "candidates that begin there"),
    ("missing", pa.int64(), "missing assets that began there"),
    ("length_m", pa.float64(), True, "of the confirmed lines, within this kilometre"),
)

ASSET_GAPS = _schema(
    "One row a stretch between two confirmed assets of a class on one side, or up to the first of them.",
    ("class", pa.string()),
    ("route_code", pa.string(), True),
    ("section_code", pa.string(), True),
    ("carriageway", pa.string(), True),
    ("side", pa.string(), True),
    ("from_m", pa.int32(), "chainage where the stretch begins: the end of the asset before"),
    ("to_m", pa.int32(), "chainage of the asset that ends the stretch"),
    ("gap_m", pa.int32(), "length of the stretch"),
    ("to_id", pa.string(), "the asset that ends the stretch"),
    ("to_lon", pa.float64(), "where that asset stands, WGS 84"),
    ("to_lat", pa.float64(), "where that asset stands, WGS 84"),
    ("unsurveyed_km", pa.int64(), "kilometres of it that no drive surveyed"),
)

CHANGES_SINCE = _schema(
    "One row a change, with where it is on the network and under the asset's id of now.",
    ("changed_at", _UTC, "end of the drive that showed it, or time of the review"),
    ("change", pa.string(), "new | suspect | missing | reappeared | moved; by a reviewer damaged | repaired"),
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
    ("state", pa.string(), True, "of now; null where the asset has left the register"),
    ("evidence_uri", pa.string(), True),
)

ASSET_CELLS = _schema(
    "One row an asset and a cell in which `asset_history` or `asset_observations` may have rows of it.",
    ("asset_id", pa.string(), "of now, or as drives said it"),
    ("said_as", pa.string(), True, "the id that those rows have, if another one"),
    ("route_code", pa.string(), True),
    ("section_code", pa.string(), True),
    ("km_m", pa.int32(), True),
    ("cell", pa.string(), "of half a degree, as the folder of its files is called; empty for files outside of any"),
)

ASSET_TIMELINE = _schema(
    "One row an asset and a drive, under the asset's id of now.",
    ("asset_id", pa.string()),
    ("class", pa.string()),
    ("looked_at", _UTC),
    ("drive_id", pa.string()),
    ("seen", pa.bool_()),
    ("hits", pa.int32()),
    ("covering", pa.int32()),
    ("score", pa.float64(), True, "mean of the drive's detections, 0 to 1"),
    ("changes", pa.list_(pa.string()), True, "what this drive changed of it"),
    ("lon", pa.float64(), True, "where this drive alone puts it, WGS 84"),
    ("lat", pa.float64(), True, "where this drive alone puts it, WGS 84"),
    ("pos_sigma_m", pa.float64(), True, "standard error of that place, without the bias of the drive's GNSS"),
    ("route_code", pa.string(), True),
    ("section_code", pa.string(), True),
    ("km_m", pa.int32(), True),
    ("state", pa.string(), True),
)

FOUND = _schema(
    "One row a box that a training's finished model finds in the images of a split, however low its score.",
    ("image_key", pa.string(), "of the image, below the dataset's root"),
    ("class", pa.string()),
    ("score", pa.float32(), "of the model, 0 to 1"),
    ("box_px", _BOX, "xyxy, pixels of the original image"),
    ("mask_rle", pa.string(), True, "COCO compressed RLE of the original image's size; empty for boxes"),
)

ABLATION_RUNS = _schema(
    "One row a training of an ablation. Scores are of its model file on the tested split, as shares.",
    ("run", pa.string(), "name of its folder"),
    ("variant", pa.string(), "YOLOv8 size"),
    ("loss", pa.string(), "its name in the ablation"),
    ("seed", pa.int64(), "of weights, order and augmentation"),
    ("state", pa.string(), "complete | failed | waiting"),
    ("failure", pa.string(), True, "why it failed"),
    ("split", pa.string(), "that was tested on"),
    ("images", pa.int32(), "of the split"),
    ("objects", pa.int32(), "of the split"),
    ("map50", pa.float64(), True, "of boxes; COCO's 101-point mAP at overlap 0.5"),
    ("map50_95", pa.float64(), True, "of boxes; mean over overlaps 0.5 to 0.95"),
    ("precision", pa.float64(), True, "of boxes; mean over classes, at `confidence`"),
    ("recall", pa.float64(), True, "of boxes; mean over classes, at `confidence`"),
    ("f1", pa.float64(), True, "of boxes; harmonic mean of `precision` and `recall`"),
    ("confidence", pa.float64(), True, "where the smoothed mean F1 is greatest on the tested images"),
    ("calibration_error", pa.float64(), True, "of boxes; expected calibration error of scores from 0.05"),
    ("mask_map50", pa.float64(), True, "as `map50`, of masks; null where boxes are trained"),
    ("mask_map50_95", pa.float64(), True, "as `map50_95`, of masks"),
    ("mask_precision", pa.float64(), True, "as `precision`, of masks"),
    ("mask_recall", pa.float64(), True, "as `recall`, of masks"),
    ("mask_f1", pa.float64(), True, "as `f1`, of masks"),
    ("mask_confidence", pa.float64(), True, "as `confidence`, of masks"),
    ("mask_calibration_error", pa.float64(), True, "as `calibration_error`, of masks"),
    ("epochs", pa.int32(), True, "trained"),
    ("best_epoch", pa.int32(), True, "whose weights are the model: the best of the validation split"),
    ("parameters", pa.int64(), "of the network"),
    ("latency_ms", pa.float64(), "from one square image in memory to its detections, on `latency_device`"),
    ("latency_device", pa.string(), "such as cpu, 2 cores or cuda: NVIDIA L4"),
    ("device", pa.string(), True, "that it was trained on"),
    ("gpu_h", pa.float64(), True, "GPU hours of its training steps; 0 on CPUs"),
    ("cpu_h", pa.float64(), True, "core hours of its training steps: of all cores that its workers hold"),
    ("loss_settings", pa.string(), "the fields of train.loss, as JSON"),
    ("dataset_sha256", pa.string(), True, "digest of names, splits, labels and images"),
    ("model_sha256", pa.string(), True),
    ("run_uri", pa.string(), "its folder, with model file, history and what it found"),
    ("replay", pa.string(), "the command that trains it again, alone"),
)

ABLATION_DIFFERENCES = _schema(
    "One row a loss, a variant and a part of the tested split: what the loss gains over the baseline, as shares.",
    ("kind", pa.string(), "box | mask"),
    ("loss", pa.string(), "its name in the ablation"),
    ("baseline", pa.string(), "the loss that it is held against"),
    ("variant", pa.string(), "YOLOv8 size; all: mean over the variants"),
    ("part", pa.string(), "all | class | size | frequency | condition | occlusion"),
    (
        "of",
        pa.string(),
        "the class, size, frequency, condition or occlusion; of part all the metric, and elsewhere it is mAP50-95",
    ),
    ("difference", pa.float64(), True, "mean over the seeds; null where there is no truth"),
    ("low", pa.float64(), True, "lower end of the 95% interval over drives and seeds; null with one drive"),
    ("high", pa.float64(), True, "upper end"),
    ("between_seeds", pa.float64(), True, "standard deviation of the difference between seeds; null with one"),
    ("seeds", pa.int32(), "that both losses have"),
    ("verdict", pa.string(), "gain | loss | no gain (the interval holds 0) | unknown (there is none)"),
)

#: Every table of a warehouse, by name.
TABLES = {
    "observations": OBSERVATIONS,
    "frames": FRAMES,
    "runs": RUNS,
    "assets": ASSETS,
    "asset_changes": ASSET_CHANGES,
    "asset_history": ASSET_HISTORY,
    "asset_observations": ASSET_OBSERVATIONS,
    "asset_alias": ASSET_ALIAS,
    "coverage": COVERAGE,
    "reviews": REVIEWS,
    "inventory_drives": INVENTORY_DRIVES,
    "drive_estimates": DRIVE_ESTIMATES,
    "tile_registers": TILE_REGISTERS,
    "tile_priors": TILE_PRIORS,
    "assets_per_km": ASSETS_PER_KM,
    "asset_gaps": ASSET_GAPS,
    "changes_since": CHANGES_SINCE,
    "asset_cells": ASSET_CELLS,
    "asset_timeline": ASSET_TIMELINE,
}
