from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from support import labelled

from roadscan.errors import ModelError
from roadscan.model.backends.choose import calibration_images
from roadscan.model.bundle import Bundle, ModelCard, load, save
from roadscan.model.calibration import IMAGES, calibration_from_dataset, calibration_from_folder


def _write(folder: Path, name: str, pixels: np.ndarray) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / name), pixels, [cv2.IMWRITE_JPEG_QUALITY, 95])


@pytest.mark.slow
def test_the_images_with_most_to_find_are_kept_at_the_networks_size(tmp_path: Path) -> None:
    """Eight frames of the demo's roads among ten empty ones."""
    bundle = load("demo")
    for number, image in enumerate(calibration_images(bundle)):
        _write(tmp_path / "deep" / "er", f"b{number}.png", image)
    for number in range(10):
        _write(tmp_path, f"a{number}.jpg", np.full((720, 1280, 3), 120, np.uint8))
    kept = calibration_from_folder(bundle, tmp_path)
    assert len(kept) == IMAGES
    assert all(image.shape == (384, 640, 3) for image in calibration_images(Bundle(bundle.card, {}, "", kept)))
    assert kept == calibration_from_folder(bundle, tmp_path)


def test_images_without_anything_to_find_prove_nothing(tmp_path: Path) -> None:
    _write(tmp_path, "grey.jpg", np.full((360, 640, 3), 120, np.uint8))
    with pytest.raises(ModelError, match=r"finds nothing in any of 1; expected images of what it is for \(Pavilion,"):
        calibration_from_folder(load("demo"), tmp_path)


def test_a_folder_without_images_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"expected files with \.jpg"):
        calibration_from_folder(load("demo"), tmp_path)


def test_a_broken_image_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_bytes(b"no image")
    with pytest.raises(ModelError, match=r"calibration image .*x\.jpg: not_an_image"):
        calibration_from_folder(load("demo"), tmp_path)


def test_of_labelled_images_those_with_most_objects_are_kept(tmp_path: Path) -> None:
    dataset = labelled.draw_dataset(tmp_path, {"train": 1, "val": 12})
    kept = calibration_from_dataset(dataset, "val", 160)
    counts = [len(image.classes) for image in dataset.splits["val"]]
    assert len(kept) == IMAGES
    assert min(counts) < max(counts)
    fewest = sorted(counts)[-IMAGES]
    assert sum(count > fewest for count in counts) < IMAGES
    card = ModelCard(task="detect", variant="n", classes=("a",))
    (first, *_) = calibration_images(Bundle(card, {}, "", kept))
    assert first.shape == (96, 160, 3)


def test_they_are_part_of_the_file_and_of_its_digest(tmp_path: Path) -> None:
    bundle = load("demo")
    digest = save(tmp_path / "a.zip", bundle.card, bundle.weights, bundle.calibration)
    assert digest == bundle.sha256 == save(tmp_path / "b.zip", bundle.card, bundle.weights, bundle.calibration)
    assert load(str(tmp_path / "a.zip")).calibration == bundle.calibration
    assert save(tmp_path / "c.zip", bundle.card, bundle.weights) != digest
    assert load(str(tmp_path / "c.zip")).calibration == ()
