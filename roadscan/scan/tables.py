"""What a shard found, as the tables that are committed: column by column, never row by row.

Shape suffixes: f frames of the shard, n detections of all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from roadscan import __version__
from roadscan.arrays import Floats
from roadscan.model.image_detections import NOTHING, ImageDetections
from roadscan.model.masks import feet_of_mask
from roadscan.scan.loading import Loaded
from roadscan.scan.measure import measure
from roadscan.schemas import ACCURACY, FRAMES, OBSERVATIONS
from roadscan.survey.drive import Drive
from roadscan.taxonomy import Geometry, Taxonomy


@dataclass(frozen=True, slots=True)
class Seen:
    """A frame that was looked at, and what was found in it.

    Attributes:
        loaded: the frame; without its image.
        image_hw: size of the image in pixels; None where there was none to show.
        found: in it.
    """

    loaded: Loaded
    image_hw: tuple[int, int] | None
    found: ImageDetections = NOTHING


@dataclass(frozen=True)
class RunFacts:
    """What every row of a run says: who made it."""

    run_key: str
    model_sha256: str
    taxonomy: Taxonomy


def make_tables(drive: Drive, frames: pa.Table, seen: Sequence[Seen], run: RunFacts) -> tuple[pa.Table, pa.Table]:
    """(observations, frames) of a shard, sorted by frame_id and detection, whatever order the work was done in.

    Args:
        drive: where the frames are from.
        frames: the shard's f rows of `DRIVE_FRAMES`.
        seen: each of them exactly once, in any order.
        run: goes into every row.
    """
    seen = sorted(seen, key=lambda one: one.loaded.row)
    if [one.loaded.row for one in seen] != list(range(frames.num_rows)):
        raise AssertionError(f"{frames.num_rows} frames in, {len(seen)} out")
    place = _places(drive, frames)
    order = pc.sort_indices(frames["frame_id"])
    table = _frames(drive, frames, place, seen, run.run_key).take(order)
    return _observations(drive, place, [seen[row] for row in order.to_pylist()], run), table


def _places(drive: Drive, frames: pa.Table) -> pa.Table:
    """What a frame and its detections have in common: (f,) columns."""
    yaws = pa.array([drive.cameras[name].mount_yaw_deg for name in frames["camera_id"].to_pylist()], pa.float64())
    headings = pc.add(frames["heading_deg"], yaws).to_numpy()  # null becomes NaN
    columns = {
        "frame_id": frames["frame_id"],
        "image_uri": pc.binary_join_element_wise(drive.image_root, frames["image_uri"], "/"),
        "captured_at": frames["captured_at"],
        "camera_lon": frames["lon"],
        "camera_lat": frames["lat"],
        "heading_deg": pa.array(headings % 360.0, from_pandas=True),
        "camera_id": frames["camera_id"],
        **{name: frames[name] for name in ACCURACY},
    }
    return pa.table({"drive_id": pa.repeat(drive.drive_id, frames.num_rows), **columns})


def _frames(drive: Drive, frames: pa.Table, place: pa.Table, seen: Sequence[Seen], run_key: str) -> pa.Table:
    loaded = [one.loaded for one in seen]
    sizes = [one.image_hw or (None, None) for one in seen]
    columns: dict[str, Any] = {
        "fov_deg": [drive.cameras[name].fov_deg for name in frames["camera_id"].to_pylist()],
        "status": [one.status for one in loaded],
        "reason": [one.reason for one in loaded],
        "width_px": [width for _, width in sizes],
        "height_px": [height for height, _ in sizes],
        "n_detections": [len(one.found.scores) for one in seen],
        "run_key": pa.repeat(run_key, frames.num_rows),
        "light": pa.array([one.quality and one.quality.light for one in loaded], pa.float64()),
        "blur": pa.array([one.quality and one.quality.blur for one in loaded], pa.float64()),
    }
    return _table({**{name: place[name] for name in place.column_names}, **columns}, FRAMES)


def _observations(drive: Drive, place: pa.Table, seen: Sequence[Seen], run: RunFacts) -> pa.Table:
    """The detections of frames in the order given."""
    seen = [one for one in seen if len(one.found.scores)]
    if not seen:
        return OBSERVATIONS.empty_table()
    found = [one.found for one in seen]
    counts = [len(one.scores) for one in found]
    frame_n = np.repeat([one.loaded.row for one in seen], counts)
    shared = place.take(frame_n)
    boxes = np.concatenate([one.boxes_xyxy for one in found])
    numbers = [f"{number:03d}" for count in counts for number in range(count)]
    masks = [mask for one in found for mask in one.masks_rle or [None] * len(one.scores)]
    classes = [name for one in found for name in one.classes]
    columns = {
        "observation_id": pc.binary_join_element_wise(shared["drive_id"], shared["frame_id"], numbers, "/"),
        **{name: shared[name] for name in place.column_names if name in OBSERVATIONS.names},
        "class": classes,
        "score": np.concatenate([one.scores for one in found]),
        "box_px": pa.FixedSizeListArray.from_arrays(boxes.astype(np.float32).ravel(), 4),
        "mask_rle": pa.array(masks, pa.string()),
        "bearing_sigma_deg": pa.nulls(len(boxes), pa.float64()),
        **_measured(drive, shared, boxes, np.repeat([_scale(drive, one, place) for one in seen], counts, axis=0), run,
                    np.array(classes, object), _feet(seen, run.taxonomy)),
        **{name: pa.repeat(value, len(boxes)) for name, value in (
            ("run_key", run.run_key), ("model_sha256", run.model_sha256), ("code_version", __version__))},
    }  # fmt: skip
    return _table(columns, OBSERVATIONS)


def _measured(
    drive: Drive, shared: pa.Table, boxes_n4: npt.NDArray[np.float32], scale_n4: npt.NDArray[np.float64],
    run: RunFacts, classes_n: npt.NDArray[np.object_], feet: dict[int, Floats],
) -> dict[str, pa.Array]:  # fmt: skip
    """Bearings and ranges: (n,) columns, null where there is no value; camera by camera."""
    cameras, headings = np.array(shared["camera_id"].to_pylist(), object), shared["heading_deg"].to_numpy()
    columns: dict[str, npt.NDArray[Any]] = {}
    for name in dict.fromkeys(cameras):
        rows = np.flatnonzero(cameras == name)
        found = measure(
            drive.cameras[name],
            boxes_n4[rows] * scale_n4[rows],
            list(classes_n[rows]),
            run.taxonomy,
            headings[rows],
            {place: feet[row] * scale_n4[row, :2] for place, row in enumerate(rows.tolist()) if row in feet},
        )
        for column, values in found.items():
            whole = columns.setdefault(column, np.full(len(cameras), None if column == "range_source" else np.nan))
            whole[rows] = values
    return {
        name: pa.array(values, pa.string() if name == "range_source" else pa.float64(), from_pandas=True)
        for name, values in columns.items()
    }


def _feet(seen: Sequence[Seen], taxonomy: Taxonomy) -> dict[int, Floats]:
    """By the row of a detection of a line asset where its mask meets the ground, (k, 2) pixels of the image."""
    feet: dict[int, Floats] = {}
    first = 0
    for one in seen:
        assert one.image_hw is not None
        for row, (name, mask) in enumerate(zip(one.found.classes, one.found.masks_rle or (), strict=False), first):
            if taxonomy.get(name).geometry is Geometry.LINE:
                feet[row] = feet_of_mask(mask, one.image_hw)
        first += len(one.found.scores)
    return feet


def _scale(drive: Drive, seen: Seen, place: pa.Table) -> list[float]:
    """Factor from pixels of the image as stored to pixels of the camera's calibration, for xyxy."""
    camera = drive.cameras[place["camera_id"][seen.loaded.row].as_py()]
    assert seen.image_hw is not None
    height, width = seen.image_hw
    return [camera.width_px / width, camera.height_px / height] * 2


def _table(columns: dict[str, Any], schema: pa.Schema) -> pa.Table:
    return pa.table({name: columns[name] for name in schema.names}).cast(schema)
