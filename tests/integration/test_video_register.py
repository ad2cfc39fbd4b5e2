"""From a recording to the register: simulated roads as a GoPro would have filmed them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.commands import roadscan, sets
from support.videos import gpmf, record

from roadscan.report.samples import Images
from roadscan.simulate import SimulationConfig, simulate
from roadscan.survey.drive import Drive, read_drive
from roadscan.survey.geodesy import WGS84
from roadscan.warehouse import Warehouse

pytestmark = pytest.mark.slow
#: Exact positions, so that what differs is the video's doing.
ROAD = SimulationConfig(
    seed=9, length_km=0.4, nights=1, conditions=("day",), frame_spacing_m=10.0, gps_bias_sigma_m=0.0,
    gps_noise_sigma_m=0.0, yaw_bias_sigma_deg=0.0, yaw_noise_sigma_deg=0.0, mount_pitch_deg=1.0,
)  # fmt: skip


def film(drive: Drive, path: Path) -> None:
    """A drive's images as a video with a GoPro's positions, ten a second on the straight between two of the drive's."""
    rows = drive.frames.to_pylist()
    start = rows[0]["captured_at"]
    at_s = np.array([(row["captured_at"] - start).total_seconds() for row in rows])
    images = [cv2.imread(f"{drive.image_root}/{row['image_uri']}") for row in rows]
    samples = []
    for second in range(int(at_s[-1]) + 2):
        times = second + np.arange(10) / 10
        lon, lat = (np.interp(times, at_s, [row[name] for row in rows]) for name in ("lon", "lat"))
        points = list(zip(lon.tolist(), lat.tolist(), strict=True))
        samples.append((1000 * second, 1000, gpmf(points, start + timedelta(seconds=second))))
    record(path, [round(1000 * at) for at in at_s], draw=lambda number: images[number], samples=samples, b_frames=0)


def assets_of(warehouse: Path) -> list[dict[str, object]]:
    house = Warehouse(str(warehouse))
    rows: list[dict[str, object]] = house.read(house.current(), "assets").to_pylist()
    return rows


def test_a_video_gives_the_register_that_its_pictures_give(tmp_path: Path) -> None:
    simulate(str(tmp_path / "road"), ROAD)
    (photographs,) = (tmp_path / "road/drives").iterdir()
    drive = read_drive(str(photographs))
    film(drive, tmp_path / "sd/GX010001.MP4")
    camera = f"[{{focal_px: {ROAD.focal_px}, mount_height_m: {ROAD.mount_height_m}, mount_pitch_deg: 1.0}}]"
    done = roadscan("ingest", "video", str(tmp_path / "sd"), "--out", str(tmp_path / "d1"), *sets(cameras=camera))
    assert done.returncode == 0, done.stderr
    filmed = read_drive(str(tmp_path / "d1"))
    assert filmed.frames.num_rows == drive.frames.num_rows
    for name, folder in (("photographs", photographs), ("video", tmp_path / "d1")):
        warehouse = tmp_path / name
        done = roadscan(
            "scan", *sets(drives=f"[{folder}]", model="demo", warehouse=warehouse, backend="torch", actors=1)
        )
        assert done.returncode == 0, done.stderr
        done = roadscan("inventory", *sets(warehouse=warehouse))
        assert done.returncode == 0, done.stderr
    by_photographs, by_video = (
        [asset for asset in assets_of(tmp_path / name) if asset["length_m"] is None]
        for name in ("photographs", "video")
    )
    assert len(by_photographs) >= 5
    # Compression and times in milliseconds (20 mm at 20 m/s) are all that differs.
    near = [
        min(WGS84.inv(one["lon"], one["lat"], other["lon"], other["lat"])[2] for other in by_video)
        for one in by_photographs
    ]
    assert np.median(near) < 0.5
    assert sum(away_m < 1.5 for away_m in near) >= 0.8 * len(near)
    assert abs(len(by_video) - len(by_photographs)) <= 0.2 * len(by_photographs)
    evidence = [str(asset["evidence_uri"]) for asset in by_video]
    assert all(uri.startswith(f"{tmp_path}/sd/GX010001.MP4#t=") for uri in evidence)
    images = Images()
    assert {images.read(uri).shape for uri in evidence} == {(1080, 1920, 3)}
    assert not images.unread
