from __future__ import annotations

from pathlib import Path

from support import labelled

from roadscan.dataset.census import count_objects, objects_by_class
from roadscan.dataset.read import inspect, open_draft


def test_objects_are_counted_by_class_before_and_after_the_images_are_read(tmp_path: Path) -> None:
    dataset = labelled.draw_dataset(tmp_path, {"train": 5, "val": 2})
    lines = [line for path in (tmp_path / "labels" / "train").iterdir() for line in path.read_text().splitlines()]
    expected = {
        name: sum(line.split()[0] == str(number) for line in lines) for number, name in enumerate(labelled.NAMES)
    }
    assert sum(expected.values()) > 5
    assert objects_by_class(dataset, "train") == objects_by_class(open_draft(str(tmp_path)), "train") == expected


def test_a_class_without_objects_has_0(tmp_path: Path) -> None:
    labelled.draw_dataset(tmp_path, {"train": 1})
    (tmp_path / "labels" / "train" / "train-0000.txt").write_text("")
    draft = open_draft(str(tmp_path))
    assert [*objects_by_class(draft, "train").items()] == [("square", 0), ("disc", 0), ("bar", 0)]


def test_images_are_counted_by_condition_and_objects_by_occlusion(tmp_path: Path) -> None:
    labelled.draw_dataset(tmp_path, {"train": 2, "val": 1})
    for name in ("train/train-0000", "train/train-0001"):
        (tmp_path / "labels" / f"{name}.txt").write_text("0 0.2 0.5 0.1 0.3\n1 0.5 0.5 0.1 0.3\n")
    table = "image,conditions,visibility\n{0}0.jpg,night;rain,1;0.8\n{0}1.jpg,night,;0.7\n"
    (tmp_path / "frames.csv").write_text(table.format("images/train/train-000"))
    count = count_objects(inspect(str(tmp_path)))
    assert count["train"].conditions == {"night": 2, "rain": 1}
    assert count["train"].occlusions == {"not occluded": 1, "partly occluded": 2}
    assert (count["val"].conditions, count["val"].occlusions) == ({}, {})
