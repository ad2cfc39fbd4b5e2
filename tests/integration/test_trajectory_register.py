"""From a post-processed trajectory and a folder of images to the register, as a survey van brings them."""

from __future__ import annotations

from datetime import UTC
from pathlib import Path

import numpy as np
import pytest
from support.commands import roadscan, sets
from support.trajectories import sbet, smrmsg

from roadscan.simulate import SimulationConfig, simulate
from roadscan.survey.dates import gps_week_s
from roadscan.survey.drive import Drive, read_drive
from roadscan.survey.geodesy import WGS84
from roadscan.warehouse import Warehouse

pytestmark = pytest.mark.slow
ROAD = SimulationConfig(
    seed=9, length_km=0.4, nights=1, conditions=("day",), frame_spacing_m=10.0, gps_bias_sigma_m=0.0,
    gps_noise_sigma_m=0.0, yaw_bias_sigma_deg=0.0, yaw_noise_sigma_deg=0.0, mount_pitch_deg=1.0,
)  # fmt: skip


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


def points_of(warehouse: Path) -> list[dict[str, object]]:
    house = Warehouse(str(warehouse))
    rows = house.read(house.current(), "assets").to_pylist()
    return [row for row in rows if row["length_m"] is None]


def test_a_trajectory_gives_the_register_that_exact_frames_give(tmp_path: Path) -> None:
    simulate(str(tmp_path / "road"), ROAD)
    (simulated,) = (tmp_path / "road/drives").iterdir()
    drive = read_drive(str(simulated))
    day = drive_on_card(drive, tmp_path / "card")
    camera = f"[{{focal_px: {ROAD.focal_px}, mount_height_m: {ROAD.mount_height_m}, mount_pitch_deg: 1.0}}]"
    done = roadscan(
        "ingest", "track", str(tmp_path / "card/images"), "--out", str(tmp_path / "d1"),
        *sets(track=tmp_path / "card/sbet_1.out", log_date=day, clock_offset_s=0, utc_offset_h=0,
              time_pattern="%Y%m%dT%H%M%S.%f", cameras=camera),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    brought = read_drive(str(tmp_path / "d1")).frames
    assert brought["pos_sigma_m"].to_pylist() == pytest.approx([0.02 * 2**0.5] * drive.frames.num_rows)
    assert brought["heading_sigma_deg"].to_pylist() == pytest.approx([0.025] * drive.frames.num_rows)
    for name, folder in (("frames", simulated), ("trajectory", tmp_path / "d1")):
        warehouse = tmp_path / name
        done = roadscan(
            "scan", *sets(drives=f"[{folder}]", model="demo", warehouse=warehouse, backend="torch", actors=1)
        )
        assert done.returncode == 0, done.stderr
        done = roadscan("inventory", *sets(warehouse=warehouse))
        assert done.returncode == 0, done.stderr
    by_frames, by_trajectory = (points_of(tmp_path / name) for name in ("frames", "trajectory"))
    assert len(by_frames) >= 5
    near = [
        min(WGS84.inv(one["lon"], one["lat"], other["lon"], other["lat"])[2] for other in by_trajectory)
        for one in by_frames
    ]
    # Only how sure it is differs, by which bearings weigh more than ranges.
    assert np.median(near) < 0.5
    assert abs(len(by_trajectory) - len(by_frames)) <= 0.2 * len(by_frames)
