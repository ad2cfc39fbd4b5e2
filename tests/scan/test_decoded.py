from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from support.drives import CAMERA, jpeg, make_drive

from roadscan.errors import SurveyError
from roadscan.model.decode import plan_letterbox
from roadscan.scan.decoded import decode_shard, most_bytes, pack, unpack
from roadscan.scan.ledger import Shard
from roadscan.scan.loading import Loaded, Loader, LoaderSettings
from roadscan.survey.drive import read_drive

SETTINGS: LoaderSettings = {"threads": 4, "side_px": 320, "stride_px": 32, "decode": "full", "max_megapixels": 64.0}


def same(one: Loaded, other: Loaded) -> bool:
    fields = ("row", "letterbox", "status", "reason")
    return all(getattr(one, name) == getattr(other, name) for name in fields) and np.array_equal(
        one.pixels if one.pixels is not None else (), other.pixels if other.pixels is not None else ()
    )


def test_a_shard_comes_out_of_its_row_as_it_was_loaded(tmp_path: Path) -> None:
    uri = make_drive(
        str(tmp_path), n=7, images={1: b"", 2: None, 4: jpeg(4, 1280, 720), 6: b"<html>"}, replace={5: {"lon": None}}
    )
    drive = read_drive(uri)
    table = decode_shard(Shard(uri, drive.sha256, "key", 0, 0, 7), SETTINGS)
    expected = list(Loader(**SETTINGS).load(drive, drive.frames.to_pylist(), 4))
    found = list(unpack(table))
    assert table.num_rows == 1
    assert [one.status for one in found] == [
        "ok",
        "quarantined",
        "quarantined",
        "ok",
        "ok",
        "quarantined",
        "quarantined",
    ]
    assert all(map(same, found, expected))


def test_inputs_of_several_sizes_keep_their_pixels() -> None:
    rng = np.random.default_rng(0)
    boxes = [plan_letterbox(size, 64, 32) for size in ((9, 64), (64, 9), (64, 64))]
    frames = [Loaded(row, box, rng.integers(0, 256, (*box.input_hw, 3), np.uint8)) for row, box in enumerate(boxes)]
    assert len({one.pixels.shape for one in frames if one.pixels is not None}) == 3
    table = pack(iter(frames))
    assert all(map(same, unpack(table), frames))
    second = pa.concat_tables([pack(frames[:2]), table]).combine_chunks().slice(1)  # of a buffer that is not its own
    assert all(map(same, unpack(second), frames))


@pytest.mark.parametrize("frames", [[], [Loaded(0, status="failed", reason="denied: “no”")]])
def test_a_shard_without_pixels_is_a_row_as_well(frames: list[Loaded]) -> None:
    assert list(unpack(pack(frames))) == frames


def test_pixels_are_read_where_they_lie() -> None:
    box = plan_letterbox((36, 64), 64, 32)
    table = pack([Loaded(0, box, np.ones((*box.input_hw, 3), np.uint8))])
    (one,) = unpack(table)
    assert one.pixels is not None
    assert not one.pixels.flags.owndata
    assert one.pixels.ctypes.data == table["pixels"].chunk(0).buffers()[2].address


def test_a_drive_that_changed_since_the_plan_is_not_decoded(tmp_path: Path) -> None:
    uri = make_drive(str(tmp_path), n=1)
    with pytest.raises(SurveyError, match="the drive changed while it was being scanned"):
        decode_shard(Shard(uri, "another", "key", 0, 0, 1), SETTINGS)


def test_the_size_of_a_shard_is_told_before_it_is_decoded(tmp_path: Path) -> None:
    drive = read_drive(make_drive(str(tmp_path), n=3))
    table = decode_shard(Shard(drive.uri, drive.sha256, "key", 0, 0, 3), SETTINGS)
    told = most_bytes(3, [CAMERA], SETTINGS["side_px"], SETTINGS["stride_px"])
    assert told == table["pixels"][0].as_buffer().size == 3 * 3 * 320 * 192
