"""Cars, pickups, lorries, coaches, motorcycles and tuk-tuks as meshes; forward is +y, the rear bumper is at y = 0."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from roadscan.simulate.world.conditions import Bgr
from roadscan.simulate.world.mesh import Mesh, MeshBuilder

GLASS: Bgr = (58, 46, 38)
TYRE: Bgr = (34, 34, 34)
PAINTS: tuple[Bgr, ...] = (
    (232, 232, 232), (204, 206, 206), (46, 44, 44), (120, 118, 116), (44, 40, 150), (120, 66, 34), (74, 112, 138),
    (60, 150, 210), (168, 110, 60), (188, 188, 192),
)  # fmt: skip


@dataclass(frozen=True)
class Vehicle:
    """A kind of vehicle in one paint."""

    mesh: Mesh
    length_m: float


def _wheels(builder: MeshBuilder, half: float, radius: float, rows: tuple[float, ...]) -> None:
    """Wheels, and the dark ground between them."""
    y0, y1, x = rows[0] - 0.35, rows[-1] + 0.35, half - 0.1
    builder.quad([(-x, y0, 0.02), (x, y0, 0.02), (x, y1, 0.02), (-x, y1, 0.02)], (40, 40, 42), bias=-4.0)
    for y in rows:
        for x in (-half, half):
            low, high = (x, x + 0.22) if x < 0 else (x - 0.22, x)
            builder.box((low, y - radius, 0), (high, y + radius, 2 * radius), TYRE, taper=(0, radius * 0.35))


def _lamps(builder: MeshBuilder, half: float, length: float, tail_z: float, head_z: float, size: float = 0.16) -> None:
    """Tail lights at the rear, headlights at the front, number plate."""
    for x in (-half + size, half - size):
        tail = [
            (x - size, -0.02, tail_z + 0.15),
            (x + size, -0.02, tail_z + 0.15),
            (x + size, -0.02, tail_z),
            (x - size, -0.02, tail_z),
        ]
        builder.quad(tail, (40, 34, 190), glow=0.35, bias=0.8)
        y = length + 0.02
        head = [
            (x + size, y, head_z + 0.15),
            (x - size, y, head_z + 0.15),
            (x - size, y, head_z),
            (x + size, y, head_z),
        ]
        builder.quad(head, (236, 240, 240), glow=1.0, bias=0.8, one_sided=False)


def _cabin(
    builder: MeshBuilder, half: float, y0: float, y1: float, z0: float, z1: float, paint: Bgr, rake: tuple[float, float]
) -> None:
    """Glasshouse with a painted roof: rear and front windows slope by `rake`."""
    inset = 0.16
    bottom = [(-half, y0, z0), (half, y0, z0), (half, y1, z0), (-half, y1, z0)]
    waist = z1 - 0.10
    top = [
        (-half + inset, y0 + rake[0], waist),
        (half - inset, y0 + rake[0], waist),
        (half - inset, y1 - rake[1], waist),
        (-half + inset, y1 - rake[1], waist),
    ]
    builder.solid(bottom, top, GLASS)
    roof = [(x, y, z1) for x, y, _ in top]
    builder.solid(top, roof, paint)
    for x, xt in ((-half, -half + inset), (half, half - inset)):  # painted pillars
        for y, yt in ((y0, y0 + rake[0]), (y1, y1 - rake[1])):
            builder.beam((x, y, z0), (xt, yt, waist), 0.05, paint)


def car(paint: Bgr, hatch: bool) -> Vehicle:
    """Saloon or hatchback."""
    builder, half, length = MeshBuilder(), 0.88, 4.1 if hatch else 4.5
    _wheels(builder, half, 0.32, (0.8, length - 0.85))
    builder.box((-half, 0, 0.22), (half, length, 0.62), paint)
    builder.box((-half, 0.02, 0.62), (half, length - 0.05, 0.92), paint, taper=(0.06, 0.12))
    _cabin(
        builder, half - 0.05, 0.15 if hatch else 0.65, length - 1.1, 0.9, 1.48, paint, (0.35 if hatch else 0.55, 0.75)
    )
    builder.box((-half + 0.05, -0.05, 0.26), (half - 0.05, 0.0, 0.45), (70, 70, 72))
    builder.quad(
        [(-0.26, -0.07, 0.66), (0.26, -0.07, 0.66), (0.26, -0.07, 0.54), (-0.26, -0.07, 0.54)],
        (230, 230, 230),
        bias=0.6,
    )
    _lamps(builder, half - 0.04, length, 0.70, 0.62)
    return Vehicle(builder.build(), length)


def pickup(paint: Bgr, loaded: bool) -> Vehicle:
    """The country's favourite: double-cab pickup, some with a load under a tarpaulin."""
    builder, half, length = MeshBuilder(), 0.93, 5.3
    _wheels(builder, half, 0.38, (1.15, 4.35))
    builder.box((-half, 0, 0.42), (half, 1.75, 1.05), paint, (52, 50, 50))
    builder.box((-half, 1.75, 0.42), (half, length, 1.05), paint, taper=(0.03, 0.08))
    _cabin(builder, half - 0.05, 1.75, 4.15, 1.02, 1.78, paint, (0.22, 0.75))
    if loaded:
        builder.box((-half + 0.08, 0.1, 1.05), (half - 0.08, 1.7, 2.0), (110, 86, 46), taper=(0.1, 0.08))
    builder.box((-half, -0.12, 0.42), (half, 0.0, 0.58), (150, 150, 150))
    builder.quad(
        [(-0.26, -0.14, 0.57), (0.26, -0.14, 0.57), (0.26, -0.14, 0.44), (-0.26, -0.14, 0.44)],
        (230, 230, 230),
        bias=0.6,
    )
    _lamps(builder, half - 0.02, length, 0.72, 0.80, 0.10)
    return Vehicle(builder.build(), length)


def lorry(paint: Bgr, tall: bool) -> Vehicle:
    """Six- or ten-wheeler with a box or a slatted cargo bed, decorated in bright colours."""
    builder, half, length = MeshBuilder(), 1.22, 8.6
    top = 3.5 if tall else 2.7
    _wheels(builder, half, 0.5, (1.5, 2.7, 7.4))
    builder.box((-0.5, 0.1, 0.55), (0.5, 6.5, 0.95), (48, 48, 50))
    cargo: Bgr = paint if tall else (60, 110, 170)
    builder.box((-half, 0.0, 0.95), (half, 6.2, top), cargo, (120, 120, 118))
    if tall:
        for x in (-half + 0.04, -0.02, half - 0.08):
            builder.quad(
                [(x, -0.02, top), (x + 0.05, -0.02, top), (x + 0.05, -0.02, 0.95), (x, -0.02, 0.95)],
                (90, 90, 90),
                bias=0.4,
            )
    else:
        for z in np.arange(1.1, top, 0.4):
            builder.quad(
                [(-half, -0.02, z + 0.14), (half, -0.02, z + 0.14), (half, -0.02, z), (-half, -0.02, z)],
                (50, 60, 200),
                bias=0.4,
            )
    builder.box((-1.15, 6.5, 0.6), (1.15, length, 1.5), paint)
    _cabin(builder, 1.13, 6.5, length, 1.5, 2.6, paint, (0.02, 0.3))
    builder.box((-half, -0.06, 0.5), (half, 0.0, 0.72), (44, 44, 46))
    stripes: tuple[Bgr, Bgr] = ((40, 40, 210), (225, 225, 225))
    for index in range(6):
        x = -half + index * half / 3
        builder.quad(
            [(x, -0.08, 0.7), (x + half / 3, -0.08, 0.7), (x + half / 3, -0.08, 0.55), (x, -0.08, 0.55)],
            stripes[index % 2],
            bias=0.6,
            retro=0.6,
        )
    _lamps(builder, half, length, 0.76, 0.75, 0.13)
    return Vehicle(builder.build(), length)


def coach(paint: Bgr) -> Vehicle:
    """Long-distance bus with bands of colour."""
    builder, half, length = MeshBuilder(), 1.25, 11.5
    _wheels(builder, half, 0.5, (2.6, 9.2))
    builder.box((-half, 0, 0.4), (half, length, 1.5), paint)
    builder.box((-half, 0, 1.5), (half, length, 2.7), GLASS)
    builder.box((-half, 0, 2.7), (half, length, 3.55), paint, (220, 220, 220), taper=(0.08, 0.05))
    rear: Bgr = (70, 170, 235)
    builder.quad([(-half, -0.02, 1.5), (half, -0.02, 1.5), (half, -0.02, 1.1), (-half, -0.02, 1.1)], rear, bias=0.4)
    builder.quad([(-1.0, -0.02, 2.6), (1.0, -0.02, 2.6), (1.0, -0.02, 1.7), (-1.0, -0.02, 1.7)], (70, 58, 50), bias=0.4)
    _lamps(builder, half, length, 0.75, 0.7, 0.14)
    return Vehicle(builder.build(), length)


def motorcycle(paint: Bgr) -> Vehicle:
    """Small motorcycle with a helmeted rider."""
    builder = MeshBuilder()
    for y in (0.3, 1.55):
        builder.box((-0.06, y - 0.3, 0), (0.06, y + 0.3, 0.6), TYRE, taper=(0, 0.12))
    builder.box((-0.16, 0.15, 0.45), (0.16, 1.3, 0.8), paint, taper=(0.05, 0.1))
    builder.box((-0.23, 0.45, 0.75), (0.23, 0.8, 1.38), (120, 70, 40), taper=(0.04, 0.02))
    builder.box((-0.13, 0.5, 1.38), (0.13, 0.76, 1.66), (40, 40, 180), taper=(0.05, 0.05))
    builder.box((-0.3, 1.25, 1.0), (0.3, 1.32, 1.06), TYRE)
    builder.quad(
        [(-0.08, 0.1, 0.72), (0.08, 0.1, 0.72), (0.08, 0.1, 0.62), (-0.08, 0.1, 0.62)],
        (40, 34, 190),
        glow=0.25,
        bias=0.3,
    )
    return Vehicle(builder.build(), 1.9)


@lru_cache(maxsize=1)
def fleet() -> tuple[Vehicle, ...]:
    """Every vehicle that a drive may meet; the last two are motorcycles, which keep to the shoulder."""
    cars = [car(paint, hatch=index % 2 == 1) for index, paint in enumerate(PAINTS[:8])]
    pickups = [pickup(paint, loaded=index % 3 == 2) for index, paint in enumerate(PAINTS[:7])]
    lorries = [lorry(PAINTS[4], True), lorry(PAINTS[8], False), lorry(PAINTS[0], True), lorry(PAINTS[7], False)]
    coaches = [coach(PAINTS[0]), coach(PAINTS[5])]
    return tuple(cars + pickups + lorries + coaches + [motorcycle(PAINTS[4]), motorcycle(PAINTS[5])])


MOTORCYCLES = 2
