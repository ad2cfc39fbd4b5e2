"""Small drives for tests: real JPEGs of a textured scene, on disk or in S3."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import cv2
import numpy as np
import pyarrow as pa

from roadscan.schemas import DRIVE_FRAMES
from roadscan.storage import open_store
from roadscan.survey.camera import Camera
from roadscan.survey.drive import COMPLETE, write_drive

CAMERA = Camera("front", 640, 360, 450.0, 1.8)
START = datetime(2026, 11, 1, 13, tzinfo=UTC)


def jpeg(seed: int = 0, width: int = 640, height: int = 360) -> bytes:
    """A JPEG of smooth noise with a few bright rectangles."""
    rng = np.random.default_rng(seed)
    image = cv2.resize(rng.integers(0, 255, (9, 16, 3), np.uint8), (width, height), interpolation=cv2.INTER_CUBIC)
    for _ in range(4):
        x, y = int(rng.integers(0, width - 40)), int(rng.integers(0, height - 40))
        cv2.rectangle(image, (x, y), (x + 30, y + 30), rng.integers(0, 255, 3).tolist(), -1)
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()


def frame(index: int, **changes: Any) -> dict[str, Any]:
    """One row of a frames table; 10 m and half a second after the one before."""
    row = {
        "frame_id": f"{index:06d}",
        "image_uri": f"images/{index:06d}.jpg",
        "captured_at": START + timedelta(seconds=index / 2),
        "lon": 102.83,
        "lat": 16.43 + index * 9.04e-5,  # 10 m of meridian
        "heading_deg": 0.0,
        "speed_mps": 20.0,
        "hdop": 0.8,
        "camera_id": "front",
        "reason": None,
    }
    return {**row, **changes}


def make_drive(uri: str, drive_id: str = "d1", *, n: int = 6, replace: dict[int, dict[str, Any]] | None = None,
               images: dict[int, bytes | None] | None = None, camera: Camera = CAMERA,
               uploading: bool = False) -> str:  # fmt: skip
    """Write a drive of `n` frames; `replace` changes rows of the table, `images` the files (None: no file).

    It says that all of them are there, unless it is `uploading`.
    """
    store = open_store(uri)
    rows = [frame(index, **(replace or {}).get(index, {})) for index in range(n)]
    for index in range(n):
        data = (images or {}).get(index, jpeg(index))
        if data is not None:
            store.write(f"images/{index:06d}.jpg", data)
    write_drive(
        store, drive_id=drive_id, cameras=[camera], frames=pa.Table.from_pylist(rows, DRIVE_FRAMES), source="test"
    )
    if not uploading:
        store.write(COMPLETE, b"")
    return uri
