"""Rendering many frames, in one process or several, with the same result.

A frame is a pure function of (config, night, frame index). Workers get those three and send back bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from multiprocessing import get_context

import cv2
import numpy as np
from numpy.typing import NDArray

from roadscan.survey.simulate.assets import TextureTable
from roadscan.survey.simulate.conditions import Atmosphere, atmosphere_at, atmospheres
from roadscan.survey.simulate.drives import Trajectory, drive, view_at
from roadscan.survey.simulate.labels import Label
from roadscan.survey.simulate.render import Frame, render
from roadscan.survey.simulate.road import Road, build_road
from roadscan.survey.simulate.scene import Scene, build_scene
from roadscan.survey.simulate.scenery import build_scenery
from roadscan.survey.simulate.sensor import encode_jpeg
from roadscan.survey.simulate.settings import SimulationConfig
from roadscan.survey.simulate.surface import STYLES
from roadscan.survey.simulate.traffic import Traffic, build_traffic, vehicles_near
from roadscan.survey.simulate.world import Asset, place_assets, realise, with_changes


@dataclass(frozen=True)
class Night:
    """Everything about one drive that frames share."""

    scene: Scene
    trajectory: Trajectory
    stretches: list[Atmosphere]
    traffic: Traffic


@dataclass(frozen=True)
class Shot:
    """A finished frame: JPEG bytes, labels, condition, and polygons of the masks when they were asked for."""

    jpeg: bytes
    labels: list[Label]
    condition: str
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


def render_frame(config: SimulationConfig, night: int, frame: int) -> tuple[Frame, str]:
    """One frame of a drive as pixels and labels, and the name of its condition."""
    here = make_night(config, night)
    s, d = float(here.trajectory.s[frame]), float(here.trajectory.d[frame])
    atmosphere = atmosphere_at(here.stretches, s)
    vehicles = vehicles_near(here.traffic, here.scene.road, float(here.trajectory.time_s[frame]), s, d)
    rng = np.random.default_rng((131, config.seed, night, frame))
    view = view_at(config, here.scene.road, here.trajectory, frame)
    return render(here.scene, view, s, atmosphere, rng, vehicles), atmosphere.condition.name


def shoot(job: Job) -> Shot:
    """Render and encode one frame."""
    cv2.setNumThreads(1)
    frame, condition = render_frame(job.config, job.night, job.frame)
    polygons = [outline(mask, x, y) for mask, x, y in frame.masks] if job.with_masks else []
    return Shot(encode_jpeg(frame.image, job.config.jpeg_quality), frame.labels, condition, polygons)


def outline(mask: NDArray[np.bool_], x0: int, y0: int) -> list[tuple[float, float]]:
    """One polygon around all pixels of a mask, in image pixels; separate pieces are joined by lines of no width.

    Args:
        mask: bool, shape (h, w).
        x0: column of its corner in the image.
        y0: row of its corner.
    """
    found, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    pieces = [np.asarray(c[:, 0, :]) for c in found if len(c) >= 3 and cv2.contourArea(c) >= 8.0]
    if not pieces:
        pieces = [np.asarray(c[:, 0, :]) for c in found if len(c) >= 3][:1]
    if not pieces:
        return []
    pieces.sort(key=lambda piece: -float(cv2.contourArea(piece)))
    whole = pieces[0]
    for piece in pieces[1:]:
        gap = ((whole[:, None, :] - piece[None]) ** 2).sum(axis=2)
        a, b = np.unravel_index(int(gap.argmin()), gap.shape)
        turned = np.roll(piece, -int(b), axis=0)
        whole = np.concatenate([whole[: a + 1], turned, turned[:1], whole[a:]])
    return [(float(x) + x0 + 0.5, float(y) + y0 + 0.5) for x, y in whole]


def shoot_all(jobs: Sequence[Job], workers: int) -> Iterator[Shot]:
    """Render jobs in order; `workers` processes share them in runs of neighbouring frames.

    Memory stays bounded: at most a few runs are rendered ahead of what the caller has taken.
    """
    if workers == 1 or len(jobs) < 8:
        yield from map(shoot, jobs)
        return
    runs = [jobs[i : i + 8] for i in range(0, len(jobs), 8)]
    # spawn, not fork: the caller may hold threads (Arrow, Ray) that do not survive a fork.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        waiting = iter(runs)
        ahead = [pool.submit(_shoot_run, run) for run in islice(waiting, 2 * workers)]
        try:
            while ahead:
                shots = ahead.pop(0).result()
                ahead += [pool.submit(_shoot_run, run) for run in islice(waiting, 1)]
                yield from shots
        finally:
            for future in ahead:
                future.cancel()


def _shoot_run(jobs: Sequence[Job]) -> list[Shot]:
    return [shoot(job) for job in jobs]
