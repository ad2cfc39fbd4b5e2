"""From panoramas to the register: a simulated road, seen around the edge of its panoramas."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from support.commands import roadscan, sets
from support.exact_road import EXACT_ROAD, register
from support.panoramas import around, exif, jpeg

from roadscan.simulate import simulate
from roadscan.survey.drive import Drive, read_drive
from roadscan.survey.geodesy import WGS84
from roadscan.warehouse import Warehouse

pytestmark = pytest.mark.slow
#: The widest view that is drawn, 96 degrees.
ROAD = EXACT_ROAD.model_copy(update={"mount_pitch_deg": 0.0, "focal_ratio": 0.45})
WIDTH_PX = 4096


def surround(drive: Drive, folder: Path) -> None:
    """A drive's images as panoramas whose middle looks back, so that the road ahead lies across their edge."""
    folder.mkdir()
    for row in drive.frames.to_pylist():
        view = cv2.imread(f"{drive.image_root}/{row['image_uri']}")
        image = around(view, ROAD.focal_px, WIDTH_PX, centre_deg=180)
        tags = exif(row["lon"], row["lat"], row["captured_at"])
        back_deg = (row["heading_deg"] + 180) % 360
        (folder / f"{row['frame_id']}.jpg").write_bytes(jpeg(image, tags, PoseHeadingDegrees=back_deg))


def test_panoramas_give_the_register_of_the_road_that_lies_across_their_edge(tmp_path: Path) -> None:
    simulate(str(tmp_path / "road"), ROAD)
    (photographs,) = (tmp_path / "road/drives").iterdir()
    surround(read_drive(str(photographs)), tmp_path / "photos")
    drive, warehouse = tmp_path / "drive", tmp_path / "warehouse"
    camera = f"[{{mount_height_m: {ROAD.mount_height_m}, mount_yaw_deg: 180}}]"
    done = roadscan("ingest", "exif", str(tmp_path / "photos"), "--out", str(drive), *sets(cameras=camera))
    assert done.returncode == 0, done.stderr
    assets = register(drive, warehouse)
    truth = pq.read_table(tmp_path / "road/truth/assets.parquet").to_pylist()
    off_m = [
        min(
            WGS84.inv(one["lon"], one["lat"], asset["lon"], asset["lat"])[2]
            for asset in assets
            if asset["class"] == one["class"]
        )
        for one in truth
    ]
    # Of the road's nine assets each is there once; 1.1 m is what was measured, the demo's own figure is 1.8 m.
    assert len(assets) == len(truth) == 9
    assert np.median(off_m) < 1.8
    assert max(off_m) < 5
    house = Warehouse(str(warehouse))
    observations = house.read(house.current(), "observations").to_pylist()
    across = sum(row["box_px"][2] > WIDTH_PX for row in observations)
    assert across >= 8  # 12 were
    signs = [one for one in truth if one["class"] == "Warning Sign"]
    errors_deg = []
    for row in observations:
        if row["class"] != "Warning Sign":
            continue
        bearings = [WGS84.inv(row["camera_lon"], row["camera_lat"], one["lon"], one["lat"])[0] for one in signs]
        errors_deg.append(min(abs((row["bearing_deg"] - bearing + 180) % 360 - 180) for bearing in bearings))
    # 0.06 of a degree was measured, with a detector that is off by pixels: one of a face is 0.15 degrees.
    assert np.median(errors_deg) < 0.1
