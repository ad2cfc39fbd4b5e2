from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.compute as pc
from support.drives import jpeg, make_drive

import roadscan
from roadscan.model.bundle import load
from roadscan.model.detector import Detector
from roadscan.model.slices import SliceConfig
from roadscan.scan.config import ScanConfig
from roadscan.scan.decoded import decode_shard, unpack
from roadscan.scan.ledger import Shard
from roadscan.scan.shard import ShardScanner, loader_settings
from roadscan.schemas import FRAMES, OBSERVATIONS
from roadscan.survey.drive import read_drive


def scanner(model: str, threads: int = 8, **settings: object) -> ShardScanner:
    fields = {"drives": ("d",), "warehouse": "w", "batch_size": 4, **settings}
    bundle = load(model)
    return ShardScanner(ScanConfig.model_validate(fields), bundle, Detector(bundle, confidence=0.3), threads)


def test_every_frame_comes_out_once_whatever_is_wrong_with_it(tmp_path: Path, detect_model: str) -> None:
    drive = read_drive(
        make_drive(
            str(tmp_path),
            n=9,
            images={1: b"", 2: b"<html>", 3: jpeg()[:3000], 4: None, 5: jpeg(width=320, height=640)},
            replace={6: {"lon": None}, 7: {"image_uri": "../../secret.jpg"}, 8: {"reason": "corrupt: importer"}},
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
