from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from support.drives import CAMERA, jpeg, make_drive

from roadscan.errors import SurveyError
from roadscan.model.decode import plan_letterbox
from roadscan.model.faces import FACES
from roadscan.model.image_input import ImageInput
from roadscan.model.slices import SliceConfig
from roadscan.scan.decoded import decode_shard, most_bytes, pack, unpack
from roadscan.scan.ledger import Shard
from roadscan.scan.loading import Loaded, Loader, LoaderSettings
from roadscan.survey.drive import read_drive

SETTINGS: LoaderSettings = {
    "threads": 4, "side_px": 320, "stride_px": 32, "decode": "full", "max_megapixels": 64.0, "slices": None,
    "faces": FACES,
}  # fmt: skip
SLICES = SliceConfig(size_px=320, overlap_px=64)


def same(one: Loaded, other: Loaded) -> bool:
    assert (one.row, one.status, one.reason, one.quality) == (other.row, other.status, other.reason, other.quality)
    if one.image is None or other.image is None:
        return one.image is other.image
    mine, theirs = one.image, other.image
    if mine.slices is not None and theirs.slices is not None:
        assert np.array_equal(mine.slices, theirs.slices)
    else:
        assert mine.slices is theirs.slices
    return (mine.letterbox, mine.layout) == (theirs.letterbox, theirs.layout) and np.array_equal(
        mine.pixels, theirs.pixels
    )


def random_image(side_px: int, size_hw: tuple[int, int], seed: int) -> ImageInput:
    letterbox = plan_letterbox(size_hw, side_px, 32)
    return ImageInput(letterbox, np.random.default_rng(seed).integers(0, 256, (*letterbox.input_hw, 3), np.uint8))


@pytest.mark.parametrize("slices", [None, SLICES])
def test_a_shard_comes_out_of_its_row_as_it_was_loaded(tmp_path: Path, slices: SliceConfig | None) -> None:
    settings: LoaderSettings = {**SETTINGS, "slices": slices}
    uri = make_drive(
        str(tmp_path), n=7, images={1: b"", 2: None, 4: jpeg(4, 1280, 720), 6: b"<html>"}, replace={5: {"lon": None}}
    )
    drive = read_drive(uri)
    table = decode_shard(Shard(uri, drive.sha256, "key", 0, 0, 7), settings)
    expected = list(Loader(**settings).load(drive, drive.frames.to_pylist(), 4))
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
    sizes = ((9, 64), (64, 9), (64, 64))
    frames = [Loaded(row, random_image(64, size, row)) for row, size in enumerate(sizes)]
    assert len({one.image.pixels.shape for one in frames if one.image is not None}) == 3
    table = pack(iter(frames))
    assert all(map(same, unpack(table), frames))
    second = pa.concat_tables([pack(frames[:2]), table]).combine_chunks().slice(1)  # of a buffer that is not its own
    assert all(map(same, unpack(second), frames))


@pytest.mark.parametrize("frames", [[], [Loaded(0, status="failed", reason="denied: “no”")]])
def test_a_shard_without_pixels_is_a_row_as_well(frames: list[Loaded]) -> None:
    assert list(unpack(pack(frames))) == frames


def test_pixels_are_read_where_they_lie() -> None:
    table = pack([Loaded(0, random_image(64, (36, 64), 0))])
    (one,) = unpack(table)
    assert one.image is not None
    assert not one.image.pixels.flags.owndata
    assert one.image.pixels.ctypes.data == table["pixels"].chunk(0).buffers()[2].address


def test_a_drive_that_changed_since_the_plan_is_not_decoded(tmp_path: Path) -> None:
    uri = make_drive(str(tmp_path), n=1)
    with pytest.raises(SurveyError, match="the drive changed while it was being scanned"):
        decode_shard(Shard(uri, "another", "key", 0, 0, 1), SETTINGS)


def test_the_size_of_a_shard_is_told_before_it_is_decoded(tmp_path: Path) -> None:
    drive = read_drive(make_drive(str(tmp_path), n=3))
    table = decode_shard(Shard(drive.uri, drive.sha256, "key", 0, 0, 3), SETTINGS)
    told = most_bytes(3, [CAMERA], SETTINGS["side_px"], SETTINGS["stride_px"])
    assert told == table["pixels"][0].as_buffer().size == 3 * 3 * 320 * 192
