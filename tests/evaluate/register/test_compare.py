"""Two registers against the same known assets, a line of poles 50 m apart over twenty kilometres."""

from __future__ import annotations

import math

import pyarrow as pa
import pytest
from support.known_assets import TRUTH, M

from roadscan.evaluate.register.compare import NEAR_M, compare_registers
from roadscan.evaluate.register.truth import Known

KM = 20
PLACES_M = range(0, KM * 1000, 50)


def known(places_m: range = PLACES_M) -> Known:
    rows = [{"asset_id": f"k{x}", "class": "Pole", "lon": x * M, "lat": 0.0, "geometry": "point"} for x in places_m]
    return Known(pa.Table.from_pylist(rows, TRUTH), None, None)


ASSETS = pa.schema([("asset_id", pa.string()), ("class", pa.string()), ("lon", pa.float64()), ("lat", pa.float64()),
                    ("length_m", pa.float64()), ("state", pa.string()), ("geometry", pa.binary())])  # fmt: skip


def register(places_m: list[float], state: str = "confirmed", class_name: str = "Pole", lat_m: float = 0.0) -> pa.Table:
    rows = [{"asset_id": f"a{x}-{lat_m}", "class": class_name, "lon": x * M, "lat": lat_m * M, "state": state}
            for x in places_m]  # fmt: skip
    return pa.Table.from_pylist(rows, ASSETS)


ALL = register(list(PLACES_M))


def test_a_register_is_as_good_as_itself() -> None:
    made = compare_registers(ALL, ALL, known())
    assert {name: (one.value, one.low, one.high) for name, one in made.items()} == {
        "precision": (0.0, 0.0, 0.0), "recall": (0.0, 0.0, 0.0),
    }  # fmt: skip


def test_every_tenth_that_is_lost_is_a_tenth_of_recall_and_surely_worse() -> None:
    made = compare_registers(ALL, register([x for x in PLACES_M if x % 500]), known())
    assert made["recall"].value == pytest.approx(-0.1)
    assert -0.11 < made["recall"].low <= made["recall"].high < -0.09  # the same in every kilometre
    assert made["precision"].value == 0


def test_one_that_is_lost_is_chance() -> None:
    made = compare_registers(ALL, register([x for x in PLACES_M if x != 7000]), known())
    assert made["recall"].value == pytest.approx(-1 / len(PLACES_M))
    assert made["recall"].low < 0 == made["recall"].high  # its kilometre is in two of three resamples


def test_what_is_found_twice_is_a_loss_of_precision() -> None:
    made = compare_registers(ALL, pa.concat_tables([ALL, register(list(PLACES_M), lat_m=20.0)]), known())
    assert made["precision"].value == pytest.approx(-0.5)
    assert made["precision"].high < -0.4


@pytest.mark.parametrize(
    "more",
    [
        register(list(PLACES_M), lat_m=2 * NEAR_M),  # elsewhere
        register(list(PLACES_M), class_name="Bus Stop"),  # a class that nobody listed
        register(list(PLACES_M), state="candidate", lat_m=20.0),  # not said to stand
    ],
)
def test_what_nobody_can_judge_is_not_judged(more: pa.Table) -> None:
    made = compare_registers(ALL, pa.concat_tables([ALL, more]), known())
    assert [(one.value, one.high) for one in made.values()] == [(0, 0), (0, 0)]


def test_a_register_with_more_road_is_better_and_not_worse() -> None:
    made = compare_registers(register(list(PLACES_M)[:200]), ALL, known())
    assert made["recall"].value == pytest.approx(0.5)
    assert made["recall"].low > 0


def test_one_stretch_of_a_kilometre_gives_no_interval() -> None:
    made = compare_registers(ALL, register([0.0]), known(range(0, 1000, 50)))
    assert made["recall"].value < -0.9
    assert math.isnan(made["recall"].high)
