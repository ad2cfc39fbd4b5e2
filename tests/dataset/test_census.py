from __future__ import annotations

from pathlib import Path

from support import labelled

from roadscan.dataset.census import objects_by_class
from roadscan.dataset.read import open_draft


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
