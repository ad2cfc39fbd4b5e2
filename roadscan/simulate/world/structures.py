"""The two classes that are as large as the road itself: footbridges across it and concrete barriers along it."""

from __future__ import annotations

import numpy as np

from roadscan.arrays import Floats
from roadscan.simulate.world.asset_meshes import CONCRETE, Model
from roadscan.simulate.world.conditions import Bgr
from roadscan.simulate.world.mesh import Mesh, MeshBuilder
from roadscan.simulate.world.road import CARRIAGEWAY_AXIS_M, Road

#: Length of one precast barrier panel, in metres: the unit of painting and of the label's 4-45 m window.
PANEL_M = 3.0
BARRIER_HEIGHT_M = 0.85
#: Half-width of a New Jersey barrier at heights 0, 0.08, 0.33 and 0.85 m (foot, kerb, slope, steep face).
PROFILE = ((0.0, 0.30), (0.08, 0.30), (0.33, 0.17), (BARRIER_HEIGHT_M, 0.09))


def _railing(builder: MeshBuilder, x0: float, x1: float, y: float, z: float, bgr: Bgr) -> None:
    for height in (0.08, 0.55, 1.1):
        builder.box((x0, y - 0.03, z + height - 0.03), (x1, y + 0.03, z + height + 0.03), bgr)
    for x in np.arange(x0, x1 - 0.05, 0.6):
        builder.quad([(x, y, z + 1.1), (x + 0.07, y, z + 1.1), (x + 0.07, y, z), (x, y, z)], bgr)


def _stairs(builder: MeshBuilder, x: float, deck: float, bgr: Bgr, rail: Bgr) -> None:
    """A flight along the road, going down towards oncoming traffic, with railings."""
    run, half = 9.5, 0.9
    builder.new_part()
    builder.box((x - half, -1.0, deck - 0.35), (x + half, 1.0, deck), bgr)
    for y in (-0.85, 0.85):
        builder.box((x - half + 0.1, y - 0.15, 0), (x - half + 0.4, y + 0.15, deck - 0.35), bgr)
        builder.box((x + half - 0.4, y - 0.15, 0), (x + half - 0.1, y + 0.15, deck - 0.35), bgr)
    for step in range(3):
        builder.new_part()
        y0, y1 = -1.0 - run * step / 3, -1.0 - run * (step + 1) / 3
        z0, z1 = deck * (1 - step / 3), deck * (1 - (step + 1) / 3)
        low = [
            (x - half, y0, max(z0 - 0.5, 0)),
            (x + half, y0, max(z0 - 0.5, 0)),
            (x + half, y1, max(z1 - 0.5, 0)),
            (x - half, y1, max(z1 - 0.5, 0)),
        ]
        high = [(x - half, y0, z0), (x + half, y0, z0), (x + half, y1, z1), (x - half, y1, z1)]
        builder.solid(low, high, bgr, (140, 146, 150))
        for side in (x - half, x + half):
            for lift in (0.5, 1.0):
                builder.beam((side, y0, z0 + lift), (side, y1, z1 + lift), 0.04, rail)
            for t in (0.0, 0.33, 0.67):
                foot = (side, y0 + (y1 - y0) * t, z0 + (z1 - z0) * t)
                builder.beam(foot, (foot[0], foot[1], foot[2] + 1.0), 0.03, rail)


def pedestrian_bridge(rng: np.random.Generator) -> Model:
    """Footbridge across both carriageways; frame: x is the offset d, so x = 0 is the median's middle."""
    deck = float(rng.uniform(5.7, 6.1))
    look = int(rng.integers(3))
    body: Bgr = (CONCRETE, (176, 170, 150), (150, 178, 196))[look]
    rail: Bgr = ((150, 90, 40), (60, 150, 200), (196, 196, 190))[int(rng.integers(3))]
    half = float(rng.uniform(15.2, 16.4))
    builder = MeshBuilder()
    top = deck + 1.15
    for pier in (-half + 0.6, 0.0, half - 0.6):
        builder.new_part()
        builder.box((pier - 0.45, -0.45, 0), (pier + 0.45, 0.45, deck - 0.85), body)
        builder.box((pier - 0.9, -1.0, deck - 1.25), (pier + 0.9, 1.0, deck - 0.8), body)
        if pier == 0.0:
            for band in range(3):
                stripe: Bgr = (30, 190, 240) if band % 2 == 0 else (34, 34, 34)
                builder.box((pier - 0.47, -0.47, 0.35 * band), (pier + 0.47, 0.47, 0.35 * (band + 1)), stripe)
    roofed = look != 2
    for index, x0 in enumerate(np.arange(-half, half - 0.1, half / 4)):
        x1 = x0 + half / 4
        builder.new_part()
        builder.box((x0, -0.75, deck - 0.8), (x1, 0.75, deck - 0.25), body)
        builder.box((x0, -1.05, deck - 0.25), (x1, 1.05, deck), (186, 190, 192))
        for y in (1.0, -1.0):
            _railing(builder, x0, x1, y, deck, rail)
        if roofed:
            top = deck + 2.55
            for y in (-1.0, 1.0):
                builder.box((x0 - 0.05, y - 0.05, deck), (x0 + 0.05, y + 0.05, top - 0.2), rail)
            ridge: Bgr = (60, 110, 60) if look else (58, 62, 170)
            eaves = [(x0, -1.35, top - 0.28), (x1, -1.35, top - 0.28), (x1, 1.35, top - 0.28), (x0, 1.35, top - 0.28)]
            crown = [(x0, -0.3, top), (x1, -0.3, top), (x1, 0.3, top), (x0, 0.3, top)]
            builder.solid(eaves, crown, ridge)
        elif index in (3, 4):
            builder.box((x0, -1.12, deck - 0.3), (x1, -1.06, deck + 0.1), (40, 180, 230))
    for x in (-half - 0.5, half + 0.5):
        _stairs(builder, float(x), deck, body, rail)
    return Model(builder.build(), anchor_x_m=-CARRIAGEWAY_AXIS_M, height_m=top)


def barrier(road: Road, start_s: float, end_s: float, d: float, seed: int, damaged: bool) -> Mesh:
    """A run of New Jersey barrier in the world, one part a panel, from chainage `start_s` to `end_s` at offset `d`.

    A damaged run has panels knocked out of line and scorched in its middle.
    """
    rng = np.random.default_rng((71, seed))
    count = max(1, round((end_s - start_s) / PANEL_M))
    edges = np.linspace(start_s, end_s, count + 1)
    look, facing = int(rng.integers(3)), 1.0 if d < 0 else -1.0
    base = np.array([(172, 178, 182), (186, 190, 190), (150, 158, 166)][look], np.float64)
    builder = MeshBuilder()
    hit = range(count // 2 - 1, count // 2 + 2) if damaged else range(0)
    for index in range(count):
        builder.new_part()
        tone = base * rng.uniform(0.90, 1.06)
        shift = rng.uniform(-0.25, 0.45, 2) * facing if index in hit else np.zeros(2)
        tone = tone * 0.6 if index in hit else tone
        ends = [(edges[index], d - shift[0]), (edges[index + 1], d - shift[1])]
        caps = index in hit or index in (0, count - 1)
        _panel(builder, road, ends, tone, rng, (look == 1, index % 2 == 0, caps))
    return builder.build()


def _panel(
    builder: MeshBuilder,
    road: Road,
    ends: list[tuple[float, float]],
    tone: Floats,
    rng: np.random.Generator,
    style: tuple[bool, bool, bool],
) -> None:
    """One panel: three faces on either side, top, the joint's shadow, stains.

    `style` is (painted, yellow and not black, with an end cap).
    """
    painted, alternate, caps = style
    (s0, d0), (s1, d1) = ends

    def at(end: int, lateral: float, height: float) -> Floats:
        s, d = (s0, d0) if end == 0 else (s1, d1)
        return road.point(s, d + lateral, height)

    def colour(factor: float) -> Bgr:
        b, g, r = tone * factor
        return (float(b), float(g), float(r))

    for side in (-1.0, 1.0):
        bands = zip(PROFILE[:-1], PROFILE[1:], (0.72, 0.92, 1.0), strict=True)
        for (z0, h0), (z1, h1), factor in bands:
            corners = [at(0, side * h0, z0), at(1, side * h0, z0), at(1, side * h1, z1), at(0, side * h1, z1)]
            builder.quad(corners if side > 0 else corners[::-1], colour(factor), one_sided=True)
        joint = [at(0, side * h, z) for z, h in ((0.05, 0.305), (0.33, 0.175), (0.85, 0.095))]
        width = (road.point(s0 + 0.05, d0) - road.point(s0, d0))[None, :]
        strip = [joint[0], joint[0] + width[0], joint[2] + width[0], joint[2]]
        builder.quad(strip if side > 0 else strip[::-1], colour(0.45), bias=0.05, one_sided=True)
        if painted:
            stripe: Bgr = (36, 190, 236) if alternate else (40, 40, 42)
            paint = [at(0, side * 0.14, 0.5), at(1, side * 0.14, 0.5), at(1, side * 0.1, 0.8), at(0, side * 0.1, 0.8)]
            lifted = [corner + (at(0, side * 0.02, 0.0) - at(0, 0.0, 0.0)) for corner in paint]
            builder.quad(lifted if side > 0 else lifted[::-1], stripe, bias=0.05, one_sided=True)
    top = [at(0, -0.09, 0.85), at(1, -0.09, 0.85), at(1, 0.09, 0.85), at(0, 0.09, 0.85)]
    builder.quad(top, colour(1.12))
    if caps:
        cap = [at(0, -0.3, 0), at(0, 0.3, 0), at(0, 0.09, 0.85), at(0, -0.09, 0.85)]
        builder.quad(cap, colour(0.85), bias=-0.5)
    if rng.random() < 0.3:  # rain streaks
        t0 = s0 + rng.uniform(0.2, 0.7) * (s1 - s0)
        for side in (-1.0, 1.0):
            streak = [(t0, 0.33, 0.18), (t0 + 0.12, 0.33, 0.18), (t0 + 0.2, 0.84, 0.10), (t0 - 0.08, 0.84, 0.10)]
            stain = [road.point(s, d0 + side * h, z) for s, z, h in streak]
            builder.quad(stain if side > 0 else stain[::-1], colour(0.82), bias=0.06, one_sided=True)
