"""Names that other programs wrote find their files, and are never guessed."""

from __future__ import annotations

import unicodedata

import pytest

from roadscan.filenames import FileNames, to_key

KEYS = ["images/train/a 1.jpg", "images/train/sub/b.jpg", "images/val/c.jpg", "images/val/d.jpg", "old/d.jpg", "é.jpg"]
NAMES = FileNames(KEYS, "/data/roads", "D:/cam")


@pytest.mark.parametrize(
    ("written", "folder", "key"),
    [
        ("a 1.jpg", "images/train", "images/train/a 1.jpg"),
        ("a%201.jpg", "images/train", "images/train/a 1.jpg"),
        ("./sub/b.jpg", "images/train", "images/train/sub/b.jpg"),
        (r"sub\b.jpg", "images/train", "images/train/sub/b.jpg"),
        ("b.jpg", "images", "images/train/sub/b.jpg"),  # no other file of this name below the folder
        ("b", "images", "images/train/sub/b.jpg"),  # as VOC's lists have it
        ("images/val/c.jpg", "images/val", "images/val/c.jpg"),
        ("val/c.jpg", "images/val", "images/val/c.jpg"),
        ("/data/roads/images/val/c.jpg", "images/val", "images/val/c.jpg"),
        ("/home/me/roads/images/val/c.jpg", "images/val", "images/val/c.jpg"),
        (r"D:\cam\images\val\c.jpg", "", "images/val/c.jpg"),
        (r"D:\cam\c.jpg", "images/val", "images/val/c.jpg"),
        ("d.jpg", "images", "images/val/d.jpg"),
        ("../../old/d.jpg", "", "old/d.jpg"),
        (unicodedata.normalize("NFD", "é.jpg"), "", "é.jpg"),
    ],
)
def test_a_name_finds_its_file(written: str, folder: str, key: str) -> None:
    assert NAMES.find(written, folder) == key


@pytest.mark.parametrize(
    ("written", "folder", "hint"),
    [
        ("d.jpg", "", "2 files might be meant, such as images/val/d.jpg and old/d.jpg"),
        ("nothing.jpg", "", ""),
        ("c.jpg", "images/train", ""),  # of another split
        (
            "https://bucket.example/roads/c.jpg",
            "images/val",
            "images/val/c.jpg has this name: set 'path_prefix: https://bucket.example/roads' if it is meant",
        ),
        ("../../media/upload/4/c.jpg", "", "images/val/c.jpg has this name: set 'path_prefix: ../../media/upload/4'"),
    ],
)
def test_a_name_is_not_guessed(written: str, folder: str, hint: str) -> None:
    assert NAMES.find(written, folder) is None
    assert NAMES.hint(written, folder).startswith(hint)
    assert bool(NAMES.hint(written, folder)) == bool(hint)


def test_what_a_hint_offers_finds_the_file() -> None:
    for written in ("https://bucket.example/roads/c.jpg", "../../media/upload/4/c.jpg", r"E:\x\c.jpg"):
        prefix = NAMES.hint(written).partition("path_prefix: ")[2].partition("'")[0]
        assert FileNames(KEYS, "/data/roads", prefix).find(written, "images/val") == "images/val/c.jpg"


def test_a_key_is_what_is_below_the_root() -> None:
    assert to_key("s3://b/night/a/1.jpg", "s3://b/night", None) == "a/1.jpg"
    assert to_key("./1.jpg", "/data", None) == "1.jpg"
