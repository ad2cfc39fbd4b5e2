"""Small worlds for the simulator's tests. Seeds are multiples of 5, so that all share one ground texture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from roadscan.simulate.config import SimulationConfig
from roadscan.simulate.render.frame import Frame, render
from roadscan.simulate.render.projection import View
from roadscan.simulate.world.asset_meshes import TextureTable
from roadscan.simulate.world.assets import Asset, Placed, realise
from roadscan.simulate.world.conditions import CONDITIONS, Atmosphere
from roadscan.simulate.world.mesh import Mesh, MeshBuilder
from roadscan.simulate.world.road import SLOW_LANE_M, Road, build_road
from roadscan.simulate.world.scene import Scene, build_scene

SMALL = SimulationConfig(
    seed=5, length_km=0.3, nights=1, width_px=640, height_px=360, conditions=("day",), traffic=0.5, workers=1
)


@pytest.fixture(scope="session")
def flat_road() -> Road:
    """A straight, level road of 500 m."""
    return build_road(5, 500.0, hilliness=0.0, bendiness=0.0)


class Stage:
    """A straight road with chosen assets, filmed on a clear day from chainage 50 m."""

    def __init__(self, road: Road, *assets: Asset) -> None:
        self.road = road
        table = TextureTable()
        self.placed: list[Placed] = [realise(asset, road, table, 1) for asset in assets]
        self.scene: Scene = build_scene(road, 0, self.placed, [], table.textures)
        self.camera_s = 50.0
        self.view = self.view_of(1920, 1080)
        self.atmosphere = Atmosphere(CONDITIONS["day"], sun_azimuth_rad=float(road.heading(0.0)) + 2.5)

    def view_of(self, width: int, height: int) -> View:
        position = self.road.point(self.camera_s, -SLOW_LANE_M, 1.8)
        return View(width, height, 0.71 * width, position, float(self.road.heading(50.0)), 0.02)

    def film(self, vehicles: Mesh | None = None, view: View | None = None) -> Frame:
        rng = np.random.default_rng(0)
        return render(self.scene, view or self.view, self.camera_s, self.atmosphere, rng, vehicles)


def asset(name: str, s: float, **changes: object) -> Asset:
    """An asset on the left at chainage s."""
    return replace(Asset(f"{name}-{s:.0f}", name, s, 0.0, "left", seed=7), **changes)  # type: ignore[arg-type]


def wall(road: Road, s: float, d0: float, d1: float, height_m: float) -> Mesh:
    """A grey wall across offsets d0..d1 at chainage s."""
    builder = MeshBuilder()
    builder.quad([(d0, 0, height_m), (d1, 0, height_m), (d1, 0, 0), (d0, 0, 0)], (90, 90, 90))
    return builder.build().placed(road.point(s, 0.0), float(road.heading(s)))
