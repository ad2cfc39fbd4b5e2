"""The world that all nights share: the road, its assets, and what changes from night to night."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from roadscan.arrays import Floats
from roadscan.simulate.world.asset_meshes import POINT_MODELS, Model, TextureTable
from roadscan.simulate.world.mesh import Mesh
from roadscan.simulate.world.road import Road
from roadscan.simulate.world.scenery import place
from roadscan.simulate.world.structures import barrier, pedestrian_bridge

BRIDGE, BARRIER, POLE = "Pedestrian Bridge", "Concrete Guardrail", "Single-Arm Pole"
#: Point assets a kilometre, poles apart (they come in runs).
PER_KM = {"Pavilion": 1.0, "Bus Stop": 1.2, "Information Sign": 3.0, "Warning Sign": 5.0}
POLES_PER_KM, BRIDGES_PER_KM, BARRIER_RUNS_PER_KM = 12.0, 0.5, 3.0
#: Clear length of roadside that an asset takes, before and after it, in metres.
CLEARANCE_M = {"Pavilion": 12.0, "Bus Stop": 5.0, "Information Sign": 9.0, "Warning Sign": 6.0, POLE: 3.0, BRIDGE: 16.0}
#: The roadside edge of an asset stands this far from the median's middle.
VERGE_M = {"Pavilion": 14.6, "Bus Stop": 13.4, "Information Sign": 13.6, "Warning Sign": 13.5, POLE: 13.9}
BREAKABLE = ("Warning Sign", "Information Sign", BARRIER)
#: Share of all assets that is removed, added and damaged on each night after the first.
CHANGE_SHARE = 0.015
BARRIER_OFFSET_M = {"left": -12.8, "median": -1.55, "right": 12.8}


@dataclass(frozen=True)
class Asset:
    """One road asset, over all nights.

    Attributes:
        asset_id: unique within the simulation.
        name: its class.
        s, d: where it stands: chainage and offset of its foot; for a line, of its start.
        side: left, right, median or overhead, seen in the forward direction.
        seed: of its looks.
        end_s: chainage of a line's end.
        first_night, last_night: inclusive, counted from 1.
        damaged_night: the night on which it is damaged first; None when never.
    """

    asset_id: str
    name: str
    s: float
    d: float
    side: str
    seed: int
    end_s: float | None = None
    first_night: int = 1
    last_night: int = 1
    damaged_night: int | None = None

    def present(self, night: int) -> bool:
        """Whether it stands on that night."""
        return self.first_night <= night <= self.last_night

    def damaged(self, night: int) -> bool:
        """Whether it is damaged on that night."""
        return self.damaged_night is not None and night >= self.damaged_night


@dataclass(frozen=True)
class Placed:
    """An asset in the world as it looks on one night: its mesh, what of it is labelled, and its truth position."""

    asset: Asset
    mesh: Mesh
    labelled_from: int
    position: Floats
    height_m: float


class _Roadside:
    """Which stretches of each side are taken."""

    def __init__(self) -> None:
        self._taken: dict[str, list[tuple[float, float]]] = {"left": [], "right": [], "median": []}

    def free(self, side: str, start: float, end: float) -> bool:
        return all(end <= a or start >= b for a, b in self._taken[side])

    def take(self, side: str, start: float, end: float) -> None:
        self._taken[side].append((start, end))


def _bridges(rng: np.random.Generator, road: Road, roadside: _Roadside) -> Iterator[Asset]:
    count = max(1, round(BRIDGES_PER_KM * road.length_m / 1000.0)) if road.length_m >= 300 else 0
    for index in range(count):
        share = road.length_m / count
        s = share * (index + float(rng.uniform(0.35, 0.85)))
        for side in ("left", "right"):
            roadside.take(side, s - CLEARANCE_M[BRIDGE], s + 5.0)
        yield Asset("", BRIDGE, s, 0.0, "overhead", int(rng.integers(1 << 30)))


def _points(rng: np.random.Generator, road: Road, roadside: _Roadside, density: float) -> Iterator[Asset]:
    for name, per_km in PER_KM.items():
        expected = per_km * density * road.length_m / 1000.0
        for _ in range(int(expected + rng.random())):
            for _attempt in range(20):
                s = float(rng.uniform(45.0, max(road.length_m - 15.0, 60.0)))
                # Faces of signs on the far side are turned away from the survey, so they are no assets of this drive.
                sides = {"Warning Sign": ("left", "median", 0.15), "Information Sign": ("left", "left", 0.0)}
                usual, other, share = sides.get(name, ("left", "right", 0.25))
                side = other if rng.random() < share else usual
                clear = CLEARANCE_M[name]
                if roadside.free(side, s - clear, s + clear):
                    roadside.take(side, s - clear, s + clear)
                    yield Asset("", name, s, 0.0, side, int(rng.integers(1 << 30)))
                    break


def _poles(rng: np.random.Generator, road: Road, roadside: _Roadside, density: float) -> Iterator[Asset]:
    wanted = POLES_PER_KM * density * road.length_m / 1000.0
    while wanted > 0.5:
        run, spacing = int(min(rng.integers(4, 11), np.ceil(wanted))), float(rng.uniform(30, 40))
        start = float(rng.uniform(40.0, max(road.length_m - 15.0 - run * spacing, 60.0)))
        side = "left" if rng.random() < 0.7 else "right"
        seed = int(rng.integers(1 << 30))
        for index in range(run):
            s = start + index * spacing
            if s < road.length_m - 10 and roadside.free(side, s - 3.0, s + 3.0):
                roadside.take(side, s - 9.0, s + 9.0)
                yield Asset("", POLE, s, 0.0, side, seed)
        wanted -= run


def _barriers(rng: np.random.Generator, road: Road, density: float) -> Iterator[Asset]:
    count = max(1, int(BARRIER_RUNS_PER_KM * density * road.length_m / 1000.0 + rng.random()))
    taken: list[tuple[str, float, float]] = []
    for _ in range(count):
        for _attempt in range(20):
            length = float(np.clip(rng.lognormal(np.log(85.0), 0.65), 30.0, min(300.0, road.length_m * 0.5)))
            start = float(rng.uniform(20.0, max(road.length_m - length - 5.0, 25.0)))
            side = str(rng.choice(["left", "median", "right"], p=[0.55, 0.25, 0.2]))
            if all(side != other or start > b + 15.0 or start + length < a - 15.0 for other, a, b in taken):
                taken.append((side, start, start + length))
                yield Asset(
                    "", BARRIER, start, BARRIER_OFFSET_M[side], side, int(rng.integers(1 << 30)), start + length
                )
                break


def place_assets(road: Road, seed: int, density: float = 1.0) -> list[Asset]:
    """All assets of a road as they stand on the first night, ordered by class and chainage."""
    rng = np.random.default_rng((91, seed))
    roadside = _Roadside()
    assets = list(_bridges(rng, road, roadside)) + list(_points(rng, road, roadside, density))
    assets += list(_poles(rng, road, roadside, density)) + list(_barriers(rng, road, density))
    assets.sort(key=lambda a: (a.name, a.s))
    short = {
        name: "".join(word[0] for word in name.replace("-", " ").split()).lower() for name in {a.name for a in assets}
    }
    return [replace(a, asset_id=f"s{seed}-{short[a.name]}-{i:04d}") for i, a in enumerate(assets)]


def _changed(asset: Asset, change: str, night: int) -> Asset:
    if change == "removed":
        return replace(asset, last_night=night - 1)
    return replace(asset, first_night=night) if change == "added" else replace(asset, damaged_night=night)


def with_changes(assets: list[Asset], seed: int, nights: int) -> list[Asset]:
    """Spread removals, additions and damage over the nights.

    Every night after the first has at least one of each, as long as unchanged assets are left on the near side; no
    asset changes twice.
    """
    rng = np.random.default_rng((92, seed))
    result = {a.asset_id: replace(a, last_night=nights) for a in assets}
    near = [a.asset_id for a in assets if a.side == "left" and a.name not in (BRIDGE, BARRIER)]
    breakable = [a.asset_id for a in assets if a.side == "left" and a.name in BREAKABLE]
    untouched = set(result)
    share = max(1, round(CHANGE_SHARE * len(assets)))
    for night in range(2, nights + 1):
        for change, pool in (("damaged", breakable), ("removed", near), ("added", near)):
            rng.shuffle(pool)
            for asset_id in [a for a in pool if a in untouched][:share]:
                untouched.remove(asset_id)
                result[asset_id] = _changed(result[asset_id], change, night)
    return [result[a.asset_id] for a in assets]


def changes(assets: list[Asset], nights: int) -> list[tuple[int, Asset, str]]:
    """What happened before each night after the first: (night, asset, removed | added | damaged), in order of night."""
    events = []
    for asset in assets:
        if asset.first_night > 1:
            events.append((asset.first_night, asset, "added"))
        if asset.last_night < nights:
            events.append((asset.last_night + 1, asset, "removed"))
        if asset.damaged_night is not None:
            events.append((asset.damaged_night, asset, "damaged"))
    return sorted(events, key=lambda e: (e[0], e[1].asset_id))


def _offset(asset: Asset, model: Model) -> float:
    """Offset of an asset's origin so that its roadside edge stands at VERGE_M."""
    if asset.side == "median":
        return -0.6
    toward_road = 1.0 if asset.side == "left" else -1.0
    if asset.name == POLE or model.anchor_x_m != 0.0:
        reach = 0.0
    else:
        reach = float((model.mesh.quads[..., 0] * toward_road).max())
    return -toward_road * (VERGE_M[asset.name] + reach)


def realise(asset: Asset, road: Road, table: TextureTable, night: int) -> Placed:
    """An asset's mesh in the world on one night, and the truth position of its label (line: its middle)."""
    damaged = asset.damaged(night)
    if asset.end_s is not None:
        mesh = barrier(road, asset.s, asset.end_s, asset.d, asset.seed, damaged)
        return Placed(asset, mesh, 0, road.point((asset.s + asset.end_s) / 2, asset.d), 0.85)
    rng = np.random.default_rng((93, asset.seed))
    if asset.name == BRIDGE:
        model, d = pedestrian_bridge(rng), 0.0
    else:
        toward_road = 1.0 if asset.side in ("left", "median") else -1.0
        model = POINT_MODELS[asset.name](rng, table, toward_road, damaged)
        d = _offset(asset, model)
    position = road.point(asset.s + model.anchor_y_m, d + model.anchor_x_m)
    return Placed(asset, place(model.mesh, road, asset.s, d), model.labelled_from, position, model.height_m)
