"""How each asset class looks: one function per class, several looks each, as a mesh in the asset's own frame.

Sizes follow Thai Department of Highways practice and agree with `roadscan.taxonomy.HIGHWAY`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

import cv2
import numpy as np

from roadscan.simulate.world.conditions import Bgr
from roadscan.simulate.world.faces import Texture, bus_face, information_face, make_texture, warning_face
from roadscan.simulate.world.mesh import PANEL, Mesh, MeshBuilder

STEEL, CONCRETE, DARK = (150, 150, 146), (158, 164, 168), (62, 62, 64)
TILES: tuple[Bgr, ...] = ((44, 62, 168), (46, 98, 190), (64, 110, 62), (128, 82, 52), (52, 48, 112))
WALLS: tuple[Bgr, ...] = ((206, 220, 226), (170, 196, 218), (196, 206, 190), (214, 206, 196))


class TextureTable:
    """Textures by index, each stored once."""

    def __init__(self) -> None:
        self.textures: list[Texture] = []
        self._index: dict[int, int] = {}

    def add(self, texture: Texture) -> int:
        """Index of a texture, which is kept alive."""
        key = id(texture)
        if key not in self._index:
            self._index[key] = len(self.textures)
            self.textures.append(texture)
        return self._index[key]


@dataclass(frozen=True)
class Model:
    """An asset's shape.

    Attributes:
        mesh: in the asset's frame.
        labelled_from: faces of parts from this number on are what a box encloses; earlier parts are its supports.
        anchor_x_m, anchor_y_m: the truth position in the asset's frame.
        height_m: height of what the box encloses.
    """

    mesh: Mesh
    labelled_from: int = 0
    anchor_x_m: float = 0.0
    anchor_y_m: float = 0.0
    height_m: float = 0.0


def _faded(texture: Texture) -> Texture:
    """The face after years of sun, with rust: what a damaged sign looks like."""
    picture = np.dstack([texture.levels[0], texture.masks[0]]).astype(np.float32)
    rows, columns = np.mgrid[: picture.shape[0], : picture.shape[1]]
    rust = np.sin(columns / 17.0 + np.sin(rows / 29.0) * 2) > 0.93
    picture[..., :3] = picture[..., :3] * 0.52 + np.array((150, 160, 168)) * 0.45
    picture[rust, :3] = (40, 66, 108)
    return make_texture(np.asarray(cv2.convertScaleAbs(picture), np.uint8))


def _tilted(mesh: Mesh, angle_rad: float) -> Mesh:
    """Lean a mesh sideways about its foot."""
    sin_a, cos_a = np.sin(angle_rad), np.cos(angle_rad)
    x, z = mesh.quads[..., 0], mesh.quads[..., 2]
    quads = np.stack([x * cos_a + z * sin_a, mesh.quads[..., 1], z * cos_a - x * sin_a], axis=-1)
    return replace(mesh, quads=quads)


def _sign(
    builder: MeshBuilder, table: TextureTable, texture: Texture, kind: int, rect: tuple[float, ...], damaged: bool
) -> None:
    """The labelled face (its own part) and its grey back."""
    x, z, width, height = rect
    index = table.add(_faded(texture) if damaged else texture)
    builder.new_part()
    builder.upright(x, -0.06, z, width, height, index, kind, retro=0.25 if damaged else 1.0)


def information_sign(rng: np.random.Generator, table: TextureTable, toward_road: float, damaged: bool) -> Model:
    """Guide sign on two posts, or over the lane on a cantilever."""
    height = float(np.clip(rng.normal(2.4, 0.55), 1.3, 3.6))
    aspect = round(float(rng.uniform(1.35, 2.2)), 2)
    width = height * aspect
    texture = information_face(int(rng.integers(1 << 30)), aspect)
    builder = MeshBuilder()
    if height > 1.9 and rng.random() < 0.28:
        reach = toward_road * (width / 2 + 1.6)
        bottom = 5.4
        builder.post(0, 0.1, 0, bottom + height * 0.85, 0.24, STEEL, 0.17)
        for z in (bottom + height * 0.25, bottom + height * 0.75):
            builder.beam((0, 0.1, z), (reach + toward_road * width * 0.45, 0.1, z), 0.08, STEEL)
        centre = reach
    else:
        bottom, centre = float(rng.uniform(1.6, 2.4)), 0.0
        for x in (-width * 0.3, width * 0.3):
            builder.post(x, 0.05, 0, bottom + height * 0.9, 0.07, STEEL)
    builder.box((centre - width / 2, -0.02, bottom), (centre + width / 2, 0.02, bottom + height), (126, 126, 122))
    _sign(builder, table, texture, PANEL, (centre, bottom, width, height), damaged)
    mesh = _tilted(builder.build(), 0.22 * toward_road) if damaged else builder.build()
    return Model(mesh, labelled_from=1, anchor_x_m=centre, height_m=height)


def warning_sign(rng: np.random.Generator, table: TextureTable, toward_road: float, damaged: bool) -> Model:
    """Yellow diamond on a post, now and then with a plate below."""
    height = float(np.clip(rng.normal(0.85, 0.08), 0.7, 1.05))
    bottom = float(rng.uniform(1.6, 2.1))
    builder = MeshBuilder()
    if rng.random() < 0.5:
        builder.box((-0.06, -0.01, 0), (0.06, 0.09, bottom + height * 0.9), (200, 200, 200))
    else:
        builder.post(0, 0.04, 0, bottom + height * 0.9, 0.045, STEEL)
    if rng.random() < 0.25:
        builder.box((-0.36, -0.05, bottom - 0.42), (0.36, -0.02, bottom - 0.08), (30, 190, 240))
    _sign(builder, table, warning_face(int(rng.integers(8))), PANEL, (0.0, bottom, height, height), damaged)
    mesh = _tilted(builder.build(), 0.30 * toward_road) if damaged else builder.build()
    return Model(mesh, labelled_from=1, height_m=height)


def bus_stop(rng: np.random.Generator, table: TextureTable, toward_road: float, damaged: bool) -> Model:
    """Blue bus sign on a pole, 2.7 m; some with a timetable board or a small roof."""
    top = float(np.clip(rng.normal(2.7, 0.18), 2.3, 3.1))
    look = int(rng.integers(3))
    texture = bus_face(look % 2)
    width = 0.72 if look < 2 else 0.85
    height = width * texture.levels[0].shape[0] / texture.levels[0].shape[1]
    builder = MeshBuilder()
    builder.post(0, 0.04, 0, top, 0.05, (196, 110, 40) if look == 1 else STEEL)
    builder.box((-0.2, -0.16, 0), (0.2, 0.24, 0.10), CONCRETE)
    if look == 2:
        builder.box((-0.62, -0.3, top - 0.09), (0.62, 0.4, top), (150, 72, 16), (170, 90, 30))
        builder.box((-0.34, -0.03, 0.75), (0.34, 0.03, 1.35), (225, 225, 222))
    bottom = top - height - (0.12 if look == 2 else 0.02)
    builder.upright(
        0, -0.06, bottom, width, height, table.add(_faded(texture) if damaged else texture), PANEL, retro=0.7, bias=0.2
    )
    mesh = _tilted(builder.build(), 0.25 * toward_road) if damaged else builder.build()
    return Model(mesh, height_m=top)


def single_arm_pole(rng: np.random.Generator, _table: TextureTable, toward_road: float, damaged: bool) -> Model:
    """Tapered steel lighting pole with one arm over the road; straight or swan-necked."""
    top = float(np.clip(rng.normal(9.0, 0.5), 8.0, 10.0))
    reach = toward_road * float(rng.uniform(1.8, 2.6))
    colour: Bgr = ((168, 168, 164), (196, 198, 196), (120, 126, 122))[int(rng.integers(3))]
    builder = MeshBuilder()
    builder.box((-0.28, -0.28, 0), (0.28, 0.28, 0.32), CONCRETE)
    if rng.random() < 0.5:
        builder.post(0, 0, 0.3, top - 0.35, 0.115, colour, 0.07)
        builder.beam((0, 0, top - 0.45), (reach, 0, top - 0.05), 0.045, colour)
    else:
        builder.post(0, 0, 0.3, top - 1.3, 0.115, colour, 0.075)
        angles = np.linspace(0, np.pi / 2, 5)
        curve = np.stack([reach * (1 - np.cos(angles)), 0 * angles, top - 1.35 + 1.28 * np.sin(angles)], axis=1)
        for start, end in pairwise(curve):
            builder.beam(start.tolist(), end.tolist(), 0.05, colour)
    tip = reach + toward_road * 0.35
    low, high = min(reach - toward_road * 0.25, tip), max(reach - toward_road * 0.25, tip)
    builder.box((low, -0.14, top - 0.16), (high, 0.14, top), (176, 176, 172))
    lamp = [(low, -0.14, top - 0.165), (high, -0.14, top - 0.165), (high, 0.14, top - 0.165), (low, 0.14, top - 0.165)]
    builder.quad(lamp, (215, 228, 232), glow=0.0 if damaged else 1.0, bias=0.3)
    mesh = _tilted(builder.build(), 0.12 * toward_road) if damaged else builder.build()
    return Model(mesh, height_m=top)


def pavilion(rng: np.random.Generator, _table: TextureTable, toward_road: float, damaged: bool) -> Model:
    """Sala rim thang: the roadside shelter with posts, benches and a tiled roof that is open to the road."""
    width, depth = float(rng.uniform(2.4, 3.2)), float(rng.uniform(3.6, 6.0))
    top = float(np.clip(rng.normal(3.4, 0.3), 2.8, 4.0))
    eave = top - float(rng.uniform(0.8, 1.15))
    tiles, wall = TILES[int(rng.integers(len(TILES)))], WALLS[int(rng.integers(len(WALLS)))]
    look = int(rng.integers(3))
    x0, x1, y0, y1 = -width / 2, width / 2, -depth / 2, depth / 2
    builder = MeshBuilder()
    builder.box((x0 - 0.25, y0 - 0.25, 0), (x1 + 0.25, y1 + 0.25, 0.18), CONCRETE, (176, 180, 182))
    back = x0 if toward_road > 0 else x1
    builder.box((back - 0.06, y0, 0.18), (back + 0.06, y1, 1.15 if look else eave), wall)
    if look == 2:
        builder.box((x0, y1 - 0.06, 0.18), (x1, y1 + 0.06, 1.15), wall)
    bench = back + toward_road * 0.5
    builder.box((min(back, bench), y0 + 0.3, 0.48), (max(back, bench), y1 - 0.3, 0.6), (70, 106, 140))
    for y in np.linspace(y0, y1, 2 if depth < 4.6 else 3):
        for x in (x0, x1):
            builder.box((x - 0.10, y - 0.10, 0.18), (x + 0.10, y + 0.10, eave), wall)
    ex0, ex1, ey0, ey1 = x0 - 0.45, x1 + 0.45, y0 - 0.5, y1 + 0.5
    bottom = [(ex0, ey0, eave), (ex1, ey0, eave), (ex1, ey1, eave), (ex0, ey1, eave)]
    builder.box((ex0, ey0, eave - 0.14), (ex1, ey1, eave), (210, 220, 224))
    inset = 0.0 if look == 0 else depth * 0.22
    ridge = [(-0.02, ey0 + inset, top), (0.02, ey0 + inset, top), (0.02, ey1 - inset, top), (-0.02, ey1 - inset, top)]
    builder.solid(bottom, ridge, tiles, tiles)
    if look == 0:  # gable board with a finial, as on temple roofs
        gable = [
            (ex0 + 0.35, ey0 - 0.02, eave + 0.05),
            (ex1 - 0.35, ey0 - 0.02, eave + 0.05),
            (0, ey0 - 0.02, top - 0.22),
        ]
        builder.quad(gable, wall, bias=0.4)
        builder.beam((ex0, ey0 - 0.03, eave), (0, ey0 - 0.03, top), 0.06, (60, 170, 214))
        builder.beam((ex1, ey0 - 0.03, eave), (0, ey0 - 0.03, top), 0.06, (60, 170, 214))
    mesh = _tilted(builder.build(), 0.06) if damaged else builder.build()
    return Model(mesh, anchor_y_m=0.0, height_m=top)


#: Builder of each point class: (rng, textures, +1 when the road is to the right else -1, damaged) -> Model.
POINT_MODELS: dict[str, Callable[[np.random.Generator, TextureTable, float, bool], Model]] = {
    "Pavilion": pavilion,
    "Information Sign": information_sign,
    "Single-Arm Pole": single_arm_pole,
    "Bus Stop": bus_stop,
    "Warning Sign": warning_sign,
}
