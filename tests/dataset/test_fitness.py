"""What cannot be trained on: `roadscan dataset check` refuses what a training refuses, in the same words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support import labelled
from support.written import Written, good

from roadscan.dataset.check import check_dataset
from roadscan.dataset.fitness import unfit
from roadscan.dataset.read import open_draft
from roadscan.errors import DatasetError
from roadscan.train.check import check_data


def test_a_dataset_with_both_splits_is_fit(tmp_path: Path) -> None:
    assert unfit(open_draft(good().write(tmp_path))) == []
    assert unfit(labelled.draw_dataset(tmp_path / "drawn", {"train": 2, "val": 1})) == []


def test_a_drive_in_two_splits_is_refused(tmp_path: Path) -> None:
    dataset = labelled.draw_dataset(tmp_path, {"train": 2, "val": 1})
    leaking = {"train": dataset.splits["train"], "val": dataset.splits["train"][:1]}
    (problem,) = unfit(replace(dataset, splits=leaking))
    assert (problem.kind, problem.where) == ("drive in two splits", "drive-train")


def _without_val() -> Written:
    made = good()
    made.images = {key: data for key, data in made.images.items() if "train" in key}
    return made


def _without_labels() -> Written:
    made = good()
    made.labels = {}
    return made


def _all_background() -> Written:
    made = good()
    made.labels = dict.fromkeys(made.labels, "")
    return made


@pytest.mark.parametrize(
    ("made", "messages"),
    [
        (_without_val(), ["split val: no images; got train; expected images to choose the best epoch by"]),
        (
            _without_labels(),
            [
                f"split {split}: no objects: 3 of its 3 images have no label file: are the labels where they belong?"
                for split in ("train", "val")
            ],
        ),
        (
            _all_background(),
            [f"split {split}: no objects: all of its images are background" for split in ("train", "val")],
        ),
    ],
)
def test_check_refuses_what_a_training_refuses(tmp_path: Path, made: Written, messages: list[str]) -> None:
    uri = made.write(tmp_path)
    report = check_dataset(uri)
    assert [str(error) for error in report.errors] == messages
    assert report.refused
    with pytest.raises(DatasetError) as caught:
        check_data(uri)
    assert all(message in str(caught.value) for message in messages)
