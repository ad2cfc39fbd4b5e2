"""The other vehicles: where each of them is at the moment of a frame.

Every lane is a conveyor of vehicles at one speed, so that they never overlap; the survey vehicle's own lane has
vehicles that fall back and draw away ahead of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from roadscan.simulate.world.mesh import Mesh, join
from roadscan.simulate.world.road import FAST_LANE_M, OUTER_LINE_M, SLOW_LANE_M, Road
from roadscan.simulate.world.vehicles import MOTORCYCLES, fleet

#: Length after which a lane's vehicles repeat.
LOOP_M = 2000.0
#: The survey vehicle keeps this far behind the bumper ahead.
MIN_GAP_M = 9.0
#: How far ahead vehicles are drawn.
RANGE_M = 380.0


@dataclass(frozen=True)
class Lane:
    """A conveyor.

    Attributes:
        d: offset of its middle.
        speed_mps: along the road; negative for the opposite carriageway.
        at_s: where the rear bumpers are at time 0, in 0..LOOP_M.
        kinds: index into `fleet()` of each.
    """

    d: float
    speed_mps: float
    at_s: tuple[float, ...]
    kinds: tuple[int, ...]


@dataclass(frozen=True)
class Traffic:
    """All conveyors of a drive, and the vehicles ahead in the own lane."""

    lanes: tuple[Lane, ...]
    ahead: tuple[tuple[float, float, int], ...]  #: (mean gap in metres, phase in radians, kind)


def _lane(rng: np.random.Generator, d: float, speed: float, per_km: float, motorcycles: bool) -> Lane:
    count = int(rng.poisson(per_km * LOOP_M / 1000.0))
    slots = rng.permutation(int(LOOP_M / 25.0))[:count]
    total = len(fleet())
    pool = range(total - MOTORCYCLES, total) if motorcycles else range(total - MOTORCYCLES)
    kinds = rng.choice(np.array(pool), size=len(slots))
    at = slots * 25.0 + rng.uniform(0, 10, len(slots))
    return Lane(d, speed, tuple(map(float, at)), tuple(map(int, kinds)))


def build_traffic(seed: int, night: int, density: float) -> Traffic:
    """The traffic of one drive; density 1 is a busy provincial highway, 0 an empty one."""
    rng = np.random.default_rng((101, seed, night))
    lanes = [
        _lane(rng, -FAST_LANE_M, float(rng.uniform(23, 27)), 7 * density, False),
        _lane(rng, -SLOW_LANE_M, float(rng.uniform(14, 17)), 4 * density, False),
        _lane(rng, -(OUTER_LINE_M + 1.1), float(rng.uniform(9, 12)), 2.5 * density, True),
        _lane(rng, FAST_LANE_M, -float(rng.uniform(23, 27)), 7 * density, False),
        _lane(rng, SLOW_LANE_M, -float(rng.uniform(17, 21)), 9 * density, False),
        _lane(rng, OUTER_LINE_M + 1.1, -10.0, 2 * density, True),
    ]
    kinds = rng.integers(0, len(fleet()) - MOTORCYCLES, 2)
    ahead = [(float(rng.uniform(30, 60)), float(rng.uniform(0, 6.3)), int(kinds[0]))]
    ahead.append((float(rng.uniform(100, 140)), float(rng.uniform(0, 6.3)), int(kinds[1])))
    return Traffic(tuple(lanes), tuple(ahead) if density > 0 else ())


@dataclass(frozen=True)
class Spot:
    """Where a vehicle is: chainage of its rear bumper, offset, index into `fleet()`, and whether it comes nearer."""

    s: float
    d: float
    kind: int
    oncoming: bool


def spots_near(traffic: Traffic, time_s: float, camera_s: float, camera_d: float) -> list[Spot]:
    """The places of all vehicles within RANGE_M ahead.

    Args:
        traffic: of the drive.
        time_s: since the drive began.
        camera_s: chainage of the survey vehicle.
        camera_d: its offset; the conveyor of its lane is left out.
    """
    spots: list[Spot] = []
    for lane in traffic.lanes:
        if abs(lane.d - camera_d) < 2.4:
            continue
        back = -14.0 if lane.speed_mps > 0 else -8.0
        for at, kind in zip(lane.at_s, lane.kinds, strict=True):
            ahead = (at + lane.speed_mps * time_s - camera_s - back) % LOOP_M + back
            if ahead < RANGE_M:
                spots.append(Spot(camera_s + ahead, lane.d, kind, lane.speed_mps < 0))
    for mean, phase, kind in traffic.ahead:
        gap = mean + 0.75 * mean * np.sin(time_s / 26.0 + phase)
        spots.append(Spot(camera_s + max(gap, MIN_GAP_M), camera_d, kind, False))
    # In the own lane the nearer vehicle wins when two gaps come together.
    own = sorted((spot for spot in spots if spot.d == camera_d), key=lambda spot: spot.s)
    if len(own) == 2 and own[1].s - own[0].s < 20.0:
        spots.remove(own[1])
    return spots


def vehicles_at(spots: Sequence[Spot], road: Road) -> Mesh | None:
    """The meshes of vehicles, in the world; None of none."""
    meshes = []
    for spot in spots:
        origin, heading = road.point(spot.s, spot.d), float(road.heading(spot.s))
        grade = float(np.tan(road.pitch(spot.s)))
        turn, slope = (np.pi, -grade) if spot.oncoming else (0.0, grade)
        meshes.append(fleet()[spot.kind].mesh.placed(origin, heading + turn, slope))
    return join(meshes) if meshes else None
