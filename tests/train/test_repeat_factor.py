"""Repeat-factor sampling: how often images are seen, from how many images show their classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support import labelled
from support.distributed import config_of

from roadscan.dataset.records import LabelledImage
from roadscan.errors import ConfigError
from roadscan.train import loop
from roadscan.train.ranks import SingleProcess
from roadscan.train.repeat_factor import check_repeats, class_factors, describe, drawn_images, image_factors

NAMES = ("sign", "pole", "bus stop")


def showing(*classes: Sequence[int]) -> list[LabelledImage]:
    """An image for each list of classes."""
    return [
        LabelledImage(f"{i}.jpg", 64, 64, np.array(own, np.int64), np.zeros((len(own), 4), np.float32))
        for i, own in enumerate(classes)
    ]


def test_an_image_has_the_largest_factor_of_its_classes() -> None:
    """f: sign 3/4, pole 1/4, bus stop 1/4; at t = 0.5 sqrt(t / f) is 0.82, 1.41, 1.41. Images count, not objects."""
    images = showing([0, 0, 0], [0, 1], [0], [2, 2])
    assert image_factors(images, NAMES, 0.5).tolist() == pytest.approx([1, 2**0.5, 1, 2**0.5])


def test_at_four_times_the_share_it_is_twice() -> None:
    images = showing(*[[0]] * 39, [2])
    assert image_factors(images, NAMES, 0.1)[-1] == pytest.approx(2)


@given(
    st.lists(st.lists(st.integers(0, 2), max_size=4), min_size=1, max_size=30), st.floats(0.01, 1), st.floats(0.01, 1)
)
def test_factors_are_as_published(classes: list[list[int]], threshold: float, other: float) -> None:
    """Worked out image by image, by Gupta et al., section 4; never below 1, and no lower with a higher threshold."""
    factors = image_factors(showing(*classes), NAMES, threshold)
    shares = [sum(kind in own for own in classes) / len(classes) for kind in range(3)]
    for own, factor in zip(classes, factors, strict=True):
        assert factor == pytest.approx(max([1, *(max(1, (threshold / shares[kind]) ** 0.5) for kind in own)]))
        if any(shares[kind] == 1 for kind in own) and len({*own}) == 1:
            assert factor == 1
    low, high = sorted((threshold, other))
    assert (image_factors(showing(*classes), NAMES, low) <= image_factors(showing(*classes), NAMES, high)).all()


def test_a_class_without_images_repeats_nothing() -> None:
    assert class_factors({"sign": 1.0, "pole": 0.0}, 0.5) == {"sign": 1.0, "pole": 1.0}


def test_fractions_are_drawn_anew_each_epoch_and_come_to_the_factor() -> None:
    """Of 400 epochs of an image with 2.25: 900 times, with a deviation of sqrt(400 · 0.25 · 0.75) = 8.7."""
    epochs = [np.bincount(drawn_images(np.array([1.0, 2.25]), 0, epoch)) for epoch in range(400)]
    once, rare = np.sum(epochs, 0)
    assert once == 400
    assert abs(rare - 900) < 4 * 8.7
    assert {tuple(times) for times in epochs} == {(1, 2), (1, 3)}


def test_a_threshold_that_repeats_nothing_is_refused() -> None:
    images = showing([0], [0, 1], [2], [0])
    check_repeats(images, NAMES, None)
    check_repeats(images, NAMES, 0.3)
    with pytest.raises(ConfigError, match=r"repeat_threshold: got 0\.2, .* the rarest class, pole, is in 0\.25"):
        check_repeats(images, NAMES, 0.2)


def test_what_is_repeated_is_told() -> None:
    """f of pole and bus stop 1/4, t = 1: both twice, so of four images two count twice."""
    words = describe(showing([0], [0, 1], [0, 2], [0]), NAMES, 1.0)
    assert (
        words == "2 of 4 training images are repeated, by class pole 2.00, bus stop 2.00: an epoch has about 6 images"
    )


@pytest.mark.slow
def test_a_training_takes_images_with_rare_classes_more_often(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen by what is decoded: OpenCV reads an image once for each time that it is trained on."""
    dataset = labelled.draw_dataset(tmp_path, {"train": 12, "val": 1})
    images = dataset.splits["train"]
    config = config_of(
        tmp_path, epochs=3, validate_every=3, repeat_threshold=1.0, execution={"loader_workers": 0}, batch=3
    )
    seen = Counter[str]()
    read = loop.yolo.augment.cv2.imread

    def counting(path: str) -> object:
        seen[Path(path).name] += "train" in Path(path).parts
        return read(path)

    monkeypatch.setattr("cv2.imread", counting)
    state = loop.train(config, dataset, None, SingleProcess(tmp_path / "run", torch.device("cpu")))
    factors = image_factors(images, dataset.names, 1.0)
    drawn = [drawn_images(factors, config.seed, epoch) for epoch in range(3)]
    assert [row["images"] for row in state.history] == [len(one) for one in drawn]
    assert sum(seen.values()) == sum(-(-len(one) // 3) * 3 for one in drawn)  # batches of 3 are filled up
    times = np.bincount(np.concatenate(drawn), minlength=len(images))
    assert all(times[i] <= seen[Path(image.key).name] for i, image in enumerate(images))
    assert state.identity["repeat_threshold"] == 1.0
