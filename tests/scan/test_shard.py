from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from pycocotools import mask as coco
from support.drives import jpeg, make_drive

import roadscan
from roadscan.model import yolo
from roadscan.model.bundle import Bundle, ModelCard, load
from roadscan.model.detector import Detector
from roadscan.model.image_detections import ImageDetections
from roadscan.model.image_input import ImageInput, prepare
from roadscan.model.segmenter import Segmenter
from roadscan.model.slices import SliceConfig
from roadscan.scan.config import ScanConfig
from roadscan.scan.decoded import decode_shard, unpack
from roadscan.scan.ledger import Shard
from roadscan.scan.loading import Loaded
from roadscan.scan.shard import ShardScanner, loader_settings
from roadscan.scan.tables import RunFacts, Seen, make_tables
from roadscan.schemas import FRAMES, OBSERVATIONS
from roadscan.storage import sha256_hex
from roadscan.survey.drive import read_drive
from roadscan.taxonomy import HIGHWAY


def scanner(model: str, threads: int = 8, **settings: object) -> ShardScanner:
    fields = {"drives": ("d",), "warehouse": "w", "batch_size": 4, **settings}
    bundle = load(model)
    return ShardScanner(ScanConfig.model_validate(fields), bundle, Detector(bundle, confidence=0.3), threads)


ACCURATE = {"pos_sigma_m": 0.05, "heading_sigma_deg": 0.2, "altitude_m": 12.5, "pitch_deg": -1.0, "roll_deg": 2.0}


def test_every_frame_comes_out_once_whatever_is_wrong_with_it(tmp_path: Path, detect_model: str) -> None:
    drive = read_drive(
        make_drive(
            str(tmp_path),
            n=9,
            images={1: b"", 2: b"<html>", 3: jpeg()[:3000], 4: None, 5: jpeg(width=320, height=640)},
            replace={
                0: ACCURATE,
                6: {"lon": None},
                7: {"image_uri": "../../secret.jpg"},
                8: {"reason": "corrupt: importer"},
            },
        )
    )
    observations, frames = scanner(detect_model).scan(drive, drive.frames, "key")
    assert (observations.schema, frames.schema) == (OBSERVATIONS, FRAMES)
    assert frames["frame_id"].to_pylist() == [f"{i:06d}" for i in range(9)]
    reasons = [(reason or "").partition(":")[0] for reason in frames["reason"].to_pylist()]
    assert reasons == ["", "empty", "not_an_image", "truncated", "missing", "bad_size", "no_gps", "bad_key", "corrupt"]
    assert frames["status"].to_pylist() == ["ok" if not reason else "quarantined" for reason in reasons]
    for look in ("light", "blur"):
        assert [value is not None and 0 <= value <= 1 for value in frames[look].to_pylist()] == [True] + 8 * [False]
    found = observations["frame_id"].to_pylist()
    assert [found.count(name) for name in frames["frame_id"].to_pylist()] == frames["n_detections"].to_pylist()
    assert set(found) == {"000000"}
    for table in (frames, observations):
        assert {name: table[name][0].as_py() for name in ACCURATE} == ACCURATE


def avif() -> bytes:
    """An AVIF without its image: Pillow raises RuntimeError."""
    file = io.BytesIO()
    Image.new("RGB", (64, 36)).save(file, "AVIF")
    return file.getvalue().replace(b"av01", b"av02")


def test_what_no_one_foresaw_of_a_frame_is_a_row_with_its_type(
    tmp_path: Path, detect_model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(data: bytes, *arguments: Any) -> ImageInput:
        if data == jpeg(3):
            raise KeyError("a codec")
        return prepare(data, *arguments)

    monkeypatch.setattr("roadscan.scan.loading.prepare", broken)
    uri = make_drive(str(tmp_path), n=5, images={1: avif()})
    drive = read_drive(_far_from_now(uri, row=2))
    _, frames = scanner(detect_model).scan(drive, drive.frames, "key")
    assert frames["status"].to_pylist() == ["ok", "quarantined", "quarantined", "quarantined", "ok"]
    assert "Failed to decode image" in frames["reason"][1].as_py()
    assert frames["reason"][2].as_py() == "no_time: no year has 300000000000000000 microseconds since 1970"
    assert frames["captured_at"][2].as_py() is None
    assert frames["reason"][3].as_py() == "undecodable: KeyError: 'a codec'"


def _far_from_now(uri: str, row: int) -> str:
    """A drive, after the time of a row of its table became one past the year 9999."""
    folder, manifest = Path(uri), json.loads(Path(uri, "drive.json").read_text())
    table = pq.read_table(folder / manifest["frames"]["path"])
    times = table["captured_at"].cast(pa.int64()).to_pylist()
    times[row] = 300_000_000_000_000_000
    table = table.set_column(
        table.schema.get_field_index("captured_at"), "captured_at",
        pa.array(times, pa.int64()).cast(table["captured_at"].type),
    )  # fmt: skip
    pq.write_table(table, folder / "frames.parquet")
    digest = sha256_hex((folder / "frames.parquet").read_bytes())
    manifest["frames"] |= {"path": "frames.parquet", "sha256": digest}
    (folder / "drive.json").write_text(json.dumps(manifest))
    return uri


class Refusing(Detector):
    """A detector that raises at what is black, alone or among others; and at everything, where it is broken."""

    broken = False

    def infer(self, images: Any) -> Any:
        if self.broken or (images.mean(axis=(1, 2, 3)) < 40).any():
            raise RuntimeError("no kernel for this")
        return super().infer(images)


def test_a_frame_that_the_model_fails_at_fails_alone(tmp_path: Path, detect_model: str) -> None:
    black = cv2.imencode(".jpg", np.zeros((360, 640, 3), np.uint8))[1].tobytes()
    drive = read_drive(make_drive(str(tmp_path), n=5, images={2: black}))
    bundle, config = load(detect_model), ScanConfig(drives=("d",), warehouse="w", batch_size=4)
    detector = Refusing(bundle, confidence=0.3)
    observations, frames = ShardScanner(config, bundle, detector).scan(drive, drive.frames, "key")
    assert frames["status"].to_pylist() == ["ok", "ok", "failed", "ok", "ok"]
    assert frames["reason"][2].as_py() == "undetected: RuntimeError: no kernel for this"
    assert set(observations["frame_id"].to_pylist()) == {"000000", "000001", "000003", "000004"}
    detector.broken = True  # that is nothing of a frame's
    with pytest.raises(RuntimeError, match="no kernel for this"):
        ShardScanner(config, bundle, detector).scan(drive, drive.frames, "key")


def test_rows_do_not_depend_on_batches_or_threads(tmp_path: Path, detect_model: str) -> None:
    drive = read_drive(make_drive(str(tmp_path), n=7))
    rows = drive.frames
    one, _ = scanner(detect_model, threads=1, batch_size=1).scan(drive, rows, "key")
    many, _ = scanner(detect_model, threads=8, batch_size=4).scan(drive, rows, "key")
    assert one.num_rows > 0
    exact = ["observation_id", "class", "camera_lon", "image_uri", "run_key"]
    assert one.select(exact) == many.select(exact)
    # A convolution may sum a batch in another order than a single image.
    assert np.allclose(np.stack(one["box_px"].to_pylist()), np.stack(many["box_px"].to_pylist()), atol=0.05)


def test_no_frames_give_empty_tables(tmp_path: Path, detect_model: str) -> None:
    drive = read_drive(make_drive(str(tmp_path), n=0))
    observations, frames = scanner(detect_model).scan(drive, drive.frames, "key")
    assert (observations.num_rows, frames.num_rows) == (0, 0)


def test_a_segmentation_model_gives_masks(tmp_path: Path, segment_model: str) -> None:
    drive = read_drive(make_drive(str(tmp_path), n=1))
    observations, _ = scanner(segment_model, task="segment").scan(drive, drive.frames, "key")
    assert observations.num_rows > 0
    assert all(observations["mask_rle"].to_pylist())


def test_frames_that_another_process_decoded_give_the_same_rows(tmp_path: Path, detect_model: str) -> None:
    drive = read_drive(make_drive(str(tmp_path), n=7, images={2: b"", 4: None}))
    one = scanner(detect_model)
    shard = Shard(drive.uri, drive.sha256, "key", 0, 0, 7)
    settings = loader_settings(ScanConfig(drives=("d",), warehouse="w"), load(detect_model).card, 4)
    decoded = unpack(decode_shard(shard, settings))
    tables = one.scan(drive, drive.frames, "key", decoded)
    assert tables[0].num_rows > 0
    assert tables == one.scan(drive, drive.frames, "key")


def test_slices_find_in_a_scan_what_they_find_in_single_images(tmp_path: Path, detect_model: str) -> None:
    slices = SliceConfig(size_px=320, overlap_px=64)
    drive = read_drive(make_drive(str(tmp_path), n=3, images={1: b""}))
    whole, _ = scanner(detect_model).scan(drive, drive.frames, "key")
    observations, frames = scanner(detect_model, slices=slices).scan(drive, drive.frames, "key")
    assert frames["status"].to_pylist() == ["ok", "quarantined", "ok"]
    assert observations.num_rows > whole.num_rows
    single = roadscan.Detector(detect_model, confidence=0.3, slices=slices, backend="torch")
    uris = dict(zip(frames["frame_id"].to_pylist(), frames["image_uri"].to_pylist(), strict=True))
    for frame_id in ("000000", "000002"):
        found = single.detect(uris[frame_id])
        boxes = observations.filter(pc.field("frame_id") == frame_id)["box_px"].to_pylist()
        assert np.allclose(np.array(boxes), found.boxes_xyxy, atol=0.05)


def test_a_semantic_model_gives_observations_with_the_pixels_of_each(tmp_path: Path) -> None:
    torch.manual_seed(0)
    card = ModelCard(task="semantic", variant="n", classes=("Concrete Guardrail", "Warning Sign"), image_size_px=160)
    network = yolo.build("semantic", "n", 2)
    torch.nn.init.normal_(network.state_dict()["model.22.logits.weight"])  # so that classes take turns
    bundle = Bundle(card, network.state_dict(), "0" * 64)
    config = ScanConfig.model_validate({"drives": ("d",), "warehouse": "w", "task": "semantic", "confidence": 0.3})
    drive = read_drive(make_drive(str(tmp_path), n=3, images={1: b""}))
    observations, frames = ShardScanner(config, bundle, Segmenter(bundle, device="cpu")).scan(
        drive, drive.frames, "key"
    )
    assert frames["status"].to_pylist() == ["ok", "quarantined", "ok"]
    assert observations.num_rows == sum(frames["n_detections"].to_pylist()) > 0
    height, width = frames["height_px"][0].as_py(), frames["width_px"][0].as_py()
    for row in observations.to_pylist():
        mask = {"size": [height, width], "counts": row["mask_rle"].encode()}
        left, top, across, down = coco.toBbox(mask)
        assert row["box_px"] == [left, top, left + across, top + down]
        assert row["class"] in card.classes
        assert 0.3 <= row["score"] <= 1


def test_the_ends_of_a_guardrail_are_those_of_its_mask(tmp_path: Path) -> None:
    drive = read_drive(make_drive(str(tmp_path), n=1))
    (camera,) = drive.cameras.values()
    height, width = 2 * camera.height_px, 2 * camera.width_px  # an image of twice the size that the camera is known for
    mask = np.zeros((height, width), np.uint8, order="F")
    columns = np.arange(width * 5 // 8, width * 7 // 8)
    for column in columns:
        foot = height // 2 + (column - width // 2) // 2
        mask[foot - 20 : foot, column] = 1
    rle = coco.encode(mask)["counts"].decode()
    box = np.array([[columns[0], height // 2, width - 1, height - 5]], np.float32)
    found = ImageDetections(box, np.array([0.9], np.float32), ("Concrete Guardrail",), (rle,))
    run = RunFacts("key", "0" * 64, HIGHWAY)
    observations, _ = make_tables(drive, drive.frames, [Seen(Loaded(0), (height, width), found)], run)
    feet = np.stack([columns + 0.5, height // 2 + (columns - width // 2) // 2], axis=1) / 2
    near_bearing, near, far_bearing, far = camera.traced_ends(feet)
    row = observations.to_pylist()[0]
    heading = row["heading_deg"]
    assert [row["near_range_m"], row["far_range_m"]] == pytest.approx([near, far])
    assert row["near_bearing_deg"] == pytest.approx((heading + near_bearing) % 360)
    assert row["far_bearing_deg"] == pytest.approx((heading + far_bearing) % 360)
    assert row["near_range_m"] != pytest.approx(camera.base_ends(box / 2)[1][0], rel=0.05)
