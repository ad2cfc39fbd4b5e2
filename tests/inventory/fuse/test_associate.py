"""A straight road to the north: x is the offset to the right, y the chainage of a drive that way."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest

from roadscan.inventory import InventoryConfig
from roadscan.inventory.fuse.associate import associate
from roadscan.inventory.fuse.pool import Pool, weighted_means

CONFIG = InventoryConfig(warehouse="unused")
MERGE_M = 8.0  # a pole's; the gate of a pair is 6 m before the drives' biases are known, and 12 m after


def seen(x: float, y: float, *, frames: Iterable[int] | None = None, sigma_m: float = 0.5, **more) -> dict:
    """One estimate; of frames that saw nothing else where none are given."""
    return {
        "x": x,
        "y": y,
        "frames": frames,
        "sigma_m": sigma_m,
        "class_index": 0,
        "starts": True,
        "overhead": False,
    } | more


def pool(*drives: list[dict], back: set[int] = frozenset()) -> Pool:
    """The estimates of drives; those in `back` went south."""
    rows = [(number, row) for number, drive in enumerate(drives) for row in drive]
    south = np.array([number in back for number, _ in rows], bool)

    def column(name: str, kind: type = float) -> np.ndarray:
        return np.array([row[name] for _, row in rows], kind)

    x, y = column("x"), column("y")
    frames = np.empty(len(rows), object)
    for n, (_, row) in enumerate(rows):
        frames[n] = frozenset([-1 - 2 * n, -2 - 2 * n] if row["frames"] is None else row["frames"])
    overhead = column("overhead", bool)
    xy = np.stack([x, y], axis=1).reshape(-1, 2)
    return Pool(
        drive=np.array([number for number, _ in rows], np.int64),
        class_index=column("class_index", int),
        xy=xy,
        raw_xy=xy,
        cov=np.eye(2) * column("sigma_m")[:, None, None] ** 2,
        sigma_m=np.full(len(rows), CONFIG.noise.gnss_sigma_m),
        s=np.where(south, 1e5 - y, y),
        offset_m=np.where(south, -x, x),
        course=np.where(south, np.pi, 0.0),
        starts=column("starts", bool),
        gate_m=np.where(overhead, CONFIG.matching.overhead_gate_m, CONFIG.matching.gate_m),
        merge_m=np.full(len(rows), MERGE_M),
        overhead=overhead,
        frames=frames,
    )


def assets(*drives: list[dict], **more) -> list[int]:
    return associate(pool(*drives, **more), CONFIG).asset.tolist()


def road(length_m: float = 2000.0, step_m: float = 40.0) -> np.ndarray:
    """Assets on both sides by turns, (n, 2)."""
    y = np.arange(20.0, length_m, step_m)
    return np.stack([np.where(np.arange(len(y)) % 2 == 0, 6.0, -6.0), y], axis=1)


def survey(bias: list, places: np.ndarray, noise_m: float = 0.3, seed: int = 1, recall: float = 0.9):
    """A pool of one drive for each bias, a function of y, and which place each estimate shows."""
    rng = np.random.default_rng(seed)
    drives, truth = [], []
    for wander in bias:
        which = np.flatnonzero(rng.random(len(places)) < recall)
        at = places[which] + np.stack([wander(y) for y in places[which, 1]]) + rng.normal(0, noise_m, (len(which), 2))
        drives.append([seen(x, y) for x, y in at.tolist()])
        truth.append(which)
    return pool(*drives), np.concatenate(truth)


def same_parts(a, b) -> bool:
    """Whether two labellings divide alike."""
    pairs = set(zip(list(a), list(b), strict=True))
    return len(pairs) == len({x for x, _ in pairs}) == len({y for _, y in pairs})


def test_nothing_and_one():
    nothing = associate(pool(), CONFIG)
    assert (nothing.asset.shape, nothing.shift.shape) == ((0,), (0, 2))
    assert assets([]) == []
    assert assets([seen(6, 0)]) == [0]
    assert assets([seen(6, 0, starts=False)]) == [-1]


def test_what_was_seen_once_shows_an_asset_that_others_saw():
    weak = seen(6.5, 0.0, starts=False)
    assert assets([seen(6, 0)], [weak]) == [0, 0]
    assert assets([weak], [seen(6, 0)]) == [0, 0] or assets([weak], [seen(6, 0)]) == [-1, 0]
    assert assets([seen(6, 0)], [seen(6, 30, starts=False)]) == [0, -1]


def test_constant_biases_are_found_against_the_mean_of_all_drives():
    biases = np.array([[2.0, 0.0], [-1.0, 1.5], [0.5, -2.0], [-0.5, -0.5]])
    estimates, truth = survey([lambda _, b=b: b for b in biases], road())
    found = associate(estimates, CONFIG)
    assert same_parts(found.asset, truth)
    expected = biases.mean(axis=0) - biases[estimates.drive]
    assert np.abs(found.shift - expected).max() < 0.4  # each of 50 estimates is off by 0.3
    assert np.abs(found.shift - expected).mean() < 0.12


def test_biases_that_wander_are_followed():
    """A swing of 2.5 m over 6 km, each drive at its own phase; one of them does not swing."""
    swings = [lambda y, p=p: 2.5 * np.array([np.sin(y / 1000 + p), np.cos(y / 1000 + p)]) for p in (0.0, 2.0, 4.0)]
    swings.append(lambda _: np.zeros(2))
    estimates, truth = survey(swings, road(6000.0))
    found = associate(estimates, CONFIG)
    assert same_parts(found.asset, truth)
    at = road(6000.0)[truth, 1]
    mean = np.mean([[swing(y) for y in at] for swing in swings], axis=0)
    expected = mean - [swings[k](y) for k, y in zip(estimates.drive, at, strict=True)]
    off = np.hypot(*(found.shift - expected).T)
    assert np.hypot(*expected.T).mean() > 1.5  # what there is to find
    assert np.sqrt((off**2).mean()) < 0.4
    assert off.max() < 1.2


def test_a_late_clock_puts_a_drive_back_along_its_way():
    """One of three drives is a second late at 22 m/s: farther off than any gate, for all its estimates alike."""
    rng = np.random.default_rng(2)
    places = road(2000.0)
    places[:, 1] += rng.uniform(-12, 12, len(places))
    estimates, truth = survey([lambda _, b=b: np.array(b) for b in ([0.0, 0.0], [0.0, -22.0], [1.0, 0.0])], places)
    found = associate(estimates, CONFIG)
    assert same_parts(found.asset, truth)
    late = [found.shift[estimates.drive == number, 1].mean() for number in range(3)]
    assert [late[1] - late[0], late[1] - late[2]] == pytest.approx([22.0, 22.0], abs=0.5)


def test_a_drive_on_its_own_road_has_no_bias():
    here, there = [seen(6, y) for y in range(0, 400, 40)], [seen(6, y) for y in range(5000, 5400, 40)]
    found = associate(pool(here, there), CONFIG)
    assert found.shift.tolist() == [[0.0, 0.0]] * 20


def test_a_track_in_two_parts_is_not_what_another_drive_saw():
    """South of 1000 m two drives differ by 4 m; further on the first one is alone, all its tracks broken off."""
    shared, alone = range(0, 1000, 50), range(1050, 2000, 50)
    broken = [seen(6.0, y + part) for y in alone for part in (0.0, 0.5)]
    whole = [seen(6.0, y) for y in alone]
    shifts = []
    for further in (whole, broken):
        first = [seen(6.0, y) for y in shared] + further
        found = associate(pool(first, [seen(10.0, y) for y in shared]), CONFIG)
        shifts.append(found.shift[: len(first)])
    assert shifts[0][: len(shared), 0] == pytest.approx(2.0, abs=0.1)  # half, less what a bias of 1.5 m is held back
    decay = np.exp(-(np.array(alone) - shared[-1]) / CONFIG.noise.gnss_memory_m)
    assert shifts[0][len(shared) :, 0] == pytest.approx(shifts[0][len(shared) - 1, 0] * decay, rel=1e-6)
    assert shifts[1][len(shared) :: 2, 0] == pytest.approx(shifts[0][len(shared) :, 0], rel=0.01)


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_a_drives_estimates_says_nothing(seed):
    estimates, _ = survey([lambda _, b=b: b for b in np.array([[1.5, 0.0], [-1.0, 1.0], [0.0, -1.0]])], road(1000))
    order = np.random.default_rng(seed).permutation(len(estimates.drive))
    order = order[np.argsort(estimates.drive[order], kind="stable")]
    whole, mixed = associate(estimates, CONFIG), associate(estimates.take(order), CONFIG)
    assert same_parts(whole.asset[order], mixed.asset)
    assert mixed.shift == pytest.approx(whole.shift[order])


def test_assets_are_numbered_as_they_were_first_seen():
    estimates, _ = survey([lambda _, b=b: b for b in np.array([[1.0, 0.0], [-1.0, 0.0]])], road(1000), recall=0.6)
    asset = associate(estimates, CONFIG).asset
    first = np.unique(asset, return_index=True)
    assert first[0].tolist() == list(range(len(first[0])))
    assert (np.diff(first[1]) > 0).all()


@pytest.mark.parametrize("swapped", [False, True])
def test_what_is_vague_does_not_take_the_asset_from_what_is_sure(swapped):
    """One drive saw both at once; the vague one lies nearer, and is nearer still by its own standard deviations."""
    both = [seen(6.0, 101.2, frames={1, 2, 3}), seen(6.0, 100.2, frames={1, 2, 3}, sigma_m=8.0)]
    asset = assets([seen(6.0, 100.0)], both[::-1] if swapped else both)
    assert asset == ([0, 1, 0] if swapped else [0, 0, 1])


def test_a_track_that_broke_off_and_began_anew_is_one_asset():
    parts = [seen(6.0, 98.5, frames={1, 2, 3}), seen(6.0, 101.5, frames={6, 7})]
    assert assets([seen(6.0, 100.0)], parts) == [0, 0, 0]
    assert assets(parts, [seen(6.0, 100.0)]) == [0, 0, 0]
    assert assets(parts) == [0, 0]
    assert assets([seen(6.0, 100.0)], [*parts, seen(6.0, 102.5, frames={9})]) == [0, 0, 0, 0]


@pytest.mark.parametrize("apart", [3.0, 5.0, 7.5])
def test_two_that_one_drive_saw_side_by_side_stay_two(apart):
    """Nearer than the class allows, but in the same frames: also for drives that saw but one of them."""
    pair = [seen(6.0, 100.0, frames={1, 2, 3}), seen(6.0, 100.0 + apart, frames={2, 3, 4})]
    assert assets(pair) == [0, 1]
    assert assets(pair, pair, pair) == [0, 1] * 3
    assert assets(pair, pair[1:], pair) == [0, 1, 1, 0, 1]


def test_two_on_opposite_sides_stay_two_though_no_frame_shows_both():
    pair = [seen(-3.0, 100.0), seen(3.0, 100.0)]  # 6 m apart: less than merge_m
    assert assets(pair) == [0, 1]
    assert assets(pair, pair) == [0, 1] * 2
    assert assets(pair[:1], pair[1:]) == [0, 1]
    near = [seen(-1.0, 100.0), seen(1.0, 100.0)]  # nearer than 2 m to the path a side may be confused
    assert assets(near[:1], near[1:]) == [0, 0]


def test_driven_the_other_way_they_are_the_same():
    places = [seen(x, y) for x, y in road(400).tolist()]
    assert assets(places, places, back={1}) == list(range(10)) * 2
    middle = [seen(8.0, y) for y in range(0, 400, 40)]
    estimates = pool(middle, middle, back={1})
    estimates.offset_m[10:] = 8.0  # another carriageway, 16 m to the right: the middle is to the right both times
    assert associate(estimates, CONFIG).asset.tolist() == list(range(10)) * 2


def test_on_opposite_sides_driven_the_same_way_they_are_not():
    """The same offsets as above, by a drive the same way."""
    a, b = [seen(3.0, 100.0)], [seen(-3.0, 100.0)]
    assert assets(a, b) == [0, 1]
    other_way = pool(a, b, back={1})
    other_way.offset_m[1] = -3.0
    assert associate(other_way, CONFIG).asset.tolist() == [0, 0]


def test_twins_become_one_and_the_older_number_stays():
    first = [seen(6.0, 0.0), seen(6.0, 100.0), seen(6.0, 200.0)]
    twin = [seen(6.0, 107.5)]  # outside the gate of 6 m, within merge_m
    assert assets(first, twin) == [0, 1, 2, 1]
    assert assets(twin, first) == [0, 1, 0, 2]
    found = associate(pool(first, twin), CONFIG)
    estimates = pool(first, twin)
    xy, cov = weighted_means(found.asset, estimates.xy + found.shift, estimates.placed_cov, 3)
    assert xy[1] == pytest.approx([6.0, 103.75])  # both are equally sure
    assert np.trace(cov[1]) == pytest.approx(np.trace(cov[0]) / 2)


def test_farther_apart_than_the_class_allows_they_are_two():
    """Up to half as far again where they may be one as far as their covariances tell."""
    assert assets([seen(6.0, 100.0, sigma_m=0.1)], [seen(6.0, 110.0, sigma_m=0.1)]) == [
        0,
        1,
    ]  # sigma 1 m, with 0.7 each
    assert assets([seen(6.0, 100.0, sigma_m=3.0)], [seen(6.0, 110.0, sigma_m=3.0)]) == [0, 0]
    assert assets([seen(6.0, 100.0, sigma_m=3.0)], [seen(6.0, 113.0, sigma_m=3.0)]) == [0, 1]


def test_other_classes_are_other_assets():
    assert assets([seen(6.0, 100.0)], [seen(6.0, 100.0, class_index=1)]) == [0, 1]


def test_what_spans_the_road_has_no_side_and_a_wide_gate():
    bridge, again = seen(-8.0, 100.0, overhead=True), seen(8.0, 105.0, overhead=True, sigma_m=6.0)
    assert assets([bridge], [again]) == [0, 0]
