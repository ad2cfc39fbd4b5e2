from __future__ import annotations

import pyarrow as pa
import pytest
from support.truths import SIGN, simulated

from roadscan.errors import WarehouseError
from roadscan.evaluate.register.truth import read_simulated, seen_assets


def test_a_simulation_tells_what_stood_and_what_went(tmp_path):
    uri = simulated(
        tmp_path,
        [("stays", SIGN, 0, 1, 9), ("goes", SIGN, 50, 1, 1), ("comes", SIGN, 99, 2, 9), ("later", SIGN, 200, 3, 9)],
        nights=("d1", "d2", "d3"),
        unseen={"comes"},
    )
    known = read_simulated(uri).after(["d2", "d1"])
    assert known.standing["asset_id"].to_pylist() == ["stays", "comes"]
    assert known.removed["asset_id"].to_pylist() == ["goes"]
    assert known.seen == {"stays", "goes", "later"}
    assert read_simulated(uri).after(["d1"]).removed.num_rows == 0
    with pytest.raises(WarehouseError, match="has no drive d9; expected the truth of the warehouse's own drives"):
        read_simulated(uri).after(["d9"])
    with pytest.raises(WarehouseError, match="the warehouse has no drive"):
        read_simulated(uri).after([])


def test_seen_assets_have_three_boxes_over_all_drives():
    nights = [pa.table({"asset_id": ["a", "a", "b"]}), pa.table({"asset_id": ["a", "c", "b"]})]
    assert seen_assets(nights) == {"a"}
    assert seen_assets([]) == set()
