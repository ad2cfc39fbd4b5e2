from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from roadscan.model import yolo
from roadscan.model.bundle import load
from roadscan.model.detector import Detector
from roadscan.scan.config import ScanConfig
from roadscan.scan.shard import ShardScanner
from roadscan.simulate import SimulationConfig, simulate
from roadscan.survey.drive import read_drive


def test_a_batch_gives_a_result_an_image(detect_model: str) -> None:
    detector = Detector(load(detect_model), confidence=0.3)
    found = detector.infer(np.random.default_rng(0).integers(0, 255, (3, 192, 320, 3), np.uint8))
    assert len(found) == 3
    assert all(len(d.boxes_xyxy) == len(d.scores) == len(d.classes) > 0 for d in found)
    assert all((np.diff(d.scores) <= 0).all() for d in found)
    assert detector.infer(np.zeros((1, 32, 32, 3), np.uint8))[0].masks is None


def test_a_segmentation_model_gives_mask_logits(segment_model: str) -> None:
    (found,) = Detector(load(segment_model), confidence=0.3).infer(np.zeros((1, 96, 160, 3), np.uint8))
    assert found.masks is not None
    assert found.masks.shape == (len(found.scores), 24, 40)


def test_an_empty_result_has_its_shapes(detect_model: str) -> None:
    (found,) = Detector(load(detect_model), confidence=0.999).infer(np.zeros((1, 96, 160, 3), np.uint8))
    assert found.boxes_xyxy.shape == (0, 4)
    assert found.classes == ()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("decode", "precision", "limit_px"), [("full", "full", 0.5), ("full", "half", 6.0), ("scaled", "full", 6.0)]
)
def test_the_scan_finds_what_ultralytics_finds(tmp_path: Path, decode: str, precision: str, limit_px: float) -> None:
    """The demo model on simulated frames: the scan's boxes against `YOLO.predict` on the same files."""
    from ultralytics import YOLO

    road = SimulationConfig(seed=4, length_km=0.2, nights=1, width_px=1280, height_px=720, workers=1)
    (drive_id,) = simulate(str(tmp_path), road).drive_ids
    drive = read_drive(f"{tmp_path}/drives/{drive_id}")
    bundle = load("demo")
    settings = {
        "drives": ("d",),
        "warehouse": "w",
        "decode": decode,
        "precision": precision,
    }
    detector = Detector(bundle, confidence=0.4, iou=0.6, precision=precision)
    frames = drive.frames.slice(0, 8)
    observations, _ = ShardScanner(ScanConfig.model_validate(settings), bundle, detector).scan(drive, frames, "key")
    peer = YOLO("yolov8n.yaml", task="detect")
    peer.model = yolo.build("detect", "n", len(bundle.card.classes))
    peer.model.load_state_dict(bundle.weights)
    matched = ours = theirs = 0
    for row in frames.to_pylist():
        (result,) = peer.predict(f"{drive.uri}/{row['image_uri']}", imgsz=640, conf=0.4, iou=0.6, verbose=False)
        mine = [np.array(o["box_px"]) for o in observations.to_pylist() if o["frame_id"] == row["frame_id"]]
        their = result.boxes.xyxy.numpy()
        matched += sum(any(np.abs(box - other).max() < limit_px for other in their) for box in mine)
        ours, theirs = ours + len(mine), theirs + len(their)
    assert theirs > 5
    if decode == precision == "full":
        assert matched == ours == theirs
    else:
        assert matched >= 0.8 * max(ours, theirs)  # boxes at the edge of the threshold come and go
