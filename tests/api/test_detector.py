"""The detector as a user calls it: on files and arrays, one or many."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco
from support import drives

import roadscan


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three images, of which the second has another shape."""
    folder = tmp_path_factory.mktemp("images")
    for number, (width, height) in enumerate([(640, 360), (360, 640), (640, 360)]):
        (folder / f"{number}.jpg").write_bytes(drives.jpeg(number, width, height))
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def detector(detect_model: str) -> roadscan.Detector:
    return roadscan.Detector(detect_model, backend="torch", device="cpu")


def test_a_file_and_its_pixels_give_the_same(detector: roadscan.Detector, files: list[Path]) -> None:
    from_file, from_pixels = detector.detect(files[0]), detector.detect(cv2.imread(str(files[0])))
    assert len(from_file) > 0
    np.testing.assert_array_equal(from_file.boxes_xyxy, from_pixels.boxes_xyxy)
    assert from_file.classes == from_pixels.classes
    assert set(from_file.classes) <= set(detector.classes)


def test_boxes_lie_in_the_image(detector: roadscan.Detector, files: list[Path]) -> None:
    found = detector.detect(files[1])
    assert found.image_hw == (640, 360)
    assert found.boxes_xyxy.min() >= 0
    assert (found.boxes_xyxy.max(axis=0) <= [360, 640, 360, 640]).all()
    assert found.boxes_xyxy[:, 3].max() > 360  # the network's input is 320 high at most
    assert (np.diff(found.scores) <= 0).all()


def test_many_images_come_back_in_their_order(detector: roadscan.Detector, files: list[Path]) -> None:
    together = list(detector.detect_all(files))
    assert [found.image_hw for found in together] == [(360, 640), (640, 360), (360, 640)]
    for found, file in zip(together, files, strict=True):
        alone = detector.detect(str(file))
        np.testing.assert_allclose(found.boxes_xyxy, alone.boxes_xyxy, atol=0.01)


def test_a_higher_confidence_finds_less(detect_model: str, detector: roadscan.Detector, files: list[Path]) -> None:
    all_of_them = detector.detect(files[0])
    bar = float(np.median(all_of_them.scores))
    strict = roadscan.Detector(detect_model, backend="torch", device="cpu", confidence=bar).detect(files[0])
    assert 0 < len(strict) < len(all_of_them)
    assert strict.scores.min() >= bar


def test_a_larger_input_is_another_look(detect_model: str, detector: roadscan.Detector, files: list[Path]) -> None:
    larger = roadscan.Detector(detect_model, backend="torch", device="cpu", image_size_px=640)
    found, own = larger.detect(files[0]), detector.detect(files[0])
    assert found.image_hw == own.image_hw
    assert found.boxes_xyxy.tolist() != own.boxes_xyxy.tolist()
    with pytest.raises(roadscan.ConfigError, match="image size: got 500 px"):
        roadscan.Detector(detect_model, image_size_px=500)


def test_masks_have_the_images_size(segment_model: str, files: list[Path]) -> None:
    found = roadscan.Detector(segment_model, backend="torch", device="cpu").detect(files[0])
    assert found.masks_rle is not None
    assert len(found.masks_rle) == len(found) > 0
    mask = coco.decode({"size": list(found.image_hw), "counts": found.masks_rle[0].encode()})
    assert mask.shape == (360, 640)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.zeros((8, 8), np.uint8), r"got an array \(8, 8\) of uint8; expected \(h, w, 3\) of uint8"),
        (np.zeros((8, 8, 4), np.uint8), r"\(8, 8, 4\)"),
        (np.zeros((8, 8, 3), np.float64), "float64"),
        (np.zeros((0, 8, 3), np.uint8), r"\(0, 8, 3\)"),
    ],
)
def test_an_array_that_is_no_image_is_refused(detector: roadscan.Detector, image: np.ndarray, words: str) -> None:
    with pytest.raises(roadscan.ConfigError, match=words):
        detector.detect(image)


def test_a_file_that_is_no_image_is_named(detector: roadscan.Detector, tmp_path: Path) -> None:
    (tmp_path / "page.jpg").write_text("<html>")
    with pytest.raises(roadscan.RoadscanError, match=r"page\.jpg: not_an_image: starts with HTML"):
        detector.detect(tmp_path / "page.jpg")
    with pytest.raises(roadscan.NotFound, match=r"gone\.jpg"):
        detector.detect(tmp_path / "gone.jpg")


def test_the_shipped_model_is_the_default(files: list[Path]) -> None:
    detector = roadscan.Detector(backend="torch", device="cpu")
    assert "Warning Sign" in detector.classes
    assert detector.runs_on.startswith("cpu")
    assert detector.detect(files[0]).image_hw == (360, 640)
