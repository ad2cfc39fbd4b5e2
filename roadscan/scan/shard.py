"""One shard: frames in, an observations table and a frames table out. Knows nothing of Ray and nothing of commits.

Threads fetch and decode ahead while the model works on the batch before; a window bounds the images in memory. Every
frame given comes out as exactly one row of the frames table: ok, quarantined (its input is unusable, for good) or
failed (the store did not give it; the next run tries again).
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from roadscan import __version__
from roadscan.errors import AccessDenied, NotFound, StorageError
from roadscan.model.bundle import Bundle
from roadscan.model.decode import Letterbox, Pixels, Undecodable, decode, image_size, plan_letterbox
from roadscan.model.detector import Detections, Detector
from roadscan.model.masks import encode_masks
from roadscan.model.yolo import STRIDE_PX
from roadscan.scan.config import ScanConfig
from roadscan.scan.measure import measure
from roadscan.schemas import FRAMES, OBSERVATIONS
from roadscan.storage import Store, open_store
from roadscan.survey.camera import Camera
from roadscan.survey.drive import Drive, rejection
from roadscan.taxonomy import HIGHWAY, Taxonomy

Row = dict[str, Any]
ASPECT_TOLERANCE = 0.02  # an image of another shape than its camera's is cropped or turned, so pixels mean other angles


@dataclass(frozen=True, slots=True)
class Loaded:
    """A frame ready for the model, or the reason why it is not."""

    frame: Row
    letterbox: Letterbox | None = None
    pixels: Pixels | None = None
    status: str = "ok"
    reason: str | None = None


@dataclass
class Rows:
    """The rows of a shard as they grow."""

    observations: list[Row] = field(default_factory=list)
    frames: list[Row] = field(default_factory=list)

    def tables(self) -> tuple[pa.Table, pa.Table]:
        """(observations, frames), each in the order of frame_id and detection, whatever order the work was done in."""
        self.frames.sort(key=lambda row: str(row["frame_id"]))
        self.observations.sort(key=lambda row: (str(row["frame_id"]), -row["score"], row["observation_id"]))
        return pa.Table.from_pylist(self.observations, OBSERVATIONS), pa.Table.from_pylist(self.frames, FRAMES)


class ShardScanner:
    """A model and the way to feed it.

    Args:
        config: the scan.
        bundle: the model.
        taxonomy: what is known of its classes.
    """

    def __init__(self, config: ScanConfig, bundle: Bundle, taxonomy: Taxonomy = HIGHWAY) -> None:
        self.config, self.taxonomy, self.model_sha256 = config, taxonomy, bundle.sha256
        self.detector = Detector(bundle, confidence=config.confidence, iou=config.iou, precision=config.precision)
        self.side_px = config.image_size_px or bundle.card.image_size_px
        self._threads = ThreadPoolExecutor(config.fetch_threads, thread_name_prefix="fetch")

    def scan(self, drive: Drive, frames: Sequence[Row], run_key: str) -> tuple[pa.Table, pa.Table]:
        """Scan some frames of a drive.

        Args:
            drive: where they are from.
            frames: rows of `DRIVE_FRAMES`.
            run_key: goes into every row.

        Returns:
            (observations, frames): `OBSERVATIONS` and `FRAMES`; the second has exactly one row a frame given.
        """
        rows = Rows()
        waiting: dict[tuple[int, int], list[Loaded]] = defaultdict(list)  # by input size: a batch has one size
        for loaded in self._load_ahead(drive, frames):
            if loaded.letterbox is None:
                rows.frames.append(_frame_row(drive, loaded, 0, run_key))
                continue
            batch = waiting[loaded.letterbox.input_hw]
            batch.append(loaded)
            if len(batch) == self.config.batch_size:
                self._detect(drive, waiting.pop(loaded.letterbox.input_hw), run_key, rows)
        for batch in waiting.values():
            self._detect(drive, batch, run_key, rows)
        if len(rows.frames) != len(frames):
            raise AssertionError(f"{len(frames)} frames in, {len(rows.frames)} out")
        return rows.tables()

    def _load_ahead(self, drive: Drive, frames: Sequence[Row]) -> Iterator[Loaded]:
        """Frames in order, with up to two batches and a queue of fetches ahead of the caller."""
        store = open_store(drive.image_root)
        window = 2 * self.config.batch_size + self.config.fetch_threads
        pending: deque[Future[Loaded]] = deque()
        for frame in frames:
            pending.append(self._threads.submit(self._load, store, drive.cameras[frame["camera_id"]], frame))
            if len(pending) == window:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()

    def _load(self, store: Store, camera: Camera, frame: Row) -> Loaded:
        """Fetch, check and decode one frame; never raises for what is wrong with the frame."""
        if reason := rejection(frame):
            return Loaded(frame, status="quarantined", reason=reason)
        try:
            data = store.read(frame["image_uri"])
            size = image_size(data, self.config.max_megapixels)
            _check_aspect(size, camera)
            letterbox = plan_letterbox(size, self.side_px, STRIDE_PX)
            return Loaded(frame, letterbox, decode(data, letterbox, self.config.decode))
        except Undecodable as error:
            return Loaded(frame, status="quarantined", reason=str(error))
        except NotFound:
            return Loaded(frame, status="quarantined", reason="missing: no such object")
        except AccessDenied as error:
            return Loaded(frame, status="failed", reason=f"denied: {error}")
        except StorageError as error:
            return Loaded(frame, status="failed", reason=f"unreachable: {error}")

    def _detect(self, drive: Drive, batch: Sequence[Loaded], run_key: str, rows: Rows) -> None:
        images = np.stack([loaded.pixels for loaded in batch if loaded.pixels is not None])
        for loaded, found in zip(batch, self.detector.infer(images), strict=True):
            rows.frames.append(_frame_row(drive, loaded, len(found.scores), run_key))
            rows.observations += self._observation_rows(drive, loaded, found, run_key)

    def _observation_rows(self, drive: Drive, loaded: Loaded, found: Detections, run_key: str) -> Iterator[Row]:
        frame, letterbox = loaded.frame, loaded.letterbox
        assert letterbox is not None
        camera = drive.cameras[frame["camera_id"]]
        heading = _camera_heading(frame, camera)
        boxes = letterbox.to_image(found.boxes_xyxy)
        masks = encode_masks(found.masks, boxes, letterbox) if found.masks is not None else [None] * len(boxes)
        places = measure(
            camera, boxes * _to_camera(letterbox, camera), found.classes, self.taxonomy,
            np.nan if heading is None else heading,
        )  # fmt: skip
        for i, (box, score, name) in enumerate(zip(boxes.tolist(), found.scores.tolist(), found.classes, strict=True)):
            yield {
                "observation_id": f"{drive.drive_id}/{frame['frame_id']}/{i:03d}",
                **_place_of(drive, frame),
                "heading_deg": heading,
                "class": name,
                "score": score,
                "box_px": box,
                "mask_rle": masks[i],
                **{column: _nullable(values[i]) for column, values in places.items()},
                "run_key": run_key,
                "model_sha256": self.model_sha256,
                "code_version": __version__,
            }


def _check_aspect(image_hw: tuple[int, int], camera: Camera) -> None:
    """A camera's calibration holds for every size of its images, but not for another shape."""
    height, width = image_hw
    if abs(width * camera.height_px / (height * camera.width_px) - 1) > ASPECT_TOLERANCE:
        size = f"{camera.width_px}x{camera.height_px}"
        raise Undecodable(f"bad_size: {width}x{height} px, but camera {camera.camera_id} takes {size}")


def _frame_row(drive: Drive, loaded: Loaded, n_detections: int, run_key: str) -> Row:
    frame, camera = loaded.frame, drive.cameras[loaded.frame["camera_id"]]
    height, width = loaded.letterbox.image_hw if loaded.letterbox else (None, None)
    return {
        **_place_of(drive, frame),
        "heading_deg": _camera_heading(frame, camera),
        "camera_id": camera.camera_id,
        "fov_deg": camera.fov_deg,
        "status": loaded.status,
        "reason": loaded.reason,
        "width_px": width,
        "height_px": height,
        "n_detections": n_detections,
        "run_key": run_key,
    }


def _place_of(drive: Drive, frame: Row) -> Row:
    return {
        "drive_id": drive.drive_id,
        "frame_id": frame["frame_id"],
        "image_uri": f"{drive.image_root}/{frame['image_uri']}",
        "captured_at": frame["captured_at"],
        "camera_lon": frame["lon"],
        "camera_lat": frame["lat"],
    }


def _camera_heading(frame: Row, camera: Camera) -> float | None:
    return None if frame["heading_deg"] is None else (frame["heading_deg"] + camera.mount_yaw_deg) % 360.0


def _to_camera(letterbox: Letterbox, camera: Camera) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Factor from pixels of the image as stored to pixels of the camera's calibration, for xyxy."""
    height, width = letterbox.image_hw
    return np.array([camera.width_px / width, camera.height_px / height] * 2)


def _nullable(value: Any) -> Any:
    return None if value is None or value != value else value
