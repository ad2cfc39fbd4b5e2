from __future__ import annotations

from itertools import count

import pyarrow.compute as pc
import pytest
from support.scanned_truth import read_truth, scan_truth

from roadscan.evaluate.register.scores import score_assets
from roadscan.evaluate.register.truth import seen_assets
from roadscan.inventory import InventoryConfig
from roadscan.inventory.build import build
from roadscan.schemas import ASSETS
from roadscan.simulate import SimulationConfig, simulate
from roadscan.taxonomy import HIGHWAY


@pytest.mark.slow
def test_simulated_drives_give_the_assets_that_they_showed(tmp_path):
    """The whole geometry, from rendered boxes of a hilly, bending road to positions, with a fair detector's errors."""
    root, nights = str(tmp_path), 2
    simulation = SimulationConfig(seed=21, length_km=0.8, nights=nights, width_px=640, height_px=360)
    drive_ids = simulate(root, simulation).drive_ids
    numbers = count()
    tables = [scan_truth(root, drive_id) for drive_id in drive_ids]
    config = InventoryConfig(warehouse="unused")
    built = build(tables, ASSETS.empty_table(), HIGHWAY, config, lambda: f"A{next(numbers)}")
    truth = read_truth(root, "assets")
    standing = truth.filter(
        pc.and_(pc.less_equal(truth["first_night"], nights), pc.greater_equal(truth["last_night"], nights))
    )
    confirmed = built.assets.filter(pc.equal(built.assets["state"], "confirmed"))
    seen = seen_assets(read_truth(root, f"boxes/{drive_id}") for drive_id in drive_ids)
    scores = score_assets(confirmed, standing, seen=seen)
    assert scores.overall.known >= 10
    assert scores.overall.precision >= 0.85
    assert scores.overall.recall >= 0.85
    assert scores.position_p50_m <= 3.5
