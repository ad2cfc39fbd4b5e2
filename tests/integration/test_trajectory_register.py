"""From a post-processed trajectory and a folder of images to the register, as a survey van brings them."""

from __future__ import annotations

from datetime import UTC
from pathlib import Path

import numpy as np
import pytest
from support.commands import roadscan, sets
from support.exact_road import CAMERA, EXACT_ROAD, away_m, points_of, register
from support.trajectories import sbet, smrmsg

from roadscan.simulate import simulate
from roadscan.survey.dates import gps_week_s
from roadscan.survey.drive import Drive, read_drive

pytestmark = pytest.mark.slow


def drive_on_card(drive: Drive, folder: Path) -> str:
    """A drive's images under the names of their times, an SBET of 200 records a second, and its SMRMSG -> the date."""
    rows = drive.frames.to_pylist()
    (folder / "images").mkdir(parents=True)
    for row in rows:
        name = row["captured_at"].astimezone(UTC).strftime("%Y%m%dT%H%M%S.%f.jpg")
        (folder / "images" / name).write_bytes(Path(f"{drive.image_root}/{row['image_uri']}").read_bytes())
    day = rows[0]["captured_at"].astimezone(UTC).date()
    at_s = np.array([row["captured_at"].timestamp() for row in rows]) - gps_week_s(day)
    times = np.arange(at_s[0] - 1, at_s[-1] + 1, 0.005)
    lon, lat = (np.interp(times, at_s, [row[name] for row in rows]) for name in ("lon", "lat"))
    heading = np.interp(times, at_s, np.degrees(np.unwrap(np.radians([row["heading_deg"] for row in rows]))))
    (folder / "sbet_1.out").write_bytes(sbet(times, lon, lat, heading, wander_deg=20))
    (folder / "smrmsg_1.out").write_bytes(smrmsg(np.arange(times[0], times[-1] + 1), 0.02, 0.02, 1.5))
    return str(day)


def test_a_trajectory_gives_the_register_that_exact_frames_give(tmp_path: Path) -> None:
    simulate(str(tmp_path / "road"), EXACT_ROAD)
    (simulated,) = (tmp_path / "road/drives").iterdir()
    drive = read_drive(str(simulated))
    day = drive_on_card(drive, tmp_path / "card")
    done = roadscan(
        "ingest", "track", str(tmp_path / "card/images"), "--out", str(tmp_path / "d1"),
        *sets(track=tmp_path / "card/sbet_1.out", log_date=day, clock_offset_s=0, utc_offset_h=0,
              time_pattern="%Y%m%dT%H%M%S.%f", cameras=CAMERA),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    brought = read_drive(str(tmp_path / "d1")).frames
    assert brought["pos_sigma_m"].to_pylist() == pytest.approx([0.02 * 2**0.5] * drive.frames.num_rows)
    assert brought["heading_sigma_deg"].to_pylist() == pytest.approx([0.025] * drive.frames.num_rows)
    by_frames = points_of(register(simulated, tmp_path / "frames"))
    by_trajectory = points_of(register(tmp_path / "d1", tmp_path / "trajectory"))
    assert len(by_frames) >= 5
    near = away_m(by_frames, by_trajectory)
    # Only how sure it is differs, by which bearings weigh more than ranges.
    assert np.median(near) < 0.5
    assert abs(len(by_trajectory) - len(by_frames)) <= 0.2 * len(by_frames)
