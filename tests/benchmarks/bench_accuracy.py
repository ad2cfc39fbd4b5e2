"""What drives of different accuracy make of a register together; simulated observations, no images.

    python tests/benchmarks/bench_accuracy.py                  # three roads of 5 km
    python tests/benchmarks/bench_accuracy.py --seeds 1 2

One drive with a post-processed trajectory (2 cm an axis, heading 0.1 degrees), then 1, 2, 5 and 10 drives with a bias
of 2 m an axis that is another one after 120 s and a yaw error of 1.5 degrees (`support.highway`). Each says how sure it
is (`pos_sigma_m`, `heading_sigma_deg`), or none does: then all drives count alike. The register is built from all at
once, and held against the truth one to one within 5 m: all its assets, and those that the exact drive found by itself.

Then one drive of 2 m alone, with the places of some assets surveyed to 0.1 m: control points, drawn by chance from all
classes. The last column is of the others.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from itertools import count
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))
from bench_inventory import known_to_stand, standing
from support.highway import Highway, Noise, drive

from roadscan.evaluate.register.scores import score_assets
from roadscan.inventory import InventoryConfig
from roadscan.inventory.build import DriveTables, build
from roadscan.inventory.control import CONTROL
from roadscan.schemas import ASSETS
from roadscan.taxonomy import HIGHWAY

CONFIG = InventoryConfig(warehouse="unused")
HELD_SEEDS = (8111, 8112, 8113)  # nothing was tuned on these
EXACT = {"gnss_sigma_m": 0.02, "jitter_m": 0.02, "yaw_sigma_deg": 0.1, "heading_jitter_deg": 0.05}
MORE = (0, 1, 2, 5, 10)
PER_KM = (0, 3, 10)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=HELD_SEEDS)
    parser.add_argument("--km", type=float, default=5.0)
    arguments = parser.parse_args()
    table = Table(
        "seed", "accuracy", "drives of 2 m", "precision", "recall", "median m", "90 % m", "median m, same assets"
    )
    for seed in arguments.seeds:
        for told in (True, False):
            for more, figures in zip(MORE, run(seed, arguments.km, told=told), strict=True):
                table.add_row(str(seed), "told" if told else "not told", str(more), *(f"{one:.3f}" for one in figures))
    pinned = Table("seed", "control points a km", "precision", "recall", "median m", "90 % m", "median m, the others")
    for seed in arguments.seeds:
        for per_km, figures in zip(PER_KM, run_with_control(seed, arguments.km), strict=True):
            pinned.add_row(str(seed), str(per_km), *(f"{one:.3f}" for one in figures))
    Console().print(table, pinned)


def run_with_control(seed: int, km: float) -> list[list[float]]:
    """The figures of one drive of 2 m with so many control points a km, `PER_KM`."""
    highway = Highway(seed, km * 1000, nights=1, changing=0.0)
    drives, truth = [drive(highway, 1)], standing(highway.truth(), 1)
    points = truth.filter(pc.equal(truth["geometry"], "point"))
    order = np.random.default_rng(seed).permutation(points.num_rows)
    found = []
    for per_km in PER_KM:
        chosen = points.take(pa.array(order[: round(per_km * km)]))
        names = [chosen["asset_id"] if name == "control_id" else chosen[name] for name in CONTROL.names[:-1]]
        control = pa.Table.from_arrays([*names, pa.array(np.full(len(chosen), 0.1))], schema=CONTROL)
        others = truth.filter(pc.invert(pc.is_in(truth["asset_id"], control["control_id"].combine_chunks())))
        found.append(figures(register(drives, control), truth, others))
    return found


def run(seed: int, km: float, *, told: bool) -> list[list[float]]:
    """The figures of an exact drive, and so many more, `MORE`."""
    highway = Highway(seed, km * 1000, nights=1, changing=0.0)
    drives = [drive(highway, 1, Noise(told=told, **EXACT))]
    drives += [drive(highway, night, Noise(told=told)) for night in range(2, max(MORE) + 2)]
    truth = standing(highway.truth(), 1)
    found = [register(drives[: more + 1]) for more in MORE]
    same = score_assets(found[0], truth).matches.values()
    seen = truth.filter(pc.is_in(truth["asset_id"], pa.array(list(same))))
    return [figures(one, truth, seen) for one in found]


def register(drives: Sequence[DriveTables], control: pa.Table | None = None) -> pa.Table:
    """The assets that drives know to stand."""
    numbers = count()
    mint = lambda: f"A{next(numbers):06d}"  # noqa: E731
    return known_to_stand(build(drives, ASSETS.empty_table(), HIGHWAY, CONFIG, mint, control=control))


def figures(found: pa.Table, truth: pa.Table, seen: pa.Table) -> list[float]:
    """Precision, recall, median and 90 % error in metres, and the median of the known assets in `seen`."""
    scores = score_assets(found, truth)
    errors = [scores.position_p50_m, scores.position_p90_m, score_assets(found, seen).position_p50_m]
    return [scores.overall.precision, scores.overall.recall, *errors]


if __name__ == "__main__":
    main()
