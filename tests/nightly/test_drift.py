from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
from support.nights import Scan, config_of, drive_of_night, run

from roadscan.inventory import query
from roadscan.nightly.drift import ASKED, FEWEST, NIGHTS, Tally, nights_before, rates, tally
from roadscan.schemas import RUNS

BANGKOK = ZoneInfo("Asia/Bangkok")


def nights_of(counts: list[int], km: float = 100.0) -> list[Tally]:
    return [Tally(km, {"Bus Stop": count}) for count in counts]


def usual_nights(seed: int, nights: int = NIGHTS) -> list[Tally]:
    """Rates that differ from night to night by a fifth, as roads do; 50 detections a kilometre."""
    rng = np.random.default_rng(seed)
    km = rng.uniform(50, 200, nights)
    return [Tally(one, {"Bus Stop": int(rng.poisson(50 * one * rng.normal(1, 0.2)))}) for one in km]


def test_poisson_nights_have_the_limits_of_a_u_chart() -> None:
    """With half of the nights within 0.67 of a Poisson standard deviation, Laney's factor is 1: 100 ± 3 √100."""
    (rate,) = rates(
        Tally(1.0, {"Bus Stop": 100}), nights_of([94, 96, 98, 99, 100, 100, 101, 102, 104, 106], 1.0)
    ).values()
    assert (rate.usual, rate.low, rate.high, rate.drifted) == (100.0, 70.0, 130.0, False)


@pytest.mark.parametrize(("count", "drifted"), [(69, True), (70, False), (130, False), (131, True)])
def test_a_night_outside_of_the_limits_has_drifted(count: int, drifted: bool) -> None:
    before = nights_of([94, 96, 98, 99, 100, 100, 101, 102, 104, 106], 1.0)
    assert rates(Tally(1.0, {"Bus Stop": count}), before)["Bus Stop"].drifted is drifted


def test_roads_that_differ_widen_the_limits() -> None:
    alarms = sum(
        rates(usual_nights(seed + 1, 1)[0], usual_nights(seed))["Bus Stop"].drifted for seed in range(0, 800, 2)
    )
    assert 0 <= alarms <= 16  # 4 % of 400; a Poisson chart would call nearly every night


def test_a_camera_that_sees_a_quarter_is_found_among_roads_that_differ() -> None:
    found = 0
    for seed in range(0, 200, 2):
        (tonight,) = usual_nights(seed + 1, 1)
        less = Tally(tonight.km, {"Bus Stop": tonight.detections["Bus Stop"] // 4})
        found += rates(less, usual_nights(seed))["Bus Stop"].drifted
    assert found >= 80


def test_bad_nights_among_those_before_move_little() -> None:
    """Four of thirty: the mean and the standard deviation of all would let anything pass from then on."""
    before = nights_of([4800 + 400 * (night % 2) for night in range(NIGHTS)])
    wild = [Tally(one.km, {"Bus Stop": 0}) for one in before[:4]] + before[4:]
    clean, with_bad = (rates(Tally(100.0, {"Bus Stop": 3000}), nights)["Bus Stop"] for nights in (before, wild))
    assert with_bad.usual == pytest.approx(clean.usual, rel=0.05)
    assert (clean.drifted, with_bad.drifted) == (True, True)


def test_a_class_that_is_gone_and_one_that_is_new_are_both_told() -> None:
    found = rates(Tally(100.0, {"Pole": 40}), nights_of([4000] * FEWEST))
    assert {name: rate.drifted for name, rate in found.items()} == {"Bus Stop": True, "Pole": True}


def test_too_few_nights_say_nothing() -> None:
    found = rates(Tally(100.0, {"Bus Stop": 1}), nights_of([4000] * (FEWEST - 1)))["Bus Stop"]
    assert (found.per_km, found.usual, found.drifted) == (0.01, None, False)
    assert rates(Tally(0.0, {"Bus Stop": 3}), nights_of([4000] * FEWEST)) == {}


def run_row(drive_id: str, began: datetime | None, **changes: Any) -> dict[str, Any]:
    detections = [{"class": "Pole", "count": 3}]
    return {"drive_id": drive_id, "started_at": began, "length_m": 500.0, "detections": detections, **changes}


def table(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, pa.schema([RUNS.field(name) for name in ASKED]))


def test_nights_are_dates_in_the_time_zone_with_the_drives_of_each_together() -> None:
    rows = [
        run_row("a", datetime(2026, 11, 1, 12, tzinfo=UTC)),
        run_row("b", datetime(2026, 11, 1, 18, tzinfo=UTC)),  # the 2nd in Bangkok
        run_row("c", datetime(2026, 11, 2, 9, tzinfo=UTC)),
        run_row("tonight", datetime(2026, 11, 2, 10, tzinfo=UTC)),
        run_row("later", datetime(2026, 11, 4, 10, tzinfo=UTC)),
        run_row("timeless", None),
        run_row("of an earlier version", datetime(2026, 10, 31, 9, tzinfo=UTC), length_m=None, detections=None),
    ]
    before = nights_before(table(rows), date(2026, 11, 3), {"tonight"}, BANGKOK)
    assert before == [Tally(1.0, {"Pole": 6}), Tally(0.5, {"Pole": 3})]


def test_only_the_last_nights_are_held_against_it() -> None:
    rows = [
        run_row(f"d{day}", datetime(2026, 1, 1, tzinfo=UTC).replace(month=1 + day // 28, day=1 + day % 28))
        for day in range(56)
    ]
    assert len(nights_before(table(rows), date(2026, 11, 3), set(), BANGKOK)) == NIGHTS


def test_drives_of_an_earlier_version_are_left_out_of_a_night() -> None:
    old = run_row("old", None, length_m=None, detections=None)
    assert tally([run_row("new", None), old]) == Tally(0.5, {"Pole": 3})


@pytest.mark.slow
def test_a_night_that_finds_nothing_is_told_after_ten_that_found_something(tmp_path: Path, detect_model: str) -> None:
    """Twelve nights by the job itself: kilometres and counts come from the drives' own rows."""
    config = config_of(tmp_path, detect_model)
    for night in range(1, 13):
        drive_of_night(tmp_path, night, n=11)
    code, told = run(config, Scan(classes=["Bus Stop"]), first=1, last=11)
    assert code == 0
    assert {one.km for one in told} == {0.1}  # eleven frames, ten metres apart
    assert [one.rates["Bus Stop"].per_km for one in told] == pytest.approx([110.0] * 11, abs=0.1)
    assert [one.rates["Bus Stop"].usual is None for one in told] == [True] * 10 + [False]
    code, (blind,) = run(config, Scan(), one=12)
    assert (code, blind.outcome, blind.rates["Bus Stop"].drifted) == (0, "complete", True)
    low = blind.rates["Bus Stop"].low
    assert low == pytest.approx((11 - 3 * 11**0.5) / 0.1, abs=0.1)  # equal nights: a Poisson count's own deviation
    assert f"drift: Bus Stop: 0 detections/km; {low:g} to " in blind.text()
    sql = "SELECT drive_id, length_m, unnest(detections) AS one FROM runs WHERE drive_id = 'd1'"
    (row,) = query(config.warehouse, sql).to_pylist()
    assert row == {"drive_id": "d1", "length_m": pytest.approx(100, abs=0.1), "one": {"class": "Bus Stop", "count": 11}}
