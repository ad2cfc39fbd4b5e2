from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from support.highway import Highway, drive
from support.registers import Mint, kept_ids, register

from roadscan.inventory.build import DriveTables
from roadscan.inventory.tiles.partition import MARGIN_DEG, TILE_DEG, Tile, halo, owned, partition


def frames_at(lon: list, lat: list) -> DriveTables:
    """A drive with a frame at each place, and an observation in each frame."""
    n = len(lon)
    known = {"frame_id": [f"f{k}" for k in range(n)], "drive_id": ["d"] * n, "camera_lon": lon, "camera_lat": lat}
    both = [
        pa.table({f.name: pa.array(known[f.name], f.type) if f.name in known else pa.nulls(n, f.type) for f in schema})
        for schema in (DRIVE.frames.schema, DRIVE.observations.schema)
    ]
    return DriveTables("d", *both)


DRIVE = drive(Highway(1, 600.0), 1)


def ids(table: pa.Table) -> set[str]:
    return set(table["frame_id"].to_pylist())


def test_no_frames_are_in_no_tile():
    assert list(partition(frames_at([], []))) == []


def test_a_frame_far_from_borders_is_in_one_tile():
    ((tile, part),) = partition(frames_at([100.55], [14.05]))
    assert tile == (1005, 140)
    assert (ids(part.frames), ids(part.observations), part.drive_id) == ({"f0"}, {"f0"}, "d")


def test_rows_of_the_halo_are_in_both_tiles():
    inside, outside = 100.6 - 0.9 * MARGIN_DEG, 100.6 - 1.1 * MARGIN_DEG
    parts = {tile: ids(part.frames) for tile, part in partition(frames_at([inside, outside], [14.05, 14.05]))}
    assert parts == {(1005, 140): {"f0", "f1"}, (1006, 140): {"f0"}}


@pytest.mark.parametrize(("lon", "lat"), [(100.6, 14.1), (-0.1, 0.2), (0.0, 0.0)])
def test_every_frame_is_in_the_tiles_that_need_it(lon, lat):
    rng = np.random.default_rng(3)
    lons, lats = lon + rng.uniform(-0.12, 0.12, 400), lat + rng.uniform(-0.12, 0.12, 400)
    lons[:100], lats[100:200] = lon + rng.normal(0, 0.006, 100), lat + rng.normal(0, 0.006, 100)
    tables = frames_at(lons.tolist(), lats.tolist())
    shuffled = DriveTables("d", tables.frames, tables.observations.take(rng.permutation(400)))
    parts = dict(partition(shuffled))
    wanted: dict[Tile, set[str]] = {}
    for k, (x, y) in enumerate(zip(lons, lats, strict=True)):
        for i in range(int(np.floor(lon * 10)) - 3, int(np.floor(lon * 10)) + 4):
            for j in range(int(np.floor(lat * 10)) - 3, int(np.floor(lat * 10)) + 4):
                beside = max(i * TILE_DEG - x, x - (i + 1) * TILE_DEG, j * TILE_DEG - y, y - (j + 1) * TILE_DEG)
                outside = max(abs(x - (i + 0.5) * TILE_DEG), abs(y - (j + 0.5) * TILE_DEG)) - TILE_DEG / 2
                assert (beside > MARGIN_DEG) == (outside > MARGIN_DEG)
                if beside <= MARGIN_DEG:
                    wanted.setdefault((i, j), set()).add(f"f{k}")
    assert {tile: ids(part.frames) for tile, part in parts.items()} == wanted
    assert {tile: ids(part.observations) for tile, part in parts.items()} == wanted
    assert all(part.frames.num_rows == part.observations.num_rows == len(wanted[tile]) for tile, part in parts.items())


def test_frames_without_a_position_are_in_no_tile():
    parts = dict(partition(frames_at([100.55, None, float("nan")], [14.05, 14.05, 14.05])))
    assert [ids(part.frames) for part in parts.values()] == [{"f0"}]
    assert [ids(part.observations) for part in parts.values()] == [{"f0"}]


def test_a_tile_keeps_what_stands_in_it():
    lats = {"in": 14.05, "out": 13.99, "above": 14.11}
    built = register(*({"asset_id": name, "lon": 100.55, "lat": lat} for name, lat in lats.items()))
    assert kept_ids(owned(built, (1005, 140), Mint("m"))) == ["in"]
    assert kept_ids(owned(built, (1005, 141), Mint("m"))) == ["above"]
    assert kept_ids(owned(built, (1006, 140), Mint("m"))) == []


def test_halo_is_the_tile_and_what_is_near_it():
    places = {"in": 14.05, "margin": 14.0 - 0.9 * MARGIN_DEG, "beyond": 14.0 - 1.1 * MARGIN_DEG}
    rows = [{"asset_id": name, "lon": 100.55, "lat": lat} for name, lat in places.items()]
    line = {"asset_id": "line", "line": [(100.55, 13.9), (100.55, 14.2)]}
    found = halo(register(*rows, line).assets, (1005, 140))
    assert sorted(found["asset_id"].to_pylist()) == ["in", "line", "margin"]
    assert sorted(halo(found, (1005, 140), 0.0)["asset_id"].to_pylist()) == ["in", "line"]
