"""Splits by whole drives."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roadscan.dataset.records import Dataset, LabelledImage
from roadscan.dataset.split import drive_leaks, hold_out, split_by_drive
from roadscan.errors import DatasetError

SHARES = {"train": 0.7, "val": 0.2, "test": 0.1}


def image(key: str, drive_id: str | None, *classes: int) -> LabelledImage:
    boxes = np.zeros((len(classes), 4), np.float32)
    return LabelledImage(key, 100, 100, np.array(classes, np.int64), boxes, None, drive_id)


@st.composite
def surveys(draw: st.DrawFn) -> list[LabelledImage]:
    drives = draw(st.lists(st.one_of(st.none(), st.integers(0, 12)), min_size=1, max_size=60))
    return [
        image(f"{number}.jpg", None if drive is None else f"d{drive}", *draw(st.lists(st.integers(0, 3), max_size=3)))
        for number, drive in enumerate(drives)
    ]


@settings(max_examples=80, deadline=None)
@given(surveys(), st.integers(0, 5), st.randoms(use_true_random=False))
def test_whole_drives_every_image_once_in_any_order(images: list[LabelledImage], seed: int, random) -> None:  # type: ignore[no-untyped-def]
    drives = {one.drive_id or one.key for one in images}
    if len(drives) < 3:
        with pytest.raises(DatasetError, match=rf"{len(drives)} drives cannot fill the 3 splits train, val, test"):
            split_by_drive(images, SHARES, seed)
        return
    splits = split_by_drive(images, SHARES, seed)
    assert Counter(one.key for part in splits.values() for one in part) == Counter(one.key for one in images)
    owners = [{one.drive_id or one.key for one in part} for part in splits.values()]
    assert all(owners)
    assert sum(map(len, owners)) == len(set.union(*owners))
    shuffled = list(images)
    random.shuffle(shuffled)
    again = split_by_drive(shuffled, SHARES, seed)
    assert {name: {one.key for one in part} for name, part in again.items()} == {
        name: {one.key for one in part} for name, part in splits.items()
    }


def test_each_split_gets_its_share_of_every_class() -> None:
    rng = np.random.default_rng(0)
    images = []
    for drive in range(80):
        rates = rng.gamma(1.0, 1.0, 4) * (2.0, 1.0, 0.3, 0.05)  # drives differ, and the last class is rare
        for frame in range(int(rng.integers(10, 40))):
            classes = np.repeat(np.arange(4), rng.poisson(rates))
            images.append(image(f"{drive}-{frame}", f"d{drive}", *classes.tolist()))
    splits = split_by_drive(images, SHARES)
    everything = Counter(c for one in images for c in one.classes.tolist())
    for split, share in SHARES.items():
        assert len(splits[split]) / len(images) == pytest.approx(share, abs=0.02)
        found = Counter(c for one in splits[split] for c in one.classes.tolist())
        for class_, count in everything.items():
            # The rare class has about 100 objects, and a drive may have 10 of them.
            assert found[class_] / count == pytest.approx(share, abs=0.02 if class_ < 3 else 0.04), (split, class_)


def test_the_seed_chooses_between_equals() -> None:
    images = [image(f"{n}.jpg", None, 0) for n in range(30)]
    chosen = {tuple(one.key for one in split_by_drive(images, SHARES, seed)["val"]) for seed in (0, 1, 2, 0)}
    assert len(chosen) == 3
    assert {len(keys) for keys in chosen} == {6}  # 0.2 of 30


@pytest.mark.parametrize("shares", [{}, {"train": 0.0}, {"train": 1.0, "val": -1.0}, {"train": float("nan")}])
def test_shares_must_be_positive(shares: dict[str, float]) -> None:
    with pytest.raises(DatasetError, match="shares: got"):
        split_by_drive([image("a", None)], shares)


def test_tuning_never_sees_the_validation_split() -> None:
    train = tuple(image(f"{n}.jpg", f"d{n // 5}", n % 2) for n in range(100))
    val, test = (image("v.jpg", "dv", 0),), (image("t.jpg", "dt", 0),)
    dataset = Dataset("/d", "detect", ("a", "b"), {"train": train, "val": val, "test": test})
    tuning = hold_out(dataset, 0.25, seed=1)
    assert {one.key for one in (*tuning.splits["train"], *tuning.splits["val"])} == {one.key for one in train}
    assert len(tuning.splits["val"]) == 25
    assert tuning.splits["test"] == test
    assert drive_leaks(tuning) == []
    assert [one.key for one in hold_out(dataset, 0.25, seed=1).splits["val"]] == [
        one.key for one in tuning.splits["val"]
    ]


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, float("nan")])
def test_a_share_to_hold_out_is_between_0_and_1(share: float) -> None:
    with pytest.raises(DatasetError, match="share to hold out: got"):
        hold_out(Dataset("/d", "detect", ("a",), {"train": (image("a", None), image("b", None))}), share)


@pytest.mark.parametrize("train", [(), (image("a", "d1"), image("b", "d1"))])
def test_one_drive_cannot_be_tuned_on(train: tuple[LabelledImage, ...]) -> None:
    with pytest.raises(DatasetError, match="drives cannot fill the 2 splits train, val"):
        hold_out(Dataset("/d", "detect", ("a",), {"train": train}), 0.2)


def test_drives_in_two_splits_are_leaks() -> None:
    splits = {
        "train": (image("a", "d1"), image("b", "d1"), image("c", None)),
        "val": (image("d", "d1"), image("e", None)),
    }
    (leak,) = drive_leaks(Dataset("/d", "detect", ("a",), splits))
    assert (leak.kind, leak.where) == ("drive in two splits", "d1")
    assert leak.text.startswith("2 of its images are in train (a, …); 1 of its images are in val (d); expected")
