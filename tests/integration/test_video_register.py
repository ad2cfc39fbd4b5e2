"""From a recording to the register: simulated roads as a GoPro would have filmed them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.commands import roadscan, sets
from support.exact_road import CAMERA, EXACT_ROAD, away_m, points_of, register
from support.videos import gpmf, record

from roadscan.report.samples import Images
from roadscan.simulate import simulate
from roadscan.survey.drive import Drive, read_drive

pytestmark = pytest.mark.slow


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


def test_a_video_gives_the_register_that_its_pictures_give(tmp_path: Path) -> None:
    simulate(str(tmp_path / "road"), EXACT_ROAD)
    (photographs,) = (tmp_path / "road/drives").iterdir()
    drive = read_drive(str(photographs))
    film(drive, tmp_path / "sd/GX010001.MP4")
    done = roadscan("ingest", "video", str(tmp_path / "sd"), "--out", str(tmp_path / "d1"), *sets(cameras=CAMERA))
    assert done.returncode == 0, done.stderr
    filmed = read_drive(str(tmp_path / "d1"))
    assert filmed.frames.num_rows == drive.frames.num_rows
    by_photographs = points_of(register(photographs, tmp_path / "photographs"))
    by_video = points_of(register(tmp_path / "d1", tmp_path / "video"))
    assert len(by_photographs) >= 5
    # Compression and times in milliseconds (20 mm at 20 m/s) are all that differs.
    near = away_m(by_photographs, by_video)
    assert np.median(near) < 0.5
    assert sum(one < 1.5 for one in near) >= 0.8 * len(near)
    assert abs(len(by_video) - len(by_photographs)) <= 0.2 * len(by_photographs)
    evidence = [str(asset["evidence_uri"]) for asset in by_video]
    assert all(uri.startswith(f"{tmp_path}/sd/GX010001.MP4#t=") for uri in evidence)
    images = Images()
    assert {images.read(uri).shape for uri in evidence} == {(1080, 1920, 3)}
    assert not images.unread
