"""Rendering many frames, in one process or several, with the same result.

A frame is a pure function of (config, night, frame index). Workers get those three and send back bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from roadscan.parallel import in_processes
from roadscan.simulate.config import SimulationConfig
from roadscan.simulate.labels.outline import outline
from roadscan.simulate.labels.policy import Label
from roadscan.simulate.render.frame import Frame, render
from roadscan.simulate.render.projection import View
from roadscan.simulate.render.sensor import STILL, Shake, encode_jpeg
from roadscan.simulate.render.surface import STYLES
from roadscan.simulate.world.asset_meshes import TextureTable
from roadscan.simulate.world.assets import Asset, place_assets, realise, with_changes
from roadscan.simulate.world.conditions import Atmosphere, Condition, atmosphere_at, atmospheres
from roadscan.simulate.world.drive import Trajectory, drive
from roadscan.simulate.world.road import Road, build_road
from roadscan.simulate.world.scene import Scene, build_scene
from roadscan.simulate.world.scenery import build_scenery
from roadscan.simulate.world.spray import puffs
from roadscan.simulate.world.traffic import Traffic, build_traffic, spots_near, vehicles_at

#: Length of the motion of a bump, in pixels of a 1920 px wide image: 3 to 9 px of a detector's 640.
BLUR_PX = (9.0, 27.0)
#: How much of something makes a frame one of that condition, as of `Frame.drawn`.
LEAST_DRAWN = {"blur": BLUR_PX[0], "spray": 0.02, "traffic": 0.03}


@dataclass(frozen=True)
class Night:
    """Everything about one drive that frames share."""

    scene: Scene
    trajectory: Trajectory
    stretches: list[Atmosphere]
    traffic: Traffic


@dataclass(frozen=True)
class Shot:
    """A finished frame: JPEG bytes, labels, condition, and polygons of the masks when they were asked for.

    `condition` is the light and weather that it was taken in, `conditions` all that the picture has.
    """

    jpeg: bytes
    labels: list[Label]
    condition: str
    conditions: tuple[str, ...]
    polygons: list[list[tuple[float, float]]]


@dataclass(frozen=True)
class Job:
    """One frame to render; `with_masks` adds the outlines of the visible parts."""

    config: SimulationConfig
    night: int
    frame: int
    with_masks: bool = False


def make_road(config: SimulationConfig) -> Road:
    """The road of a simulation."""
    return build_road(config.seed, config.length_km * 1000.0, config.hilliness, config.bendiness)


def make_assets(config: SimulationConfig, road: Road) -> list[Asset]:
    """All assets of a simulation, with the nights on which they stand."""
    return with_changes(place_assets(road, config.seed, config.density), config.seed, config.nights)


@lru_cache(maxsize=2)
def make_night(config: SimulationConfig, night: int) -> Night:
    """The scene, the drive, the weather and the traffic of one night."""
    road = make_road(config)
    table = TextureTable()
    placed = [realise(a, road, table, night) for a in make_assets(config, road) if a.present(night)]
    scenery = build_scenery(road, config.seed, table)
    scene = build_scene(road, config.seed % STYLES, placed, scenery, table.textures)
    stretches = atmospheres(config.seed, night, road, config.conditions)
    return Night(scene, drive(config, road, night), stretches, build_traffic(config.seed, night, config.traffic))


def render_frame(config: SimulationConfig, night: int, frame: int) -> tuple[Frame, Condition]:
    """One frame of a drive as pixels and labels, and the light and weather that it was taken in."""
    here = make_night(config, night)
    s, d = float(here.trajectory.s[frame]), float(here.trajectory.d[frame])
    atmosphere = atmosphere_at(here.stretches, s)
    spots = spots_near(here.traffic, float(here.trajectory.time_s[frame]), s, d)
    road, wet = here.scene.road, atmosphere.condition.wet
    vehicles, mist = vehicles_at(spots, road), puffs(spots, road, wet * config.spray)
    rng = np.random.default_rng((131, config.seed, night, frame))
    view = view_at(config, road, here.trajectory, frame)
    shake = _shake(config, night, frame)
    return render(here.scene, view, s, atmosphere, rng, vehicles, mist, shake), atmosphere.condition


def conditions_of(frame: Frame, condition: Condition) -> tuple[str, ...]:
    """All conditions of a frame: those of its light and weather, and of what there is enough drawn."""
    return (*condition.names, *(name for name, least in LEAST_DRAWN.items() if frame.drawn[name] >= least))


def _shake(config: SimulationConfig, night: int, frame: int) -> Shake:
    """How a bump moved the camera: mostly up and down. Its chance is its own, so that all else is as without it."""
    rng = np.random.default_rng((137, config.seed, night, frame))
    bump, length, angle = rng.random(), rng.uniform(*BLUR_PX), np.pi / 2 + rng.normal(0, 0.5)
    return Shake(length, angle) if bump < config.blur else STILL


def view_at(config: SimulationConfig, road: Road, trajectory: Trajectory, index: int) -> View:
    """The true camera of one frame."""
    s, d = float(trajectory.s[index]), float(trajectory.d[index])
    return View(
        config.width_px,
        config.height_px,
        config.focal_px,
        road.point(s, d, config.mount_height_m),
        float(np.radians(trajectory.heading_deg[index] + config.mount_yaw_deg)),
        float(np.radians(trajectory.pitch_deg[index] + config.mount_pitch_deg)),
    )


def shoot(job: Job) -> Shot:
    """Render and encode one frame."""
    cv2.setNumThreads(1)
    frame, condition = render_frame(job.config, job.night, job.frame)
    conditions = conditions_of(frame, condition)
    polygons = [outline(mask, x, y) for mask, x, y in frame.masks] if job.with_masks else []
    jpeg = encode_jpeg(frame.image, job.config.jpeg_quality)
    return Shot(jpeg, frame.labels, condition.name, conditions, polygons)


def shoot_all(jobs: Sequence[Job], workers: int) -> Iterator[Shot]:
    """Render jobs in order; `workers` processes share them in runs of neighbouring frames.

    Memory stays bounded: at most a few runs are rendered ahead of what the caller has taken.
    """
    if workers == 1 or len(jobs) < 8:
        yield from map(shoot, jobs)
        return
    runs = [jobs[i : i + 8] for i in range(0, len(jobs), 8)]
    for shots in in_processes(_shoot_run, runs, workers):
        yield from shots


def _shoot_run(jobs: Sequence[Job]) -> list[Shot]:
    return [shoot(job) for job in jobs]
