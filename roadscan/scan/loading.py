"""Frames from a store to network inputs: fetched, checked and decoded by threads, ahead of whoever takes them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, TypedDict

import pyarrow as pa

from roadscan.errors import (
    AccessDenied,
    Malformed,
    NotFound,
    StorageError,
    SurveyError,
    TooLarge,
    TooManyPixels,
    in_words,
)
from roadscan.model.decode import DecodeMode, Undecodable, image_size, plan_letterbox
from roadscan.model.faces import FACES, FaceConfig, FaceLayout, plan_faces
from roadscan.model.image_input import ImageInput, faces_of, prepare, prepare_faces, prepare_pixels
from roadscan.model.slices import SliceConfig
from roadscan.scan.ledger import Shard
from roadscan.scan.quality import Quality, quality_of
from roadscan.storage import MAX_IMAGE_BYTES, Store, open_store
from roadscan.survey.camera import Camera
from roadscan.survey.drive import Drive, read_drive, rejection
from roadscan.video.address import split
from roadscan.video.pictures import Pictures

#: How reasons begin of images that an upload may yet bring, or bring whole. For what is not there, a proxy or a captive
#: portal may have given a page of its own.
ON_THE_WAY = ("missing:", "empty:", "truncated:", "not_an_image: starts with HTML")
ASPECT_TOLERANCE = 0.02  # an image of another shape than its camera's is cropped or turned, so pixels mean other angles


@dataclass(frozen=True, slots=True)
class Loaded:
    """A frame ready for the model, or the reason why it is not.

    Attributes:
        row: of the frame among those that were given.
        image: what the network is given; None where there is nothing to show.
        status: ok, quarantined (its input is unusable, for good) or failed (the store did not give it, or not yet).
        reason: of the last two.
        quality: how the image looks.
    """

    row: int
    image: ImageInput | None = None
    status: str = "ok"
    reason: str | None = None
    quality: Quality | None = None


class LoaderSettings(TypedDict):
    """The arguments of a `Loader`, as they travel to other processes."""

    threads: int
    side_px: int
    stride_px: int
    decode: DecodeMode
    max_megapixels: float
    slices: SliceConfig | None
    faces: FaceConfig


class Loader:
    """Threads that fetch and decode, shared by all shards of a process.

    Args:
        threads: images being fetched and decoded at a time.
        side_px: longer side of the network's input.
        stride_px: its sides are multiples of this.
        decode: how.
        max_megapixels: a larger image is not decoded.
        slices: how images are cut, to be seen in parts besides; None: not.
        faces: how panoramas are cut.
    """

    def __init__(
        self,
        *,
        threads: int,
        side_px: int,
        stride_px: int,
        decode: DecodeMode,
        max_megapixels: float,
        slices: SliceConfig | None = None,
        faces: FaceConfig = FACES,
    ) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="load")
        self._ahead = threads
        self._side_px, self._stride_px, self._max_megapixels = side_px, stride_px, max_megapixels
        self._decode, self._slices, self._faces = decode, slices, faces

    def load(self, drive: Drive, frames: Sequence[dict[str, Any]], ahead: int) -> Iterator[Loaded]:
        """The frames in order.

        Args:
            drive: where they are from.
            frames: rows of `DRIVE_FRAMES`.
            ahead: images that may wait, decoded, for the caller; this bounds the memory.
        """
        store = open_store(drive.image_root)
        pending: deque[Future[Loaded]] = deque()
        # A video's pictures one after the other, by a decoder that goes on from each to the next.
        with Pictures(store, self._ahead) as videos, ThreadPoolExecutor(1, thread_name_prefix="video") as in_turn:
            for row, frame in enumerate(frames):
                of_video = split(frame["image_uri"]) is not None
                source, threads = (videos, in_turn) if of_video else (store, self._threads)
                camera = drive.cameras[frame["camera_id"]]
                pending.append(threads.submit(self._one, source, camera, frame, row, uploading=drive.uploading))
                if len(pending) > ahead + self._ahead:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()

    def _one(
        self, source: Store | Pictures, camera: Camera, frame: dict[str, Any], row: int, *, uploading: bool
    ) -> Loaded:
        """Fetch, check and decode one frame; never raises."""
        if reason := rejection(frame):
            return Loaded(row, status="quarantined", reason=reason)
        loaded = self._fetched(source, camera, frame, row)
        if uploading and loaded.reason and loaded.reason.startswith(ON_THE_WAY):
            return replace(loaded, status="failed")
        return loaded

    def _fetched(self, source: Store | Pictures, camera: Camera, frame: dict[str, Any], row: int) -> Loaded:
        try:
            if isinstance(source, Pictures):
                image = self._shown(source, camera, frame)
            else:
                image = self._read(source, camera, frame)
            return Loaded(row, image, quality=quality_of(image))
        except Undecodable as error:
            return Loaded(row, status="quarantined", reason=str(error))
        except NotFound:
            return Loaded(row, status="quarantined", reason="missing: no such object")
        except TooLarge as error:
            return Loaded(row, status="quarantined", reason=f"too_large: {error}")
        except AccessDenied as error:
            return Loaded(row, status="failed", reason=f"denied: {error}")
        except StorageError as error:
            return Loaded(row, status="failed", reason=f"unreachable: {error}")
        except Exception as error:  # noqa: BLE001 - there is no end to what decoders raise
            return Loaded(row, status="quarantined", reason=f"undecodable: {in_words(error)}")

    def _read(self, store: Store, camera: Camera, frame: dict[str, Any]) -> ImageInput:
        data = store.read(frame["image_uri"], max_bytes=MAX_IMAGE_BYTES)
        size = image_size(data, self._max_megapixels)
        _check_aspect(size, camera)
        if camera.is_panoramic:
            return prepare_faces(data, self._plan_faces(size, camera, frame), self._decode)
        return prepare(data, plan_letterbox(size, self._side_px, self._stride_px), self._slices, self._decode)

    def _shown(self, videos: Pictures, camera: Camera, frame: dict[str, Any]) -> ImageInput:
        try:
            pixels = videos.read(frame["image_uri"], self._max_megapixels)
        except TooManyPixels as error:
            raise Undecodable(f"too_large: {error}") from None
        except Malformed as error:
            raise Undecodable(f"corrupt: {error}") from None
        size = pixels.shape[0], pixels.shape[1]
        _check_aspect(size, camera)
        if camera.is_panoramic:
            return faces_of(pixels, self._plan_faces(size, camera, frame))
        return prepare_pixels(pixels, plan_letterbox(size, self._side_px, self._stride_px), self._slices)

    def _plan_faces(self, image_hw: tuple[int, int], camera: Camera, frame: dict[str, Any]) -> FaceLayout:
        """The faces of a panorama, level, of which the first looks where the vehicle does."""
        pitch_deg, roll_deg = camera.held(frame["pitch_deg"] or 0.0, frame["roll_deg"] or 0.0)
        return plan_faces(
            image_hw,
            self._faces,
            self._side_px,
            ahead_deg=-camera.mount_yaw_deg,
            pitch_deg=pitch_deg,
            roll_deg=roll_deg,
        )


def frames_of(shard: Shard) -> tuple[Drive, pa.Table]:
    """A shard's drive, and its rows of `DRIVE_FRAMES`.

    Raises:
        SurveyError: the drive is not the one that was planned with.
    """
    drive = _drive(shard.drive_uri)
    if drive.sha256 != shard.drive_sha256:
        raise SurveyError("the drive changed while it was being scanned; run again")
    return replace(drive, uploading=shard.uploading), drive.frames.slice(shard.start, shard.stop - shard.start)


@lru_cache(maxsize=8)
def _drive(uri: str) -> Drive:
    return read_drive(uri)


def _check_aspect(image_hw: tuple[int, int], camera: Camera) -> None:
    """A camera's calibration holds for every size of its images, but not for another shape."""
    height, width = image_hw
    if abs(width * camera.height_px / (height * camera.width_px) - 1) > ASPECT_TOLERANCE:
        size = f"{camera.width_px}x{camera.height_px}"
        raise Undecodable(f"bad_size: {width}x{height} px, but camera {camera.camera_id} takes {size}")
