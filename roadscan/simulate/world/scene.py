"""One night's world as flat arrays, sorted along the road, so that a frame is a slice."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from roadscan.arrays import Floats, Ints
from roadscan.simulate.world.assets import Placed
from roadscan.simulate.world.faces import Texture
from roadscan.simulate.world.mesh import Mesh, join
from roadscan.simulate.world.road import Road


@dataclass(frozen=True)
class Scene:
    """Everything that stands still on one night.

    Attributes:
        road: the road.
        style: which ground of `surface`.
        mesh: all faces in world metres, grouped by part, parts in order of chainage.
        part_s: chainage of each part, ascending, shape (p,).
        part_first: first face of each part, and the number of faces, shape (p + 1,).
        part_asset: index into `placed` of what the part is labelled as, -1 for none, shape (p,).
        placed: the assets that stand on this night.
        textures: by index.
        lamps: positions of street lamps, shape (n, 3), and their chainages `lamp_s`, ascending.
    """

    road: Road
    style: int
    mesh: Mesh
    part_s: Floats
    part_first: Ints
    part_asset: Ints
    placed: tuple[Placed, ...]
    textures: tuple[Texture, ...]
    lamps: Floats
    lamp_s: Floats


def take(mesh: Mesh, index: Ints | slice) -> Mesh:
    """The faces of a mesh at some indices."""
    return Mesh(**{name: getattr(mesh, name)[index] for name in Mesh.__dataclass_fields__})


def chainage_of(road: Road, points: Floats, guess_s: Floats) -> Floats:
    """Chainage of world points (n, 3), from nearby guesses (n,); two Newton steps are enough beside a road."""
    s = guess_s.astype(np.float64)
    for _ in range(2):
        heading = road.heading(s)
        offset = points - road.point(s, 0.0)
        s = s + offset[:, 0] * np.sin(heading) + offset[:, 1] * np.cos(heading)
    return s


def build_scene(
    road: Road, style: int, placed: list[Placed], scenery: list[tuple[float, Mesh]], textures: list[Texture]
) -> Scene:
    """Flatten assets and scenery into a scene."""
    meshes = [p.mesh for p in placed] + [mesh for _, mesh in scenery]
    guesses = [p.asset.s for p in placed] + [s for s, _ in scenery]
    owners: list[Ints] = []
    for index, item in enumerate(placed):
        parts = np.arange(int(item.mesh.part.max()) + 1)
        owners.append(np.where(parts >= item.labelled_from, index, -1))
    owners += [np.full(int(mesh.part.max()) + 1, -1) for _, mesh in scenery]
    everything = join(meshes)
    part_asset = np.concatenate(owners)
    count = len(part_asset)
    faces = np.bincount(everything.part, minlength=count)
    centre = (
        np.stack([np.bincount(everything.part, everything.quads[..., k].mean(axis=1), count) for k in range(3)], axis=1)
        / np.maximum(faces, 1)[:, None]
    )
    guess = np.repeat(np.array(guesses), [len(o) for o in owners])
    for index, item in enumerate(placed):
        if item.asset.end_s is not None:
            parts = part_asset == index
            guess[parts] = np.linspace(item.asset.s, item.asset.end_s, int(parts.sum()))
    part_s = chainage_of(road, centre, guess)
    order = np.argsort(part_s, kind="stable")
    rank = np.empty(count, np.int64)
    rank[order] = np.arange(count)
    face_order = np.argsort(rank[everything.part], kind="stable")
    mesh = take(everything, face_order)
    mesh = replace(mesh, part=rank[mesh.part])
    lit = np.flatnonzero((mesh.glow >= 1.0) & (part_asset[order][mesh.part] >= 0))
    return Scene(
        road=road,
        style=style,
        mesh=mesh,
        part_s=part_s[order],
        part_first=np.concatenate([[0], np.cumsum(faces[order])]).astype(np.int64),
        part_asset=part_asset[order].astype(np.int64),
        placed=tuple(placed),
        textures=tuple(textures),
        lamps=mesh.quads[lit].mean(axis=1),
        lamp_s=part_s[order][mesh.part[lit]],
    )
