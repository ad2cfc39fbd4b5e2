from __future__ import annotations

from pathlib import Path

from support import labelled

from roadscan.dataset.census import count_objects, image_shares, objects_by_class, rare_classes
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


def test_shares_count_images_not_objects_and_what_no_image_shows_is_not_rare(tmp_path: Path) -> None:
    labelled.draw_dataset(tmp_path, {"train": 4})
    box = "0.5 0.5 0.2 0.2"
    for number, kinds in enumerate(([0, 0, 0], [0], [0, 2], [])):
        (tmp_path / "labels" / "train" / f"train-000{number}.txt").write_text("\n".join(f"{k} {box}" for k in kinds))
    images = open_draft(str(tmp_path)).splits["train"]
    assert image_shares(images, 3).tolist() == [0.75, 0, 0.25]
    assert rare_classes(images, 0.5) == (2,)
    assert rare_classes(images, 0.25) == ()
    assert rare_classes([images[3]], 0.5) == ()


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
