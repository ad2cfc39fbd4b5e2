from __future__ import annotations

import math

import pyarrow as pa
import pytest
from support.known_assets import found, truth

from roadscan.errors import WarehouseError
from roadscan.evaluate.register.identity import current_ids, identity_stability

ALIASES = pa.schema([("alias_id", pa.string()), ("asset_id", pa.string())])


def aliases(**pairs):
    return pa.Table.from_pylist([{"alias_id": a, "asset_id": b} for a, b in pairs.items()], schema=ALIASES)


def test_ids_are_followed_over_registers():
    known = truth(("t0", "sign", 0), ("t1", "sign", 50), ("t2", "sign", 100), lines=[("rail", "rail", 0, 100)])
    nights = [
        found(("a", "sign", 0), ("b", "sign", 50), lines=[("r", "rail", 0, 90, 0)]),
        found(("a", "sign", 1), ("c", "sign", 51), ("d", "sign", 100), lines=[("r", "rail", 0, 100, 0)]),
        found(("a", "sign", 0), lines=[("r", "rail", 0, 95, 0)]),
    ]
    stability = identity_stability(nights, known)
    assert (stability.registers, stability.matched, stability.compared, stability.stable) == (3, 4, 3, 2)
    assert stability.ids == {"t0": 1, "t1": 2, "t2": 1, "rail": 1}  # t1 had b, then c
    assert (stability.share, stability.ids_per_asset) == pytest.approx((2 / 3, 5 / 4))
    merged = identity_stability(nights, known, aliases(b="x", x="c"))
    assert (merged.stable, merged.share) == (3, 1.0)


def test_an_id_that_moves_to_another_asset_is_told():
    known = truth(("t0", "sign", 0), ("t1", "sign", 50))
    stability = identity_stability([found(("a", "sign", 0)), found(("a", "sign", 50))], known)
    assert (stability.compared, stability.shared_ids) == (0, 1)
    assert math.isnan(stability.share)
    assert math.isnan(identity_stability([], known).ids_per_asset)


def test_aliases_are_followed_to_their_end_and_never_in_a_circle():
    assert current_ids(aliases(a="b", b="c", d="c", e="a")) == {"a": "c", "b": "c", "d": "c", "e": "c"}
    assert current_ids(aliases()) == {}
    for circle in (aliases(a="a"), aliases(x="a", a="b", b="a")):
        with pytest.raises(WarehouseError, match="stands for itself"):
            current_ids(circle)
