"""Frames that are pictures of videos, or of more bytes than an image has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from support.drives import frame, jpeg
from support.videos import HEIGHT, WIDTH, number_of, record

from roadscan.model.faces import FACES
from roadscan.ranged import RangedFile
from roadscan.scan.loading import Loaded, Loader, LoaderSettings
from roadscan.schemas import DRIVE_FRAMES
from roadscan.storage import MAX_IMAGE_BYTES, DiskStore
from roadscan.survey.camera import Camera
from roadscan.survey.drive import Drive, read_drive, write_drive

SETTINGS: LoaderSettings = {
    "threads": 3, "side_px": WIDTH, "stride_px": 32, "decode": "full", "max_megapixels": 64.0, "slices": None,
    "faces": FACES,
}  # fmt: skip


@pytest.fixture
def drive(tmp_path: Path) -> Callable[..., Drive]:
    def make(*keys: str) -> Drive:
        rows = [frame(index, image_uri=key) for index, key in enumerate(keys)]
        write_drive(
            DiskStore(tmp_path / "drive"),
            drive_id="d1",
            cameras=[Camera("front", WIDTH, HEIGHT, 230.0, 1.8)],
            frames=pa.Table.from_pylist(rows, DRIVE_FRAMES),
            source="test",
            image_root=str(tmp_path / "sd"),
        )
        return read_drive(str(tmp_path / "drive"))

    return make


def load(drive: Drive, **more: Any) -> list[Loaded]:
    found = list(Loader(**{**SETTINGS, **more}).load(drive, drive.frames.to_pylist(), ahead=2))
    assert [one.row for one in found] == list(range(drive.frames.num_rows))
    return found


def numbers(found: list[Loaded]) -> list[int | str | None]:
    """The number that each picture says, or the first word of its reason."""
    said: list[int | str | None] = []
    for one in found:
        if one.image is None:
            said.append((one.reason or "").partition(":")[0])
            continue
        box = one.image.letterbox
        said.append(number_of(one.image.pixels[box.top :, box.left :][: box.inner_hw[0], : box.inner_hw[1]]))
    return said


def test_each_frame_is_its_picture_among_images_and_other_videos(drive: Callable[..., Drive], tmp_path: Path) -> None:
    record(tmp_path / "sd/a.mp4", range(0, 3000, 40))
    record(tmp_path / "sd/b.mov", range(0, 3000, 100))
    (tmp_path / "sd/c.jpg").write_bytes(jpeg(0, WIDTH, HEIGHT))
    made = drive(
        "a.mp4#t=0.080000", "a.mp4#t=1.000000", "c.jpg", "b.mov#t=0.500000", "a.mp4#t=2.960000", "a.mp4#t=0.040000"
    )
    found = load(made)
    assert [one.status for one in found] == ["ok"] * 6
    assert [number for row, number in enumerate(numbers(found)) if row != 2] == [2, 25, 5, 74, 1]
    assert all(one.quality is not None for one in found)


def test_a_shard_opens_its_video_once_and_decodes_no_picture_twice(
    drive: Callable[..., Drive], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = record(tmp_path / "sd/a.mp4", range(0, 8000, 40), b_frames=0)
    opened, read, really = [], [], DiskStore.open

    def counting(store: DiskStore, key: str) -> RangedFile:
        file = really(store, key)
        opened.append(key)

        def part(start: int, stop: int) -> bytes:
            read.append(stop - start)
            return file.read_at(start, stop)

        return RangedFile(key, file.size, part, file.close)

    monkeypatch.setattr(DiskStore, "open", counting)
    found = load(drive(*(f"a.mp4#t={second}.000000" for second in range(8))))
    assert numbers(found) == [25 * second for second in range(8)]
    assert opened == ["a.mp4"]
    assert sum(read) < 1.5 * path.stat().st_size  # the index, at the end, is read besides


def test_what_is_wrong_with_a_video_is_its_frames_reason(drive: Callable[..., Drive], tmp_path: Path) -> None:
    data = record(tmp_path / "sd/a.mp4", range(0, 2000, 40)).read_bytes()
    (tmp_path / "sd/b.mp4").write_bytes(data[: len(data) // 2])
    record(tmp_path / "sd/small.mp4", range(0, 400, 40), draw=lambda _: np.zeros((180, 180, 3), np.uint8))
    keys = ["a.mp4#t=0.000000", "a.mp4#t=0.020000", "a.mp4#t=9.000000", "b.mp4#t=0.000000", "no.mp4#t=0.000000",
            "small.mp4#t=0.000000", "a.mp4#t=1.960000"]  # fmt: skip
    made = drive(*keys)
    assert numbers(load(made)) == [0, "corrupt", "corrupt", "corrupt", "missing", "bad_size", 49]
    assert numbers(load(made, max_megapixels=0.05))[0] == "too_large"  # 320 x 180 are 0.0576 megapixels
    upload = load(replace(made, uploading=True))
    assert [one.status for one in upload] == [*("ok",), *["quarantined"] * 3, "failed", "quarantined", "ok"]


def test_a_file_of_more_bytes_than_an_image_has_is_not_read(drive: Callable[..., Drive], tmp_path: Path) -> None:
    (tmp_path / "sd").mkdir()
    (tmp_path / "sd/a.jpg").write_bytes(jpeg(0, WIDTH, HEIGHT))
    with (tmp_path / "sd/b.jpg").open("wb") as file:
        file.truncate(MAX_IMAGE_BYTES + 1)
    small, large = load(drive("a.jpg", "b.jpg"))
    assert (small.status, large.status) == ("ok", "quarantined")
    assert str(large.reason).startswith("too_large: ")
    assert str(large.reason).endswith(f"{MAX_IMAGE_BYTES + 1} bytes, limit {MAX_IMAGE_BYTES}")


def test_a_store_that_stops_answering_fails_the_frames_and_loses_none(
    drive: Callable[..., Drive], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from roadscan.errors import Unreachable

    rng = np.random.default_rng(0)
    path = record(tmp_path / "sd/a.mp4", range(0, 4000, 40), b_frames=0, movflags="faststart",
                  draw=lambda _: rng.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8))  # fmt: skip
    size, really = path.stat().st_size, DiskStore.open

    def failing(store: DiskStore, key: str) -> RangedFile:
        file = really(store, key)

        def part(start: int, stop: int) -> bytes:
            if stop > size // 2:
                raise Unreachable("the endpoint does not answer")
            return file.read_at(start, stop)

        return RangedFile(key, file.size, part, file.close)

    made = drive(*(f"a.mp4#t={tenth * 0.4:.6f}" for tenth in range(10)))
    monkeypatch.setattr(DiskStore, "open", failing)
    found = load(made)
    assert [one.status for one in found][:2] == ["ok"] * 2
    assert {(one.status, one.reason) for one in found[6:]} == {("failed", "unreachable: the endpoint does not answer")}
    monkeypatch.setattr(DiskStore, "open", really)
    assert [one.status for one in load(made)] == ["ok"] * 10
