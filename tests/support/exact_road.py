"""A short simulated road with exact poses, and the register that the installed command makes of a drive of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from roadscan.simulate import SimulationConfig
from roadscan.survey.geodesy import WGS84
from roadscan.warehouse import Warehouse
from support.commands import roadscan, sets

EXACT_ROAD = SimulationConfig(
    seed=9, length_km=0.4, nights=1, conditions=("day",), frame_spacing_m=10.0, gps_bias_sigma_m=0.0,
    gps_noise_sigma_m=0.0, yaw_bias_sigma_deg=0.0, yaw_noise_sigma_deg=0.0, mount_pitch_deg=1.0,
)  # fmt: skip
#: As an import is told of it.
CAMERA = f"[{{focal_px: {EXACT_ROAD.focal_px}, mount_height_m: {EXACT_ROAD.mount_height_m}, mount_pitch_deg: 1.0}}]"


def register(drive: Path, warehouse: Path) -> list[dict[str, Any]]:
    """Scan a drive with the demo model, and build its register; the assets."""
    done = roadscan("scan", *sets(drives=f"[{drive}]", model="demo", warehouse=warehouse, backend="torch", actors=1))
    assert done.returncode == 0, done.stderr
    done = roadscan("inventory", *sets(warehouse=warehouse))
    assert done.returncode == 0, done.stderr
    house = Warehouse(str(warehouse))
    rows: list[dict[str, Any]] = house.read(house.current(), "assets").to_pylist()
    return rows


def points_of(assets: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [asset for asset in assets if asset["length_m"] is None]


def away_m(ones: Sequence[dict[str, Any]], others: Sequence[dict[str, Any]]) -> list[float]:
    """How far each asset is from the nearest of the others."""
    return [min(WGS84.inv(a["lon"], a["lat"], b["lon"], b["lat"])[2] for b in others) for a in ones]
