"""The class of every pixel: drawn from outlines, or read from a file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from roadscan.dataset.label_maps import VOID_VALUE, label_map, pixels_by_class
from roadscan.dataset.records import (
    BACKGROUND_PIXELS,
    VOID_PIXELS,
    Dataset,
    LabelledImage,
    LabelMapFile,
    Palette,
)
from roadscan.errors import DatasetError

NUMBERS = Palette({0: BACKGROUND_PIXELS, 7: 0, 20: 1, 255: VOID_PIXELS}, of_colours=False)
COLOURS = Palette({0x804080: 0, 0xDCDC00: 1, 0: BACKGROUND_PIXELS}, of_colours=True)


def square(left: float, top: float, side: float) -> np.ndarray:
    corners = [[left, top], [left + side, top], [left + side, top + side], [left, top + side]]
    return np.array(corners, np.float32)


def outlined(*objects: tuple[int, np.ndarray], width: int = 8, height: int = 6) -> LabelledImage:
    classes = np.array([number for number, _ in objects], np.int64)
    outlines = tuple((outline,) for _, outline in objects)
    return LabelledImage("a.jpg", width, height, classes, np.zeros((len(objects), 4), np.float32), outlines)


def filed(root: Path, pixels: np.ndarray, palette: Palette, **fields: int) -> LabelledImage:
    Image.fromarray(pixels.astype(np.uint8)).save(root / "a.png")
    size = {"width_px": pixels.shape[1], "height_px": pixels.shape[0]} | fields
    file = LabelMapFile("a.png", palette)
    return LabelledImage(
        "a.jpg", **size, classes=np.zeros(0, np.int64), boxes_xyxy=np.zeros((0, 4), np.float32), label_map=file
    )


def test_outlines_are_drawn_in_their_order_and_the_rest_is_background() -> None:
    image = outlined((0, square(1, 1, 3)), (1, square(3, 2, 2)))
    assert label_map(image, "", 2).tolist() == [
        [2, 2, 2, 2, 2, 2, 2, 2],
        [2, 0, 0, 0, 2, 2, 2, 2],
        [2, 0, 0, 1, 1, 2, 2, 2],
        [2, 0, 0, 1, 1, 2, 2, 2],
        [2, 2, 2, 2, 2, 2, 2, 2],
        [2, 2, 2, 2, 2, 2, 2, 2],
    ]
    halved = label_map(outlined((0, square(2, 2, 4))), "", 2, (3, 4))
    assert halved.tolist() == [[2, 2, 2, 2], [2, 0, 0, 2], [2, 0, 0, 2]]


def test_outlines_at_the_edge_of_the_image_and_without_a_pixel() -> None:
    image = outlined((0, square(6, 4, 2)), (1, square(2.6, 2.6, 0.2)), width=8, height=6)
    drawn = label_map(image, "", 2)
    assert (drawn == 0).sum() == 4
    assert (drawn[4:, 6:] == 0).all()
    assert not (drawn == 1).any()
    assert (label_map(outlined(), "", 2) == 2).all()


def test_numbers_mean_classes_background_and_void(tmp_path: Path) -> None:
    pixels = np.array([[0, 7, 20], [255, 7, 0]])
    image = filed(tmp_path, pixels, NUMBERS)
    assert label_map(image, tmp_path, 2).tolist() == [[2, 0, 1], [VOID_VALUE, 0, 2]]
    doubled = filed(tmp_path, pixels.repeat(2, 0).repeat(2, 1), NUMBERS)
    assert label_map(doubled, tmp_path, 2, (2, 3)).tolist() == [[2, 0, 1], [VOID_VALUE, 0, 2]]


def test_colours_mean_classes_also_where_the_file_has_a_palette_of_its_own(tmp_path: Path) -> None:
    pixels = np.array([[[128, 64, 128], [220, 220, 0]], [[0, 0, 0], [220, 220, 0]]])
    image = filed(tmp_path, pixels, COLOURS)
    assert label_map(image, tmp_path, 2).tolist() == [[0, 1], [2, 1]]
    Image.open(tmp_path / "a.png").quantize(8).save(tmp_path / "a.png")
    assert Image.open(tmp_path / "a.png").mode == "P"
    assert label_map(image, tmp_path, 2).tolist() == [[0, 1], [2, 1]]


def test_numbers_of_a_file_with_a_palette_are_its_indices(tmp_path: Path) -> None:
    image = filed(tmp_path, np.array([[0, 7], [20, 7]]), NUMBERS)
    indexed = Image.open(tmp_path / "a.png").convert("P")
    indexed.putpalette([255, 0, 0] * 256)
    indexed.save(tmp_path / "a.png")
    assert label_map(image, tmp_path, 2).tolist() == [[2, 0], [1, 0]]


@pytest.mark.parametrize(
    ("pixels", "palette", "fields", "message"),
    [
        ([[0, 7], [9, 9]], NUMBERS, {}, "2 pixels are 9, which the dataset's label_maps does not name"),
        ([[[1, 2, 3]]], COLOURS, {}, r"1 pixels are \[1, 2, 3\], which"),
        ([[[1, 2, 3]]], NUMBERS, {}, "has colours, and the dataset's label_maps numbers"),
        ([[0, 7]], NUMBERS, {"width_px": 4}, "the label map is 2x1 px, its image 4x1 px"),
    ],
)
def test_what_cannot_be_used_is_told(
    pixels: list[object], palette: Palette, fields: dict[str, int], message: str, tmp_path: Path
) -> None:
    image = filed(tmp_path, np.array(pixels), palette, **fields)
    with pytest.raises(DatasetError, match=message):
        label_map(image, tmp_path, 2)


def test_no_image_is_no_label_map(tmp_path: Path) -> None:
    image = filed(tmp_path, np.array([[0]]), NUMBERS)
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(DatasetError, match=r"a\.png: the label map cannot be decoded"):
        label_map(image, tmp_path, 2)


def test_pixels_are_counted_by_class_without_void(tmp_path: Path) -> None:
    image = filed(tmp_path, np.array([[0, 7, 20, 7], [255, 7, 0, 0]]), NUMBERS)
    dataset = Dataset(str(tmp_path), "semantic", ("road", "sign"), {"train": (image, image)})
    assert pixels_by_class(dataset, "train") == {"road": 6, "sign": 2, "background": 6}
    drawn = replace(dataset, splits={"train": (outlined((1, square(0, 0, 2))),)})
    assert pixels_by_class(drawn, "train") == {"road": 0, "sign": 4, "background": 44}
