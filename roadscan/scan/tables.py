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
from roadscan.scan.measure import LINE_ENDS, face_camera, measure
from roadscan.schemas import ACCURACY, FRAMES, OBSERVATIONS
from roadscan.survey.camera import Camera
from roadscan.survey.drive import Drive
from roadscan.taxonomy import Geometry, Taxonomy

AHEAD_DEG = 1.0  # of the road: the face of a panorama that looks there, and no neighbour of it


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
        **_measured(_rulers(drive, seen, place), shared["heading_deg"].to_numpy(), run, np.array(classes, object),
                    _feet(seen, run.taxonomy)),
        **{name: pa.repeat(value, len(boxes)) for name, value in (
            ("run_key", run.run_key), ("model_sha256", run.model_sha256), ("code_version", __version__))},
    }  # fmt: skip
    return _table(columns, OBSERVATIONS)


@dataclass(frozen=True)
class _Rulers:
    """What n detections are measured with: a frame's camera, or the face of its panorama that shows each best.

    Attributes:
        cameras: the different ones.
        which: (n,) index into them.
        boxes_n4: in pixels of that camera.
        scale_n2: factor from pixels of the image as stored to pixels of its camera, x and y; 1 of a face.
        turned_n: where that camera looks, clockwise from the frame's, degrees.
        bearing_n: of what a panorama shows, clockwise from its camera's heading; NaN of other images.
    """

    cameras: list[Camera]
    which: npt.NDArray[np.intp]
    boxes_n4: Floats
    scale_n2: Floats
    turned_n: Floats
    bearing_n: Floats


def _rulers(drive: Drive, seen: Sequence[Seen], place: pa.Table) -> _Rulers:
    cameras: dict[Camera, int] = {}
    columns: list[tuple[Floats, ...]] = []
    for one in seen:
        camera = drive.cameras[place["camera_id"][one.loaded.row].as_py()]
        found, n = one.found, len(one.found.scores)
        if found.in_faces is None:
            assert one.image_hw is not None
            scale = np.tile([camera.width_px / one.image_hw[1], camera.height_px / one.image_hw[0]], (n, 1))
            used, boxes, bearing = [camera] * n, found.boxes_xyxy * np.tile(scale, 2), np.full(n, np.nan)
        else:
            layout = found.in_faces.layout
            used = [face_camera(camera, layout, face) for face in found.in_faces.face.tolist()]
            boxes, scale, bearing = found.in_faces.boxes_xyxy.astype(float), np.ones((n, 2)), found.in_faces.bearing_deg
        which = np.array([cameras.setdefault(ruler, len(cameras)) for ruler in used])
        turned = np.array([ruler.mount_yaw_deg - camera.mount_yaw_deg for ruler in used])
        columns.append((which, boxes, scale, turned, bearing))
    return _Rulers(list(cameras), *(np.concatenate(column) for column in zip(*columns, strict=True)))


def _measured(
    rulers: _Rulers, headings_n: Floats, run: RunFacts, classes_n: npt.NDArray[np.object_], feet: dict[int, Floats]
) -> dict[str, pa.Array]:
    """Bearings and ranges: (n,) columns, null where there is no value; camera by camera."""
    columns: dict[str, npt.NDArray[Any]] = {}
    for number, camera in enumerate(rulers.cameras):
        rows = np.flatnonzero(rulers.which == number)
        found = measure(
            camera,
            rulers.boxes_n4[rows],
            list(classes_n[rows]),
            run.taxonomy,
            headings_n[rows] + rulers.turned_n[rows],
            {place: feet[row] * rulers.scale_n2[row] for place, row in enumerate(rows.tolist()) if row in feet},
        )
        for column, values in found.items():
            whole = columns.setdefault(column, np.full(len(headings_n), None if column == "range_source" else np.nan))
            whole[rows] = values
    _finish_panoramas(columns, rulers, headings_n)
    return {
        name: pa.array(values, pa.string() if name == "range_source" else pa.float64(), from_pandas=True)
        for name, values in columns.items()
    }


def _finish_panoramas(columns: dict[str, npt.NDArray[Any]], rulers: _Rulers, headings_n: Floats) -> None:
    """Give what panoramas show the bearing of the middle of all that is shown, whichever face measured it.

    The ends of lines are those of the face that looks along the road: they are not known of another.
    """
    around = np.isfinite(rulers.bearing_n)
    columns["bearing_deg"][around] = (headings_n + rulers.bearing_n)[around] % 360.0
    ahead = np.array([abs(camera.mount_yaw_deg) < AHEAD_DEG for camera in rulers.cameras])[rulers.which]
    for name in LINE_ENDS:
        columns[name][around & ~ahead] = np.nan


def _feet(seen: Sequence[Seen], taxonomy: Taxonomy) -> dict[int, Floats]:
    """By the row of a detection of a line asset where its mask meets the ground, (k, 2) pixels of the image.

    Not of a panorama, whose lines are measured by their boxes in a face.
    """
    feet: dict[int, Floats] = {}
    first = 0
    for one in seen:
        assert one.image_hw is not None
        masks = () if one.found.in_faces else one.found.masks_rle or ()
        for row, (name, mask) in enumerate(zip(one.found.classes, masks, strict=False), first):
            if taxonomy.get(name).geometry is Geometry.LINE:
                feet[row] = feet_of_mask(mask, one.image_hw)
        first += len(one.found.scores)
    return feet


def _table(columns: dict[str, Any], schema: pa.Schema) -> pa.Table:
    return pa.table({name: columns[name] for name in schema.names}).cast(schema)
