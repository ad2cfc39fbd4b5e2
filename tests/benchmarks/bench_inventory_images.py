"""The register through images: what the detector costs, beside a detector that is given the truth's boxes.

    python tests/benchmarks/bench_inventory_images.py OUT          # about ten minutes on two cores

Drives are rendered, scanned with the demo model and become a register; the same drives' true boxes, seen by chance
(85 %, less where hidden) and with noisy edges, become another. Same roads, same biases, same truth.
"""

from __future__ import annotations

import argparse
import io
import sys
from itertools import count
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.scanned_truth import scan_truth

from roadscan.evaluate.register.scores import score_assets
from roadscan.evaluate.register.truth import seen_assets
from roadscan.inventory import InventoryConfig, update_inventory
from roadscan.inventory.build import build
from roadscan.scan.config import ScanConfig
from roadscan.scan.run import run_scan
from roadscan.schemas import ASSETS
from roadscan.simulate import SimulationConfig, simulate
from roadscan.storage import open_store
from roadscan.survey.drive import find_drives
from roadscan.taxonomy import HIGHWAY
from roadscan.warehouse import Warehouse

STANDING = pa.array(["confirmed", "suspect"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", help="an empty folder")
    parser.add_argument("--km", type=float, default=2.0)
    parser.add_argument("--nights", type=int, default=10)
    parser.add_argument("--seed", type=int, default=77)
    arguments = parser.parse_args()
    roads, house = f"{arguments.out}/roads", f"{arguments.out}/warehouse"
    noise = {"gps_bias_sigma_m": 2.0, "yaw_bias_sigma_deg": 1.5}
    config = SimulationConfig(seed=arguments.seed, length_km=arguments.km, nights=arguments.nights, **noise)
    names = simulate(roads, config).drive_ids
    scan = ScanConfig(drives=tuple(find_drives(f"{roads}/drives")), warehouse=house, model="demo")
    run_scan(scan)
    update_inventory(InventoryConfig(warehouse=house))
    warehouse = Warehouse(house)
    numbers = count()
    given = build(
        [scan_truth(roads, name) for name in names],
        ASSETS.empty_table(),
        HIGHWAY,
        InventoryConfig(warehouse="unused"),
        lambda: f"A{next(numbers)}",
    ).assets
    truth = pq.read_table(io.BytesIO(open_store(f"{roads}/truth").read("assets.parquet")))
    standing = truth.filter(
        (pc.field("first_night") <= arguments.nights) & (pc.field("last_night") >= arguments.nights)
    )
    boxes = [pq.read_table(io.BytesIO(open_store(f"{roads}/truth").read(f"boxes/{name}.parquet"))) for name in names]
    table = Table("", "class", "found", "known", "precision", "recall", "median m", "90 % m")
    for name, assets in (("images", warehouse.read(warehouse.current(), "assets")), ("true boxes", given)):
        found = assets.filter(pc.is_in(assets["state"], STANDING))
        scores = score_assets(found, standing, seen=seen_assets(boxes))
        for kind, score in {**scores.per_class, "all points": scores.overall, **scores.lines}.items():
            place = [f"{scores.position_p50_m:.2f}", f"{scores.position_p90_m:.2f}"] if kind == "all points" else []
            counts = [f"{score.found:.0f}", f"{score.known:.0f}", f"{score.precision:.3f}", f"{score.recall:.3f}"]
            table.add_row(name, kind, *counts, *place)
    Console().print(table)


if __name__ == "__main__":
    main()
