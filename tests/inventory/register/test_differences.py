"""What counts as a difference between two registers of the same drives."""

from __future__ import annotations

from datetime import timedelta

import pyarrow as pa
import pytest
from support.registers import EARLY, register

from roadscan.inventory.register.differences import asset_differences

HERE = {"lon": 100.5, "lat": 14.0, "last_drive_id": "d1", "n_observations": 20}
METRE = 1 / 110_600  # degrees of latitude, about


def differences(**now: object) -> dict[str, list[str]]:
    """What differs where the second register has other values."""
    return asset_differences(register(HERE).assets, register(HERE | now).assets)


def test_equal_registers_and_empty_ones_do_not_differ():
    assert differences() == {}
    none = register().assets
    assert asset_differences(none, none) == {}


def test_what_only_one_has_is_gone_or_added():
    one, none = register(HERE).assets, register().assets
    assert asset_differences(one, none) == {"gone": ["a0"]}
    assert asset_differences(none, one) == {"added": ["a0"]}


@pytest.mark.parametrize(
    ("now", "kind"),
    [
        ({"state": "suspect"}, "state"),
        ({"lat": 14.0 + 1.1 * METRE}, "place"),  # its standard deviation is a metre
        ({"n_observations": 23}, "evidence"),  # 3 of 23 frames
        ({"last_drive_id": "d2"}, "evidence"),
        ({"first_seen": EARLY - timedelta(days=1)}, "evidence"),
        ({"last_seen": EARLY + timedelta(hours=4)}, "evidence"),  # 20 o'clock: after midnight
    ],
)
def test_what_a_reader_would_see_is_a_difference(now, kind):
    assert differences(**now) == {kind: ["a0"]}


@pytest.mark.parametrize(
    "now",
    [
        {"lat": 14.0 + 0.9 * METRE},
        {"n_observations": 22},
        {"first_seen": EARLY + timedelta(seconds=1)},
        {"last_seen": EARLY + timedelta(hours=3)},
        {"existence": 0.5},
    ],
)
def test_what_is_within_the_error_is_none(now):
    assert differences(**now) == {}


def test_a_line_may_be_longer_by_twice_its_standard_deviation():
    def rail(length_m: float) -> pa.Table:
        return register({"line": [(100.5, 14.0), (100.5, 14.001)], "length_m": length_m, "last_drive_id": "d1"}).assets

    assert asset_differences(rail(110.0), rail(111.9)) == {}
    assert asset_differences(rail(110.0), rail(112.1)) == {"place": ["a0"]}
