from __future__ import annotations

import numpy as np
import pytest
from support.world import Known, World, drive

from roadscan.config import replace_fields
from roadscan.inventory import InventoryConfig
from roadscan.inventory.build import build
from roadscan.inventory.fuse.existence import (
    ABSENT,
    BIRTH,
    BIRTH_UNSEEN,
    CONFIRM_AT,
    FLOOR,
    MISSING_AT,
    SEEN_MAX,
    Standing,
    State,
    filter_existence,
    log_likelihood_ratio,
)
from roadscan.inventory.fuse.visibility import Visibility
from roadscan.schemas import ASSETS
from roadscan.taxonomy import HIGHWAY

INVENTORY = InventoryConfig(warehouse="unused")
CONFIG = INVENTORY.existence
SEEN, MISSED, WEAK, AWAY = (7, 10), (0, 10), (1, 4), None  # (hits, opportunities) of one drive, or none
HIDDEN = np.log(CONFIG.occlusion_probability)  # -3.51: no absence says more


def visibility_of(*assets: list[tuple[int, int] | None], unclear: set[tuple[int, int]] = frozenset()) -> Visibility:
    """Visibility from one list for each asset: hits and opportunities of every drive."""
    rows = [
        (drive, asset, *said)
        for asset, drives in enumerate(assets)
        for drive, said in enumerate(drives)
        if said is not None
    ]
    table = np.array(sorted(rows), np.int64).reshape(-1, 4)
    blurred = np.array([(asset, drive) in unclear for drive, asset, *_ in table.tolist()], bool)
    return Visibility(table[:, 1], table[:, 0], table[:, 2], table[:, 3], blurred)


def followed(*assets: list[tuple[int, int] | None], known: bool = True, **more) -> Standing:
    visibility = visibility_of(*assets, **more)
    n = len(assets)
    return filter_existence(
        visibility, log_likelihood_ratio(visibility, np.zeros(n, np.int64), CONFIG), np.full(n, known), CONFIG
    )


def story(*drives: tuple[int, int] | None, **more) -> tuple[str, list[tuple[str, int]]]:
    """The state after the last drive, and what changed by which drive, of one asset."""
    standing = followed(list(drives), **more)
    return State(standing.state[0]).label, list(zip(standing.change, standing.by.tolist(), strict=True))


def test_no_opportunities_and_no_assets():
    standing = followed()
    assert (len(standing.existence), len(standing.state), standing.change) == (0, 0, [])
    nothing = followed([AWAY, AWAY])
    assert (State(nothing.state[0]).label, nothing.existence[0]) == ("candidate", 0.0)


@pytest.mark.parametrize(
    ("drives", "state", "changes"),
    [
        ([SEEN], "confirmed", []),
        ([SEEN, MISSED], "suspect", [("suspect", 1)]),
        ([SEEN, SEEN, SEEN, SEEN, MISSED], "suspect", [("suspect", 4)]),
        ([SEEN, MISSED, MISSED], "missing", [("suspect", 1), ("missing", 2)]),
        ([SEEN, SEEN, SEEN, SEEN, MISSED, MISSED], "missing", [("suspect", 4), ("missing", 5)]),
        ([SEEN, MISSED, MISSED, MISSED, MISSED], "missing", [("suspect", 1), ("missing", 2)]),
        ([WEAK], "candidate", []),
        ([WEAK, MISSED], "candidate", []),
        ([SEEN, SEEN, MISSED, SEEN], "confirmed", [("suspect", 2)]),  # a night behind a lorry
        ([SEEN, SEEN, MISSED, SEEN, MISSED, SEEN], "confirmed", [("suspect", 2), ("suspect", 4)]),
    ],
)
def test_states_and_changes(drives, state, changes):
    assert story(*drives) == (state, changes)


def test_two_weak_drives_do_what_one_does_not():
    weak = (2, 6)  # 2 log(p/q) + 4 log((1-p)/(1-q)) is below 4 with p about 0.5
    assert story(weak)[0] == "candidate"
    assert story(weak, weak, weak)[0] == "confirmed"


@pytest.mark.parametrize("before", [[SEEN], [SEEN, MISSED], [SEEN, MISSED, MISSED], [WEAK]])
def test_not_looked_at_changes_nothing_however_many_drives(before):
    """Another asset, of another class, is looked at by every drive, so that every drive is followed."""
    once = followed(before)
    visibility = visibility_of([*before, *[AWAY] * 50], [SEEN] * (len(before) + 50))
    later = filter_existence(
        visibility, log_likelihood_ratio(visibility, np.array([0, 1]), CONFIG), np.ones(2, bool), CONFIG
    )
    assert later.existence[0] == once.existence[0]
    assert later.state[0] == once.state[0]
    assert (later.changed == 0).sum() == len(once.change)


@pytest.mark.parametrize("nights", [1, 2, 5])
def test_one_drive_that_saw_it_well_brings_back_what_was_missing(nights):
    state, changes = story(*[SEEN] * nights, MISSED, MISSED, SEEN)
    assert (state, changes[-1]) == ("confirmed", ("reappeared", nights + 2))


def test_a_weak_look_does_not_bring_back_what_is_missing():
    assert story(*[SEEN] * 5, MISSED, MISSED, WEAK)[0] == "missing"


@pytest.mark.parametrize("absences", [2, 5, 50])
def test_a_long_absence_weighs_no_more_than_a_short_one(absences):
    state, changes = story(*[SEEN] * 3, *[MISSED] * absences, SEEN)
    assert (state, changes[-1]) == ("confirmed", ("reappeared", 3 + absences))
    assert followed([SEEN, *[MISSED] * 50]).existence[0] == pytest.approx(_chance(FLOOR))
    assert followed([WEAK, *[MISSED] * 50]).existence[0] < 0.01  # what never was confirmed is forgotten


def test_new_is_only_what_an_earlier_drive_had_looked_for():
    assert story(MISSED, SEEN, SEEN) == ("confirmed", [("new", 1)])
    assert story(AWAY, SEEN, SEEN) == ("confirmed", [])
    assert story(SEEN, MISSED, SEEN)[1] == [("suspect", 1)]  # confirmed before: not new the second time
    glance = (0, 1)  # log(0.03 + 0.97 * 0.3) = -1.1: one look is no absence
    assert story(glance, SEEN, SEEN) == ("confirmed", [])


def test_what_an_earlier_drive_missed_needs_more_to_be_believed():
    weak = (2, 6)
    seen, looked = followed([AWAY, weak]).existence[0], followed([MISSED, weak]).existence[0]
    said = float(log_likelihood_ratio(visibility_of([weak]), np.zeros(1, np.int64), CONFIG)[0])
    assert (seen, looked) == pytest.approx((_chance(BIRTH + said), _chance(BIRTH_UNSEEN + said)))
    assert looked < seen


def test_an_estimate_of_nowhere_confirms_nothing():
    """Also in the whole register: `confirm_sigma_m` below the GNSS's own 1.5 m leaves candidates only."""
    tables = drive(World(7, 400.0, [Known("p", "Single-Arm Pole", 200.0, 6.0)]), 0, false_per_frame=0.0)
    for confirm_sigma_m, state in ((1.0, "candidate"), (6.0, "confirmed")):
        config = replace_fields(INVENTORY, {"existence.confirm_sigma_m": confirm_sigma_m})
        built = build([tables], ASSETS.empty_table(), HIGHWAY, config, lambda: "a")
        assert built.assets["state"].to_pylist() == [state]
    assert story(SEEN, SEEN, SEEN, known=False) == ("candidate", [])
    assert story(SEEN, SEEN, SEEN, MISSED, MISSED, known=False) == ("candidate", [])
    assert story(SEEN, SEEN, SEEN, known=True) == ("confirmed", [])


def test_a_detection_that_may_have_been_it_is_no_absence():
    assert story(SEEN, SEEN, MISSED, unclear={(0, 2)}) == ("confirmed", [])
    assert story(SEEN, SEEN, MISSED, unclear={(1, 2)}) == ("suspect", [("suspect", 2)])


@pytest.mark.parametrize("hits", [1, 3, 30, 3000])
def test_what_one_drive_says_is_bounded(hits):
    said = log_likelihood_ratio(visibility_of([(hits, hits)], [(0, hits)], [(1, hits)]), np.zeros(3, np.int64), CONFIG)
    assert said.max() <= SEEN_MAX
    assert said.min() >= HIDDEN
    assert said[visibility_of([(hits, hits)], [(0, hits)], [(1, hits)]).asset == 2] >= 0.5  # seen once in however many


def test_one_drive_that_saw_it_a_thousand_times_does_not_outvote_two_that_did_not():
    assert story((1000, 1000), MISSED, MISSED)[0] == "missing"


def test_the_log_likelihood_ratio_by_hand():
    """One asset, 7 of 10: usual = (7 + 8)/(10 + 10) = 0.75, p = (7 + 4 * 0.75)/(10 + 4) = 10/14."""
    p = 10 / 14
    said = log_likelihood_ratio(visibility_of([SEEN, (0, 2), AWAY]), np.zeros(1, np.int64), CONFIG)
    unseen = np.log(0.03 + 0.97 * (1 - p) ** 2)  # -2.2
    strong = 7 * np.log(p / 0.05) + 3 * np.log((1 - p) / 0.95)
    assert said == pytest.approx([5 * (1 - np.exp(-strong / 5)), unseen])
    weak = log_likelihood_ratio(visibility_of([(2, 8)]), np.zeros(1, np.int64), CONFIG)
    p = (2 + 4 * (10 / 18)) / 12
    weakly = 2 * np.log(p / 0.05) + 6 * np.log((1 - p) / 0.95)
    assert weak == pytest.approx([max(0.5, 5 * (1 - np.exp(-weakly / 5)))])


def test_a_class_that_is_detected_rarely_is_missed_less():
    """Two classes with ten assets each; of both, one more asset was seen as often as is usual and then missed."""
    often, rare = [[(9, 10)]] * 10, [[(2, 10)]] * 10
    visibility = visibility_of(*often, *rare, [(1, 1), (0, 3)], [(1, 1), (0, 3)])
    class_index = np.array([0] * 10 + [1] * 10 + [0, 1])
    said = log_likelihood_ratio(visibility, class_index, CONFIG)
    missed = {
        int(asset): value
        for asset, hits, value in zip(visibility.asset, visibility.hits, said, strict=True)
        if hits == 0
    }
    assert missed[20] < missed[21] - 1


def test_the_order_of_entries_says_nothing():
    visibility = visibility_of([SEEN, MISSED, SEEN, AWAY], [AWAY, SEEN, MISSED, MISSED], [MISSED, SEEN, AWAY, SEEN])
    order = np.random.default_rng(1).permutation(len(visibility.asset))
    mixed = Visibility(**{name: value[order] for name, value in vars(visibility).items()})
    class_index = np.zeros(3, np.int64)
    a, b = (
        filter_existence(one, log_likelihood_ratio(one, class_index, CONFIG), np.ones(3, bool), CONFIG)
        for one in (visibility, mixed)
    )
    assert a.existence.tolist() == pytest.approx(b.existence.tolist())
    assert a.state.tolist() == b.state.tolist()
    assert list(zip(a.changed, a.change, a.by, strict=True)) == list(zip(b.changed, b.change, b.by, strict=True))


def _chance(odds: float) -> float:
    return 1 / (1 + np.exp(-odds))


def plain(entries: list[tuple[int, bool, float]], known: bool) -> tuple[float, str, list[tuple[int, str]]]:
    """The documented model of one asset, drive after drive; entries are (number of the drive, seen, ratio)."""
    chance, state, looked_before, events = None, "candidate", False, []
    for night, seen, said in sorted(entries):
        if chance is None:
            if not seen:
                looked_before = looked_before or said <= ABSENT
                continue
            chance = _chance(BIRTH_UNSEEN if looked_before else BIRTH)
        else:
            chance = chance * (1 - CONFIG.change_probability) + (1 - chance) * CONFIG.change_probability
        weight = chance * np.exp(said)
        chance = weight / (weight + 1 - chance)  # Bayes
        if state != "candidate":
            chance = max(chance, _chance(FLOOR))
        was = state
        if state != "confirmed" and known and chance >= CONFIRM_AT:
            state = "confirmed"
        elif state in ("confirmed", "suspect") and chance <= MISSING_AT:
            state = "missing"
        elif state == "confirmed" and chance < CONFIRM_AT:
            state = "suspect"
        change = {
            ("candidate", "confirmed"): "new" if looked_before else None,
            ("missing", "confirmed"): "reappeared",
            ("confirmed", "suspect"): "suspect",
            ("confirmed", "missing"): "missing",
            ("suspect", "missing"): "missing",
        }.get((was, state))
        if change:
            events.append((night, change))
    return (0.0 if chance is None else chance), state, events


@pytest.mark.parametrize("seed", range(8))
def test_all_at_once_is_each_on_its_own(seed):
    """`filter_existence` against a plain loop over each asset's entries, on random ratios."""
    rng = np.random.default_rng(seed)
    n, drives = 60, 25
    asset, drive = np.nonzero(rng.random((n, drives)) < rng.uniform(0.2, 1.0, (n, 1)))
    stands = np.cumsum(rng.random((n, drives)) < 0.1, axis=1) % 2 == rng.integers(0, 2, (n, 1))  # comes and goes
    seen = np.where(stands, rng.random((n, drives)) < 0.85, rng.random((n, drives)) < 0.1)[asset, drive]
    said = np.where(seen, rng.uniform(0.5, SEEN_MAX, len(asset)), rng.uniform(HIDDEN, 0.0, len(asset)))
    hits = np.where(seen, rng.integers(1, 9, len(asset)), 0)
    known = rng.random(n) < 0.9
    visibility = Visibility(asset, drive, hits, hits + 3, np.zeros(len(asset), bool))
    standing = filter_existence(visibility, said, known, CONFIG)
    expected = []
    for one in range(n):
        mine = np.flatnonzero(asset == one)
        entries = [(int(drive[row]), bool(seen[row]), float(said[row])) for row in mine]
        existence, state, events = plain(entries, bool(known[one]))
        assert standing.existence[one] == pytest.approx(existence)
        assert State(standing.state[one]).label == state, one
        expected += [(by, one, kind) for by, kind in events]
    reported = zip(standing.by.tolist(), standing.changed.tolist(), standing.change, strict=True)
    assert sorted(reported) == sorted(expected)
    assert {kind for *_, kind in expected} == {"new", "reappeared", "suspect", "missing"}
