"""How accurate the register is, against what one would write by hand; simulated observations, no images.

    python tests/benchmarks/bench_inventory.py                   # three roads of 10 km, ten nights each
    python tests/benchmarks/bench_inventory.py --seeds 1 2

Each road has about 460 assets of six classes and twenty guardrails; 5 % of the assets are removed on some night, 5 %
come on another. A drive has a GNSS bias of 2 m an axis that is another one after 120 s, a yaw error of 1.5 degrees,
detects 85 % at best, and invents a detection every ten frames (`support.highway`). The register is built night after
night, each from all drives so far and with the ids of the night before.

By hand: every detection is placed by its bearing and range, places of one class within 5 m of another are one asset,
at their median, if three detections say so.
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
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.highway import Highway, drive

from roadscan.evaluate.register.identity import identity_stability
from roadscan.evaluate.register.scores import AssetScores, score_assets
from roadscan.inventory import InventoryConfig
from roadscan.inventory.build import Built, DriveTables, build
from roadscan.schemas import ASSETS
from roadscan.taxonomy import HIGHWAY, Geometry

CONFIG = InventoryConfig(warehouse="unused")
HELD_SEEDS = (8101, 8102, 8103)  # nothing was tuned on these
NIGHTS = 10
STANDING = pa.array(["confirmed", "suspect"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=HELD_SEEDS)
    parser.add_argument("--km", type=float, default=10.0)
    arguments = parser.parse_args()
    accuracy = Table(
        "seed", "nights", "", "precision", "recall", "median m", "90 % m", title="Assets within 5 m, one to one"
    )
    changes = Table(
        "seed", "removed found", "false alarms", "one id", "guardrail P", "guardrail R", title="After ten nights"
    )
    figures: dict[tuple[int, str], list[list[float]]] = {}
    for seed in arguments.seeds:
        highway = Highway(seed, arguments.km * 1000, nights=NIGHTS)
        drives = [drive(highway, night) for night in range(1, NIGHTS + 1)]
        registers = _nightly(drives)
        for nights in (1, NIGHTS):
            known = standing(highway.truth(), nights)
            found = known_to_stand(registers[nights - 1])
            for name, table in (("roadscan", found), ("by hand", by_hand(drives[:nights]))):
                figure = _figures(score_assets(table, known))
                figures.setdefault((nights, name), []).append(figure)
                accuracy.add_row(str(seed), str(nights), name, *_cells(figure))
        changes.add_row(str(seed), *_over_time(highway, registers))
    for (nights, name), rows in sorted(figures.items()):
        accuracy.add_row("mean", str(nights), name, *_cells(np.mean(rows, axis=0).tolist()))
    Console().print(accuracy, changes)


def _nightly(drives: Sequence[DriveTables]) -> list[Built]:
    """The register after each night."""
    numbers = count()
    registers: list[Built] = []
    for nights in range(1, len(drives) + 1):
        before = registers[-1].assets if registers else ASSETS.empty_table()
        aliases = registers[-1].aliases if registers else None
        mint = lambda: f"A{next(numbers):06d}"  # noqa: E731
        registers.append(build(drives[:nights], before, HIGHWAY, CONFIG, mint, aliases=aliases))
    return registers


def known_to_stand(built: Built) -> pa.Table:
    return built.assets.filter(pc.is_in(built.assets["state"], STANDING))


def standing(truth: pa.Table, night: int) -> pa.Table:
    return truth.filter((pc.field("first_night") <= night) & (pc.field("last_night") >= night))


def _figures(scores: AssetScores) -> list[float]:
    """Precision, recall, median and 90 % error in metres."""
    return [scores.overall.precision, scores.overall.recall, scores.position_p50_m, scores.position_p90_m]


def _cells(figures: list[float]) -> list[str]:
    precision, recall, median, most = figures
    return [f"{precision:.3f}", f"{recall:.3f}", f"{median:.2f}", f"{most:.2f}"]


def _over_time(highway: Highway, registers: list[Built]) -> list[str]:
    """Removed assets that are missing, standing ones that are, assets with one id in all registers, and lines."""
    truth, last = highway.truth(), registers[-1]
    missing = last.assets.filter(pc.equal(last.assets["state"], "missing"))
    removed = truth.filter((pc.field("last_night") < NIGHTS) & (pc.field("geometry") != "line"))
    there = standing(truth, NIGHTS)
    found = score_assets(missing, removed).overall
    false = score_assets(missing, there.filter(pc.field("geometry") != "line")).overall
    stable = identity_stability([known_to_stand(one) for one in registers], truth, last.aliases)
    (line,) = score_assets(known_to_stand(last), there).lines.values()
    return [
        f"{found.true_positives:.0f} of {removed.num_rows}",
        f"{false.true_positives:.0f} of {false.known:.0f}",
        f"{stable.stable} of {stable.compared}",
        f"{line.precision:.3f}",
        f"{line.recall:.3f}",
    ]


def by_hand(drives: Sequence[DriveTables]) -> pa.Table:
    """See above; point and overhead classes."""
    table = pa.concat_tables([one.observations for one in drives])
    table = table.filter(pc.and_(pc.is_valid(table["range_m"]), pc.is_valid(table["bearing_deg"])))
    bearing, distance = np.radians(table["bearing_deg"].to_numpy()), table["range_m"].to_numpy()
    lat = table["camera_lat"].to_numpy() + distance * np.cos(bearing) / 110_650
    width = 111_320 * np.cos(np.radians(lat))
    lon = table["camera_lon"].to_numpy() + distance * np.sin(bearing) / width
    names = np.array(table["class"].to_pylist(), dtype=object)
    rows = []
    for name in sorted(set(names)):
        if HIGHWAY.get(name).geometry is Geometry.LINE:
            continue
        mine = np.flatnonzero(names == name)
        xy = np.stack([lon[mine] * width[mine], lat[mine] * 110_650], axis=1)
        i, j = cKDTree(xy).query_pairs(5.0, output_type="ndarray").T
        graph = coo_matrix((np.ones(len(i)), (i, j)), shape=(len(xy), len(xy)))
        label = connected_components(graph, directed=False)[1]
        for one in np.flatnonzero(np.bincount(label) >= 3):
            place = {"lon": np.median(lon[mine[label == one]]), "lat": np.median(lat[mine[label == one]])}
            rows.append({"asset_id": f"{name}{one}", "class": name, "state": "confirmed"} | place)
    return pa.Table.from_pylist([dict.fromkeys(ASSETS.names) | row for row in rows], schema=ASSETS)


if __name__ == "__main__":
    main()
