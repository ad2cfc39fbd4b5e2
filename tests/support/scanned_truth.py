"""Observations of simulated drives as a scan with a fair detector would write them, from the truth's boxes."""

from __future__ import annotations

import io
import zlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from roadscan.inventory.build import DriveTables
from roadscan.scan.measure import measure
from roadscan.schemas import FRAMES, OBSERVATIONS
from roadscan.storage import open_store
from roadscan.survey.drive import Drive, read_drive
from roadscan.taxonomy import HIGHWAY

RECALL = 0.85
EDGE_NOISE = 0.002  # of the image's width
FALSE_PER_FRAME = 0.05


def read_truth(root: str, name: str) -> pa.Table:
    return pq.read_table(io.BytesIO(open_store(root).read(f"truth/{name}.parquet")))


def scan_truth(root: str, drive_id: str, recall: float = RECALL) -> DriveTables:
    """The tables of one simulated drive."""
    drive = read_drive(f"{root}/drives/{drive_id}")
    rng = np.random.default_rng(zlib.crc32(drive_id.encode()))
    boxes: dict[str, list[dict]] = {}
    for row in read_truth(root, f"boxes/{drive_id}").to_pylist():
        boxes.setdefault(row["frame_id"], []).append(row)
    frames, observations = [], []
    for frame in drive.frames.to_pylist():
        seen = [b for b in boxes.get(frame["frame_id"], []) if rng.random() < recall * b["visible_fraction"] ** 0.5]
        rows = _observe(drive, frame, seen, rng)
        frames.append(_frame_row(drive, frame, len(rows)))
        observations += rows
    return DriveTables(
        drive_id, pa.Table.from_pylist(frames, schema=FRAMES), pa.Table.from_pylist(observations, schema=OBSERVATIONS)
    )


def _observe(drive: Drive, frame: dict, seen: list[dict], rng) -> list[dict]:
    camera = drive.cameras[frame["camera_id"]]
    width, height = camera.width_px, camera.height_px
    boxes = np.array([b["box_px"] for b in seen], float).reshape(-1, 4)
    boxes = boxes + rng.normal(0, EDGE_NOISE * width, boxes.shape)
    classes = [b["class"] for b in seen]
    for _ in range(rng.poisson(FALSE_PER_FRAME)):
        x, y, side = rng.uniform(0.1, 0.9) * width, rng.uniform(0.35, 0.6) * height, rng.uniform(0.01, 0.06) * width
        boxes, classes = np.vstack([boxes, [x, y, x + side, y + side]]), [*classes, str(rng.choice(HIGHWAY.names))]
    boxes = np.clip(boxes, 0, [width, height] * 2)
    heading = frame["heading_deg"] + camera.mount_yaw_deg
    places = measure(camera, boxes, classes, HIGHWAY, heading)
    return [
        {
            **_shared(drive, frame),
            "observation_id": f"{frame['frame_id']}/{i}",
            "heading_deg": heading,
            "class": classes[i],
            "score": float(rng.uniform(0.4, 0.95) if i < len(seen) else rng.uniform(0.3, 0.7)),
            "box_px": boxes[i].tolist(),
            "mask_rle": None,
            **{name: _nullable(values[i]) for name, values in places.items()},
            "model_sha256": "0" * 64,
            "code_version": "0",
        }
        for i in range(len(classes))
    ]


def _frame_row(drive: Drive, frame: dict, n_detections: int) -> dict:
    camera = drive.cameras[frame["camera_id"]]
    return {
        **_shared(drive, frame),
        "heading_deg": frame["heading_deg"] + camera.mount_yaw_deg,
        "camera_id": camera.camera_id,
        "fov_deg": camera.fov_deg,
        "status": "ok",
        "reason": None,
        "width_px": camera.width_px,
        "height_px": camera.height_px,
        "n_detections": n_detections,
    }


def _shared(drive: Drive, frame: dict) -> dict:
    return {
        "drive_id": drive.drive_id,
        "frame_id": frame["frame_id"],
        "image_uri": f"{drive.image_root}/{frame['image_uri']}",
        "captured_at": frame["captured_at"],
        "camera_lon": frame["lon"],
        "camera_lat": frame["lat"],
        "run_key": "truth",
    }


def _nullable(value):
    return None if value is None or value != value else value
