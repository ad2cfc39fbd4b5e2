"""Real survey imagery for tests: 100 Panoramax panoramas as four cube faces, described as a table of 400 frames.

The faces are 420x420 px of 90 degrees each, so f = 210 px. `front` looks along the panorama's azimuth; the pixels along
the edges show that the next face clockwise is `right`, then `back`, then `left` (the right edge of `front` is the left
edge of `right`: mean difference 6 of 255, against more than 60 for any other order).
"""

from __future__ import annotations

import csv
import json
from pathlib import Path

from roadscan.survey.importers import CameraConfig, IngestConfig

ROOT = Path(__file__).parents[3] / "shared" / "data" / "panoramax"
FACES_YAW_DEG = {"front": 0, "right": 90, "back": 180, "left": 270}
CAMERAS = tuple(
    CameraConfig(camera_id=face, width_px=420, height_px=420, focal_px=210, mount_height_m=2.2, mount_yaw_deg=yaw)
    for face, yaw in FACES_YAW_DEG.items()
)


def write_panoramax_table(folder: Path, panoramas: int = 100) -> Path:
    """Write ``panoramax.csv`` into a folder: a row a face, four faces a panorama, in order of time.

    Args:
        folder: where to write.
        panoramas: how many, from the first.

    Returns:
        The CSV's path; its image_uri is relative to ``ROOT / "faces"``.
    """
    entries = sorted(json.loads((ROOT / "panoramas.json").read_text()), key=lambda entry: entry["datetime"])
    path = folder / "panoramax.csv"
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["image_uri", "captured_at", "lon", "lat", "heading_deg", "camera_id"])
        for entry in entries[:panoramas]:
            place = [entry["datetime"], entry["lon"], entry["lat"], entry["azimuth"]]
            table.writerows([f"{entry['id']}/{face}.jpg", *place, face] for face in FACES_YAW_DEG)
    return path


def panoramax_config(folder: Path, out: str | Path, panoramas: int = 100) -> IngestConfig:
    """The config that imports them: `write_panoramax_table`, then `roadscan.survey.importers.ingest` of this."""
    table = write_panoramax_table(folder, panoramas)
    return IngestConfig(
        kind="table",
        source=str(table),
        out=str(out),
        drive_id="panoramax",
        images=str(ROOT / "faces"),
        cameras=CAMERAS,
    )
