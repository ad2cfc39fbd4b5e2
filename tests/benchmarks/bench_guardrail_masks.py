"""A guardrail's length and ends from masks against those from boxes: the same frames, the same detections.

    python tests/benchmarks/bench_guardrail_masks.py OUT --model SEGMENTATION_MODEL

Roads are rendered and scanned with a segmentation model. One register is built of what the scan wrote, in which the
ends of a guardrail are where its mask meets the ground; another one of the same observations with the ends that their
boxes give. Both are scored against the truth; intervals are over kilometres of road, of the errors of the ends over
guardrails that both found.
"""

from __future__ import annotations

import argparse
import io
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from roadscan.evaluate.bootstrap import RESAMPLES, draws, percentile_interval
from roadscan.evaluate.register.intervals import Estimate, block_numbers, differences, estimates
from roadscan.evaluate.register.scores import AssetScores, score_assets
from roadscan.evaluate.register.truth import seen_assets
from roadscan.inventory import InventoryConfig
from roadscan.inventory.build import DriveTables, build
from roadscan.scan.config import ScanConfig
from roadscan.scan.measure import measure
from roadscan.scan.run import run_scan
from roadscan.schemas import ASSETS
from roadscan.simulate import SimulationConfig, simulate
from roadscan.storage import open_store
from roadscan.survey.drive import find_drives, read_drive
from roadscan.taxonomy import HIGHWAY, Geometry
from roadscan.warehouse import Warehouse

STANDING = pa.array(["confirmed", "suspect"])
LINES = tuple(one.name for one in HIGHWAY.classes if one.geometry is Geometry.LINE)
ENDS = ("near_bearing_deg", "near_range_m", "far_bearing_deg", "far_range_m")
APART_DEG = 0.5  # between the origins of the roads: none lies on another one


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="an empty folder")
    parser.add_argument("--model", required=True, help="a segmentation model")
    parser.add_argument("--seeds", type=int, nargs="+", default=[8201, 8202, 8203, 8204])
    parser.add_argument("--km", type=float, default=2.0)
    parser.add_argument("--nights", type=int, default=3)
    arguments = parser.parse_args()
    house = str(arguments.out / "warehouse")
    roads = {seed: arguments.out / f"road-{seed}" for seed in arguments.seeds}
    for number, (seed, road) in enumerate(roads.items()):
        if not road.exists():
            simulate(str(road), SimulationConfig(
                seed=seed, length_km=arguments.km, nights=arguments.nights, density=1.5,
                origin_lon=100 + number * APART_DEG,
            ))  # fmt: skip
    drives = [uri for road in roads.values() for uri in find_drives(f"{road}/drives")]
    run_scan(ScanConfig(drives=tuple(drives), warehouse=house, model=arguments.model, task="segment"))
    warehouse = Warehouse(house)
    release = warehouse.current()
    tables = {name: warehouse.read(release, name) for name in ("frames", "observations")}
    truth, seen = _truth(list(roads.values()), arguments.nights)
    found, scores = {}, {}
    for name in ("boxes", "masks"):
        parts = []
        ids = (f"A{number}" for number in count())
        for road in roads.values():
            of_drives = [_tables_of(uri, tables, with_masks=name == "masks") for uri in find_drives(f"{road}/drives")]
            config = InventoryConfig(warehouse="unused")
            parts.append(build(of_drives, ASSETS.empty_table(), HIGHWAY, config, ids.__next__).assets)
        assets = pa.concat_tables(parts)
        kept = pc.and_(pc.is_in(assets["state"], STANDING), pc.is_in(assets["class"], pa.array(LINES)))
        found[name] = assets.filter(kept)
        scores[name] = score_assets(found[name], truth, seen=seen)
    _print(found, scores, truth)


def _truth(roads: list[Path], nights: int) -> tuple[pa.Table, set[str]]:
    """Line assets that stood on the last night, and which were seen; each with its road in its id."""
    parts, seen = [], set()
    for road in roads:
        store = open_store(f"{road}/truth")
        table = pq.read_table(io.BytesIO(store.read("assets.parquet")))
        kept = (pc.field("first_night") <= nights) & (pc.field("last_night") >= nights) & pc.field("class").isin(LINES)
        table = table.filter(kept)
        ids = pc.binary_join_element_wise(road.name, table["asset_id"], "/")
        parts.append(table.set_column(table.column_names.index("asset_id"), "asset_id", ids))
        names = [uri.rstrip("/").rpartition("/")[2] for uri in find_drives(f"{road}/drives")]
        boxes = [pq.read_table(io.BytesIO(store.read(f"boxes/{name}.parquet"))) for name in names]
        seen |= {f"{road.name}/{asset_id}" for asset_id in seen_assets(boxes)}
    return pa.concat_tables(parts), seen


def _tables_of(drive_uri: str, tables: dict[str, pa.Table], *, with_masks: bool) -> DriveTables:
    """What the scan wrote of a drive; without masks the ends of lines are those of their boxes."""
    drive = read_drive(drive_uri)
    frames, observations = (
        tables[name].filter(pc.equal(tables[name]["drive_id"], drive.drive_id)) for name in ("frames", "observations")
    )
    if not with_masks:
        (camera,) = drive.cameras.values()  # its images are of the size that it is known for
        boxes = np.array(observations["box_px"].to_pylist(), float).reshape(-1, 4)
        headings = observations["heading_deg"].to_numpy()
        places = measure(camera, boxes, observations["class"].to_pylist(), HIGHWAY, headings)
        for column in ENDS:
            values = pa.array(np.asarray(places[column], float), from_pandas=True)
            observations = observations.set_column(observations.column_names.index(column), column, values)
    return DriveTables(drive.drive_id, frames, observations)


def _print(found: dict[str, pa.Table], scores: dict[str, AssetScores], truth: pa.Table) -> None:
    together = pa.concat_tables([table.select(["lon", "lat"]) for table in found.values()])
    blocks = block_numbers(together, truth.select(["lon", "lat"]))
    split = found["boxes"].num_rows
    own = {"boxes": replace(blocks, found=blocks.found[:split]), "masks": replace(blocks, found=blocks.found[split:])}
    table = Table("", "found m", "known m", "precision", "recall", "ends: median m", "90 % m", title="Guardrails")
    tallies = {name: list(score.tallies.values()) for name, score in scores.items()}
    for name in scores:
        (one,) = estimates([tallies[name]], own[name], RESAMPLES)
        cells = [_shown(value, 3) for value in (one.precision, one.recall)]
        table.add_row(name, f"{one.found:.0f}", f"{one.known:.0f}", *cells, _shown(one.p50_m, 2), _shown(one.p90_m, 2))
    gain = differences(tallies["boxes"], tallies["masks"], (own["boxes"], own["masks"]), RESAMPLES)
    ends, both = _ends_in_both(scores)
    cells = [_shown(gain["precision"], 3), _shown(gain["recall"], 3), _shown(ends, 2)]
    table.add_row("masks - boxes", "", "", *cells, "")
    Console(width=120).print(table)
    print(f"the ends' difference is the mean over {both} guardrails that both found")


def _ends_in_both(scores: dict[str, AssetScores]) -> tuple[Estimate, int]:
    """How much farther off the ends from masks are than those from boxes, over the guardrails that both found."""
    errors = {}
    for name, score in scores.items():
        errors[name] = {
            (kind, int(known)): float(pair.mean())
            for kind, tally in score.tallies.items()
            for known, pair in zip(tally.known_rows[tally.pairs[:, 1]], tally.errors_m, strict=True)
        }
    both = sorted(errors["boxes"].keys() & errors["masks"].keys())
    difference = np.array([errors["masks"][rail] - errors["boxes"][rail] for rail in both])
    drawn = np.concatenate(
        [weights @ difference / weights.sum(axis=1) for weights in draws(len(both), RESAMPLES, 0, 1000)]
    )
    return Estimate(float(difference.mean()), *percentile_interval(drawn)), len(both)


def _shown(one: Estimate, digits: int) -> str:
    return f"{one.value:.{digits}f} ({one.low:.{digits}f} to {one.high:.{digits}f})"


if __name__ == "__main__":
    main()
