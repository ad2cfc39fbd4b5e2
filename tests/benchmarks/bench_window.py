"""What weighing the last drives of a road costs and is worth, against weighing all of them every night.

    python tests/benchmarks/bench_window.py                       # three roads of 3 km, forty nights each
    python tests/benchmarks/bench_window.py --seeds 1 --nights 60 --window 10

The roads, drives and seeds of `bench_inventory.py`. The register is built night after night, each time from the drives
that are still weighed together and what the others came to; after the last night it is built of all drives together,
with the ids of the night before. CPU seconds are of the drives' fusion alone, what each drive says being known.

What differs is told by `roadscan.inventory.register.differences`, of all assets that either register has; each that
stands by one of them is named, with how far both have it from the nearest asset of its class that truly stands there
(of a line: how much longer it is), and whether another asset of that register is nearer to that one: then it is one too
many. "Apart" is the length of the mean of the differences of all places: how far the registers as wholes are.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console
from rich.table import Table
from scipy.spatial import cKDTree

sys.path.insert(0, str(Path(__file__).parents[1]))
from bench_inventory import HELD_SEEDS
from support.highway import Highway, drive

from roadscan.evaluate.register.scores import score_assets
from roadscan.inventory import InventoryConfig
from roadscan.inventory.build import Built, build_together
from roadscan.inventory.drive.record import DriveAlone, read_alone
from roadscan.inventory.register.differences import asset_differences
from roadscan.schemas import ASSETS
from roadscan.survey.geodesy import LocalFrame
from roadscan.taxonomy import HIGHWAY

STANDING = pa.array(["confirmed", "suspect"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=HELD_SEEDS)
    parser.add_argument("--km", type=float, default=3.0)
    parser.add_argument("--nights", type=int, default=40)
    parser.add_argument("--window", type=int, default=20)
    arguments = parser.parse_args()
    accuracy = Table(
        "seed", "", "CPU s of the last night", "precision", "recall", "median m", "90 % m", "lines P", "lines R"
    )
    differing = Table("seed", "apart m", "assets that stand", "of them differ", "others", "of them differ", "how")
    named = Table("seed", "asset", "class", "differs in", "window", "all")
    config = InventoryConfig(warehouse="unused", matching={"window_drives": arguments.window})
    for seed in arguments.seeds:
        road = Highway(seed, arguments.km * 1000, nights=arguments.nights)
        enu = LocalFrame(road.lon, road.lat)
        tables = [drive(road, night) for night in range(1, arguments.nights + 1)]
        alone = [read_alone(one.drive_id, one.frames, one.observations, HIGHWAY, config, enu) for one in tables]
        nightly, seconds = _nightly(alone, config, enu)
        begun = time.process_time()
        whole, _ = build_together(alone, nightly.assets, HIGHWAY, config, _names("B"), enu, nightly.aliases)
        for name, built, cost in (("window", nightly, seconds), ("all", whole, time.process_time() - begun)):
            accuracy.add_row(str(seed), name, f"{cost:.2f}", *_figures(road, built, arguments.nights))
        apart_m = f"{_apart_m(road, nightly.assets, whole.assets):.2f}"
        differing.add_row(str(seed), apart_m, *_differing(nightly.assets, whole.assets))
        for row in _named(road, nightly.assets, whole.assets, arguments.nights):
            named.add_row(str(seed), *row)
    Console(width=150).print(accuracy, differing, named)


def _nightly(alone: list[DriveAlone], config: InventoryConfig, enu: LocalFrame) -> tuple[Built, float]:
    """The register after the last night, and what that night cost, in CPU seconds."""
    built, prior, seconds, mint = Built(*[ASSETS.empty_table()] * 4), None, 0.0, _names("A")
    aliases = None
    for nights in range(1, len(alone) + 1):
        gone = set(prior.drive_ids) if prior else set()
        weighed = [one for one in alone[:nights] if one.drive.drive_id not in gone]
        begun = time.process_time()
        built, prior = build_together(weighed, built.assets, HIGHWAY, config, mint, enu, aliases, prior)
        seconds, aliases = time.process_time() - begun, built.aliases
    return built, seconds


def _names(letter: str):
    numbers = count()
    return lambda: f"{letter}{next(numbers):06d}"


def _figures(road: Highway, built: Built, nights: int) -> list[str]:
    truth = road.truth()
    truth = truth.filter((pc.field("first_night") <= nights) & (pc.field("last_night") >= nights))
    scores = score_assets(built.assets.filter(pc.is_in(built.assets["state"], STANDING)), truth)
    (line,) = scores.lines.values()
    shares = (scores.overall.precision, scores.overall.recall)
    metres = (scores.position_p50_m, scores.position_p90_m)
    return (
        [f"{x:.3f}" for x in shares]
        + [f"{x:.2f}" for x in metres]
        + [f"{x:.3f}" for x in (line.precision, line.recall)]
    )


def _differing(nightly: pa.Table, whole: pa.Table) -> list[str]:
    """How many assets differ, of those that stand by either register and of the others, and how."""
    found = asset_differences(nightly, whole)
    stands = {
        row["asset_id"]
        for table in (nightly, whole)
        for row in table.filter(pc.is_in(table["state"], STANDING)).select(["asset_id"]).to_pylist()
    }
    everyone = set(nightly["asset_id"].to_pylist()) | set(whole["asset_id"].to_pylist())
    differ = {one for names in found.values() for one in names}
    how = Counter((kind, "stands" if one in stands else "other") for kind, names in found.items() for one in names)
    told = ", ".join(f"{number} {kind} ({who})" for (kind, who), number in sorted(how.items()))
    return [str(len(stands)), str(len(differ & stands)), str(len(everyone - stands)), str(len(differ - stands)), told]


def _apart_m(road: Highway, nightly: pa.Table, whole: pa.Table) -> float:
    """How far the point assets that both registers have confirmed stand apart on average: in one direction."""
    sure = [
        {row["asset_id"]: row for row in table.to_pylist() if row["state"] == "confirmed" and row["length_m"] is None}
        for table in (nightly, whole)
    ]
    both = [one for one in sure[0] if one in sure[1]]
    mine, theirs = (_metres(road, [rows[one] for one in both]) for rows in sure)
    return float(np.hypot(*(mine - theirs).mean(axis=0)))


def _named(road: Highway, nightly: pa.Table, whole: pa.Table, nights: int) -> Iterator[list[str]]:
    """Each asset that differs and stands by either register, and what both have of it."""
    found = asset_differences(nightly, whole)
    sides = [{row["asset_id"]: row for row in table.to_pylist()} for table in (nightly, whole)]
    standing = STANDING.to_pylist()
    for one in sorted({name for names in found.values() for name in names}):
        rows = [side.get(one) for side in sides]
        if any(row and row["state"] in standing for row in rows):
            kinds = ", ".join(kind for kind, names in found.items() if one in names)
            told = [_told(road, row, side.values(), nights) for row, side in zip(rows, sides, strict=True)]
            yield [one, next(row["class"] for row in rows if row), kinds, *told]


def _told(road: Highway, row: dict | None, register: Iterable[dict], nights: int) -> str:
    """What a register has of an asset, and how far that is from the truth."""
    if row is None:
        return "not there"
    said = f"{row['state']}, {row['n_observations']} frames"
    there = [one for one in road.truth().to_pylist() if one["class"] == row["class"]]
    there = [one for one in there if one["first_night"] <= nights <= one["last_night"]]
    places, here = _metres(road, there), _metres(road, [row])
    off_m, nearest = cKDTree(places).query(here[0])
    if row["length_m"] is not None:
        x, y = road.home.to_xy(np.array(there[nearest]["lons"]), np.array(there[nearest]["lats"]))
        return f"{said}, {row['length_m'] - np.hypot(np.diff(x), np.diff(y)).sum():+.1f} m long"
    alike = [one for one in register if one["class"] == row["class"]]
    closest = cKDTree(_metres(road, alike)).query(places[nearest])[1]
    return f"{said}, {off_m:.1f} m off" + ("" if alike[closest] is row else ": one too many")


def _metres(road: Highway, rows: list[dict]) -> np.ndarray:
    return np.stack(road.home.to_xy(*(np.array([row[name] for row in rows]) for name in ("lon", "lat"))), axis=1)


if __name__ == "__main__":
    main()
