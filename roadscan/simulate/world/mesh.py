"""Solid shapes as coloured quadrilaterals: the only thing, beside textures, that the painter paints.

A `MeshBuilder` works in an object's own frame: x to the right of the road's forward direction, y forward, z up, origin
on the ground. `Mesh.placed` puts the result into the world.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from roadscan.arrays import Floats
from roadscan.simulate.world.conditions import Bgr

Vector = Sequence[float] | Floats

FILL, PANEL, SPRITE = 0, 1, 2


@dataclass(frozen=True)
class Mesh:
    """A list of quadrilaterals, in painting order where depth does not decide.

    Attributes:
        quads: corners, shape (n, 4, 3). For PANEL and SPRITE: top left, top right, bottom right, bottom left as seen.
        bgr: colour without light, shape (n, 3).
        glow: light that the face itself gives when lights are on, 0..1, shape (n,).
        retro: how strongly headlights come back from it, 0..1, shape (n,).
        bias: metres by which the face is painted as if it were nearer, shape (n,).
        kind: FILL, PANEL (opaque texture) or SPRITE (texture with holes, always facing the camera), shape (n,).
        texture: index of the texture, -1 for FILL, shape (n,).
        part: painter's unit; faces of one part are painted together, shape (n,).
        one_sided: seen from its front only, shape (n,).
    """

    quads: Floats
    bgr: Floats
    glow: Floats
    retro: Floats
    bias: Floats
    kind: NDArray[np.int64]
    texture: NDArray[np.int64]
    part: NDArray[np.int64]
    one_sided: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.quads)

    def placed(self, origin: Floats, heading_rad: float, grade: float = 0.0) -> Mesh:
        """The mesh at a place in the world, its forward axis along `heading_rad`, sheared along a slope `grade`."""
        sin_h, cos_h = np.sin(heading_rad), np.cos(heading_rad)
        x, y, z = self.quads[..., 0], self.quads[..., 1], self.quads[..., 2]
        world = np.stack([x * cos_h + y * sin_h, -x * sin_h + y * cos_h, z + y * grade], axis=-1) + origin
        return replace(self, quads=world)


def join(meshes: Sequence[Mesh]) -> Mesh:
    """One mesh of many; parts are renumbered so that they stay apart."""
    offsets = np.cumsum([0] + [int(m.part.max()) + 1 if len(m) else 0 for m in meshes])
    shifted = [replace(m, part=m.part + offset) for m, offset in zip(meshes, offsets[:-1], strict=True)]
    names = Mesh.__dataclass_fields__
    return Mesh(**{name: np.concatenate([getattr(m, name) for m in shifted]) for name in names})


@dataclass
class MeshBuilder:
    """Collects quadrilaterals; every method adds to the current part."""

    rows: list[tuple[Floats, Bgr, float, float, float, int, int, int, bool]] = field(default_factory=list)
    part: int = 0

    def new_part(self) -> int:
        """Start the next painter's unit and return its number."""
        if self.rows:
            self.part += 1
        return self.part

    def quad(
        self,
        corners: Sequence[Vector] | Floats,
        bgr: Bgr,
        *,
        glow: float = 0.0,
        retro: float = 0.0,
        bias: float = 0.0,
        kind: int = FILL,
        texture: int = -1,
        one_sided: bool = False,
    ) -> None:
        """Add one quadrilateral (a triangle repeats its last corner)."""
        array = np.array(corners, dtype=np.float64)
        if len(array) == 3:
            array = np.concatenate([array, array[-1:]])
        self.rows.append((array, bgr, glow, retro, bias, kind, texture, self.part, one_sided))

    def solid(self, bottom: Sequence[Vector], top: Sequence[Vector], bgr: Bgr, top_bgr: Bgr | None = None) -> None:
        """A convex block between two quadrilaterals with corners in the same order."""
        low, high = np.array(bottom, np.float64), np.array(top, np.float64)
        centre = (low.mean(axis=0) + high.mean(axis=0)) / 2
        faces = [(np.array([low[i], low[(i + 1) % 4], high[(i + 1) % 4], high[i]]), bgr) for i in range(4)]
        faces += [(high, top_bgr or bgr), (low, bgr)]
        for corners, colour in faces:
            normal = np.cross(corners[2] - corners[0], corners[3] - corners[1])
            outward = float(normal @ (corners.mean(axis=0) - centre)) >= 0
            self.quad(corners if outward else corners[::-1], colour, one_sided=True)

    def box(self, low: Vector, high: Vector, bgr: Bgr, top_bgr: Bgr | None = None, taper: Vector = (0.0, 0.0)) -> None:
        """An upright block from corner `low` to corner `high`, its top drawn in by `taper` metres on each side."""
        (x0, y0, z0), (x1, y1, z1), (tx, ty) = low, high, taper
        bottom = [(x0, y0, z0), (x1, y0, z0), (x1, y1, z0), (x0, y1, z0)]
        top = [(x0 + tx, y0 + ty, z1), (x1 - tx, y0 + ty, z1), (x1 - tx, y1 - ty, z1), (x0 + tx, y1 - ty, z1)]
        self.solid(bottom, top, bgr, top_bgr)

    def post(
        self, x: float, y: float, z0: float, z1: float, radius: float, bgr: Bgr, top_radius: float | None = None
    ) -> None:
        """A round post, as an octagon's four visible sides would look: a square prism turned by 45 degrees."""
        r1 = radius if top_radius is None else top_radius
        ring = [(1, 0), (0, 1), (-1, 0), (0, -1)]
        self.solid(
            [(x + radius * a, y + radius * b, z0) for a, b in ring],
            [(x + r1 * a, y + r1 * b, z1) for a, b in ring],
            bgr,
        )

    def beam(self, start: Vector, end: Vector, half: float, bgr: Bgr) -> None:
        """A square bar of half-width `half` between two points."""
        a, b = np.array(start, np.float64), np.array(end, np.float64)
        along = (b - a) / np.linalg.norm(b - a)
        side = np.cross(along, [0.0, 0.0, 1.0] if abs(along[2]) < 0.9 else [0.0, 1.0, 0.0])
        side /= np.linalg.norm(side)
        up = np.cross(side, along)
        ring = [side + up, side - up, -side - up, -side + up]
        self.solid([a + half * r for r in ring], [b + half * r for r in ring], bgr)

    def upright(
        self, x: float, y: float, z: float, width: float, height: float, texture: int, kind: int, **more: float
    ) -> None:
        """A textured rectangle that faces oncoming traffic (towards -y), bottom centre at (x, y, z)."""
        left, right, top = x - width / 2, x + width / 2, z + height
        corners = [(left, y, top), (right, y, top), (right, y, z), (left, y, z)]
        self.quad(
            corners,
            (255, 255, 255),
            kind=kind,
            texture=texture,
            retro=more.get("retro", 0.0),
            bias=more.get("bias", 0.0),
        )

    def build(self) -> Mesh:
        """The finished mesh."""
        quads, bgr, glow, retro, bias, kind, texture, part, one_sided = zip(*self.rows, strict=True)
        return Mesh(
            np.array(quads),
            np.array(bgr, np.float64),
            np.array(glow, np.float64),
            np.array(retro, np.float64),
            np.array(bias, np.float64),
            np.array(kind, np.int64),
            np.array(texture, np.int64),
            np.array(part, np.int64),
            np.array(one_sided, np.bool_),
        )
