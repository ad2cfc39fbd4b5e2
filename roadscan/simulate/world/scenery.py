"""What stands beside the road and is no asset: trees, houses, utility poles, billboards, speed limits, stones.

Several of these are there to be mistaken for assets: straight poles without an arm, round signs, billboards, the grey
backs of signs for the other direction.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from roadscan.simulate.world.asset_meshes import CONCRETE, STEEL, WALLS, TextureTable
from roadscan.simulate.world.conditions import Bgr
from roadscan.simulate.world.faces import billboard_face, round_face, stone_face
from roadscan.simulate.world.mesh import PANEL, SPRITE, Mesh, MeshBuilder
from roadscan.simulate.world.road import RUN_OUT_M, Road
from roadscan.simulate.world.trees import BUSHES, TREES, plants

ROOFS: tuple[Bgr, ...] = ((60, 70, 130), (80, 104, 70), (110, 96, 90), (52, 84, 160))


def place(mesh: Mesh, road: Road, s: float, d: float, turn_rad: float = 0.0) -> Mesh:
    """A mesh standing at chainage s, offset d, its forward axis along the road plus `turn_rad`."""
    return mesh.placed(road.point(s, d), float(road.heading(s)) + turn_rad)


def _plant(rng: np.random.Generator, table: TextureTable, kinds: tuple[int, ...], low: float, high: float) -> Mesh:
    plant = plants()[int(rng.choice(kinds))]
    scale = float(rng.uniform(low, high))
    builder = MeshBuilder()
    width = plant.width_m * scale * float(rng.choice([-1.0, 1.0]))  # half of them mirrored
    builder.upright(0, 0, -0.1, abs(width), plant.height_m * scale, table.add(plant.texture), SPRITE)
    return builder.build()


def _vegetation(road: Road, rng: np.random.Generator, table: TextureTable, end: float) -> list[tuple[float, Mesh]]:
    result = []
    lushness = rng.uniform(0.6, 1.4)
    for side in (-1.0, 1.0):
        s = -20.0
        while s < end:
            thick = 0.5 + 0.5 * np.sin(s / 170.0 + side + lushness * 5)
            s += float(rng.exponential(7.5 / (lushness * (0.25 + thick))))
            d = side * float(rng.uniform(20.5, 24.0) + rng.exponential(14.0))
            kinds = TREES if rng.random() < 0.7 else BUSHES
            result.append((s, place(_plant(rng, table, kinds, 0.7, 1.35), road, s, d)))
    return result


def _median_plants(road: Road, rng: np.random.Generator, table: TextureTable, end: float) -> list[tuple[float, Mesh]]:
    result, s, pitch = [], 0.0, float(rng.choice([7.0, 14.0, 40.0]))
    while s < end:
        s += pitch * float(rng.uniform(0.9, 1.1))
        if np.sin(s / 210.0) > -0.3:
            result.append((s, place(_plant(rng, table, BUSHES, 0.55, 0.9), road, s, float(rng.uniform(-0.3, 0.3)))))
    return result


def _utility_line(road: Road, rng: np.random.Generator, end: float) -> list[tuple[float, Mesh]]:
    """Square concrete poles without arms, with three sagging wires."""
    side = float(rng.choice([-1.0, 1.0]))
    d, height, span = side * float(rng.uniform(17.8, 19.2)), float(rng.uniform(8.6, 11.5)), 38.0
    result = []
    for index in range(int(end / span)):
        s = index * span
        builder = MeshBuilder()
        builder.box((-0.16, -0.16, 0), (0.16, 0.16, height), CONCRETE, taper=(0.06, 0.06))
        result.append((s, place(builder.build(), road, s, d)))
        wires = MeshBuilder()
        for lift in (0.1, 0.5, 0.95):
            points = [road.point(s + span * t, d, height - lift - 2.2 * t * (1 - t)) for t in np.linspace(0, 1, 6)]
            for a, b in pairwise(points):
                drop = np.array([0, 0, 0.035])
                wires.quad([a, b, b - drop, a - drop], (40, 40, 42))
        result.append((s + span / 2, wires.build()))
    return result


def _house(rng: np.random.Generator) -> Mesh:
    """A village house on stilts or a row of shophouses."""
    builder = MeshBuilder()
    wall = WALLS[int(rng.integers(len(WALLS)))]
    roof = ROOFS[int(rng.integers(len(ROOFS)))]
    if rng.random() < 0.6:
        w, depth, floor = float(rng.uniform(3.5, 5.5)), float(rng.uniform(3.5, 5.0)), float(rng.choice([0.3, 2.2]))
        for x in (-w + 0.3, w - 0.3):
            for y in (-depth + 0.3, depth - 0.3):
                builder.box((x - 0.12, y - 0.12, 0), (x + 0.12, y + 0.12, floor), CONCRETE)
        builder.box((-w, -depth, floor), (w, depth, floor + 2.6), wall)
        for x in (-w * 0.55, w * 0.35):
            builder.quad(
                [
                    (x, -depth - 0.02, floor + 2.0),
                    (x + 1.1, -depth - 0.02, floor + 2.0),
                    (x + 1.1, -depth - 0.02, floor + 0.9),
                    (x, -depth - 0.02, floor + 0.9),
                ],
                (74, 66, 60),
                bias=1.0,
            )
        z = floor + 2.6
        eaves = [
            (-w - 0.7, -depth - 0.7, z),
            (w + 0.7, -depth - 0.7, z),
            (w + 0.7, depth + 0.7, z),
            (-w - 0.7, depth + 0.7, z),
        ]
        crown = [(-w * 0.6, -0.1, z + 1.9), (w * 0.6, -0.1, z + 1.9), (w * 0.6, 0.1, z + 1.9), (-w * 0.6, 0.1, z + 1.9)]
        builder.solid(eaves, crown, roof)
        return builder.build()
    floors = int(rng.integers(2, 4))
    for unit in range(int(rng.integers(2, 5))):
        y0 = unit * 4.2
        top = floors * 3.2
        builder.box((-4.5, y0, 0), (4.5, y0 + 4.2, top), wall, (130, 134, 136))
        for face in (-4.52, 4.52):  # windows and shop fronts on both long faces
            for level in range(floors):
                z, tone = 3.2 * level, ((70, 58, 50) if level else (60, 90, 120))
                builder.quad(
                    [
                        (face, y0 + 0.5, z + 2.5),
                        (face, y0 + 3.7, z + 2.5),
                        (face, y0 + 3.7, z + 0.5),
                        (face, y0 + 0.5, z + 0.5),
                    ],
                    tone,
                    bias=1.2,
                )
        if unit == 0:
            for level in range(1, floors):
                z = 3.2 * level
                builder.quad(
                    [(-3, -0.02, z + 2.4), (-1, -0.02, z + 2.4), (-1, -0.02, z + 1), (-3, -0.02, z + 1)],
                    (70, 58, 50),
                    bias=1.2,
                )
    return builder.build()


def _billboard(rng: np.random.Generator, table: TextureTable) -> Mesh:
    builder = MeshBuilder()
    width = float(rng.uniform(5.0, 9.0))
    bottom = float(rng.uniform(3.0, 6.0))
    for x in (-width * 0.35, width * 0.35):
        builder.post(x, 0.2, 0, bottom + width * 0.4, 0.16, (90, 90, 94))
    builder.box((-width / 2, 0.0, bottom), (width / 2, 0.12, bottom + width / 2), (90, 94, 98))
    builder.upright(
        0, -0.04, bottom, width, width / 2, table.add(billboard_face(int(rng.integers(24)))), PANEL, bias=0.3
    )
    return builder.build()


def _small_sign(rng: np.random.Generator, table: TextureTable) -> Mesh:
    """A round speed limit sign on a post."""
    builder = MeshBuilder()
    builder.post(0, 0.04, 0, 2.3, 0.045, STEEL)
    face = round_face(str(rng.choice(["60", "80", "90", "45"])))
    builder.upright(0, -0.05, 1.7, 0.75, 0.75, table.add(face), PANEL, retro=1.0, bias=0.2)
    return builder.build()


def _sign_back(rng: np.random.Generator) -> Mesh:
    """The grey back of a guide sign that faces the other direction."""
    builder = MeshBuilder()
    width, height = float(rng.uniform(1.8, 4.2)), float(rng.uniform(1.0, 2.2))
    for x in (-width * 0.3, width * 0.3):
        builder.post(x, -0.05, 0, 2 + height, 0.07, STEEL)
    builder.box((-width / 2, 0, 2.0), (width / 2, 0.05, 2.0 + height), (128, 130, 128))
    return builder.build()


def _stone(table: TextureTable, kind: int) -> Mesh:
    builder = MeshBuilder()
    builder.box((-0.25, 0, 0), (0.25, 0.25, 0.75), (214, 218, 220))
    builder.upright(0, -0.02, 0.02, 0.48, 0.72, table.add(stone_face(kind % 4)), PANEL, bias=0.2)
    return builder.build()


def build_scenery(road: Road, seed: int, table: TextureTable) -> list[tuple[float, Mesh]]:
    """All scenery of a road: (chainage, world mesh) pairs, up to 500 m beyond the surveyed length."""
    rng = np.random.default_rng((81, seed))
    end = road.length_m + min(500.0, RUN_OUT_M / 2)
    result = _vegetation(road, rng, table, end) + _median_plants(road, rng, table, end) + _utility_line(road, rng, end)

    def scatter(per_km: float) -> list[float]:
        return [float(s) for s in rng.uniform(20.0, end, int(rng.poisson(per_km * end / 1000.0)))]

    for s in scatter(7.0):
        side = float(rng.choice([-1.0, 1.0]))
        result.append((s, place(_house(rng), road, s, side * float(rng.uniform(29.0, 60.0)))))
    for s in scatter(2.0):
        side = float(rng.choice([-1.0, 1.0]))
        result.append((s, place(_billboard(rng, table), road, s, side * float(rng.uniform(24.0, 34.0)))))
    for s in scatter(2.0):
        result.append((s, place(_small_sign(rng, table), road, s, -13.3)))
    for s in scatter(1.5):
        result.append((s, place(_sign_back(rng), road, s, float(rng.uniform(15.5, 16.5)))))
    for kilometre in range(int(end // 1000) + 1):
        s = 137.0 + 1000.0 * kilometre
        result.append((s, place(_stone(table, kilometre), road, s, -13.1)))
    return result
