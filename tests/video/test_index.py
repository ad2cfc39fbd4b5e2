from __future__ import annotations

from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from support.videos import box, number_of, record, spherical

from roadscan.errors import Malformed
from roadscan.ranged import RangedFile
from roadscan.storage import open_store
from roadscan.video.decoder import Decoder
from roadscan.video.index import look

#: 75 times, between 20 and 200 ms apart: a variable frame rate.
UNEVEN_MS = np.cumsum(np.random.default_rng(3).integers(20, 200, 75)).tolist()
EVEN_MS = list(range(0, 3000, 40))
FRAGMENTS = "frag_keyframe+empty_moov"


def opened(path: Path) -> RangedFile:
    return open_store(path.parent).open(path.name)


def shown(path: Path) -> list[tuple[float, int]]:
    """What FFmpeg alone decodes: the time of each picture after the start, and the number that it says."""
    with av.open(str(path)) as container:
        start_s = container.start_time / 1e6
        return [
            (frame.pts * float(frame.time_base) - start_s, number_of(frame.to_ndarray(format="bgr24")))
            for frame in container.decode(video=0)
        ]


FORMS: dict[str, tuple[str, list[int], dict[str, Any]]] = {
    "pictures that depend on later ones": ("a.mp4", EVEN_MS, {}),
    "none that do": ("a.mp4", EVEN_MS, {"b_frames": 0}),
    "a variable frame rate": ("a.mov", UNEVEN_MS, {}),
    "starting late": ("a.mp4", [time + 700 for time in EVEN_MS], {}),
    "the index first": ("a.mp4", UNEVEN_MS, {"movflags": "faststart"}),
    "fragments": ("a.mp4", UNEVEN_MS, {"movflags": FRAGMENTS}),
    "fragments with their own base": ("a.mp4", EVEN_MS, {"movflags": f"{FRAGMENTS}+default_base_moof"}),
    "fragments of one track": ("a.mp4", UNEVEN_MS, {"movflags": FRAGMENTS, "b_frames": 0}),
    "negative offsets": ("a.mp4", EVEN_MS, {"movflags": "negative_cts_offsets"}),
    "HEVC": ("a.mp4", UNEVEN_MS, {"codec": "libx265"}),
    "a transport stream": ("a.ts", UNEVEN_MS, {}),
    "Matroska": ("a.mkv", UNEVEN_MS, {}),
}


@pytest.mark.parametrize("form", FORMS)
def test_times_are_those_that_ffmpeg_decodes_and_each_gives_its_picture(form: str, tmp_path: Path) -> None:
    name, times_ms, more = FORMS[form]
    path = record(tmp_path / name, times_ms, **more)
    truth = shown(path)
    assert [number for _, number in truth] == list(range(75))
    with opened(path) as file:
        recording = look(file)
        np.testing.assert_allclose(recording.time_s, [time for time, _ in truth], atol=1e-6)
        assert (recording.width_px, recording.height_px, recording.lost) == (320, 180, 0)
        decoder = Decoder(file)
        rows = [*range(75), *np.random.default_rng(0).permutation(75).tolist()]  # in order, and jumping about
        # An address has six decimals.
        assert [number_of(decoder.picture(round(float(recording.time_s[row]), 6))) for row in rows] == rows
        decoder.close()


def test_of_an_mp4_only_the_index_and_the_first_picture_are_read(tmp_path: Path) -> None:
    # The size of the pictures: the file has 75 of noise, about 60 kB each.
    rng = np.random.default_rng(0)
    path = record(tmp_path / "a.mp4", EVEN_MS, b_frames=0, draw=lambda _: rng.integers(0, 255, (180, 320, 3), np.uint8))
    size, read = path.stat().st_size, []
    data = path.read_bytes()

    def part(start: int, stop: int) -> bytes:
        read.append(stop - start)
        return data[start:stop]

    assert len(look(RangedFile("a.mp4", size, part)).time_s) == 75
    assert size > 3_000_000
    assert sum(read) < 0.2 * size


@pytest.mark.parametrize(("turn_deg", "corner"), [(0, (0, 0)), (90, (-1, 0)), (180, (-1, -1)), (-90, (0, -1))])
def test_pictures_are_turned_as_the_file_says(turn_deg: int, corner: tuple[int, int], tmp_path: Path) -> None:
    # The blue mark is in the upper left corner as stored. Turned 90° counterclockwise that is the lower left.
    path = record(tmp_path / "a.mp4", EVEN_MS[:3], turn_deg=turn_deg)
    with opened(path) as file:
        recording = look(file)
        decoder = Decoder(file)
        image = decoder.picture(0.0)
        decoder.close()
    upright = (320, 180) if turn_deg in (0, 180) else (180, 320)
    assert (recording.width_px, recording.height_px) == (image.shape[1], image.shape[0]) == upright
    blue, green, red = image[corner].tolist()
    assert blue > 200
    assert max(green, red) < 60


def test_pixels_are_made_square(tmp_path: Path) -> None:
    with opened(record(tmp_path / "a.mp4", EVEN_MS[:3], pixel_shape=Fraction(4, 3))) as file:
        recording = look(file)
    assert (recording.width_px, recording.height_px) == (427, 180)  # 320 · 4/3


def test_the_time_of_recording_is_told(tmp_path: Path) -> None:
    at = datetime(2026, 11, 1, 3, 4, 5, tzinfo=UTC)
    with opened(record(tmp_path / "a.mp4", EVEN_MS[:3], made_at=at)) as file:
        assert look(file).made_at == at
    with opened(record(tmp_path / "b.mp4", EVEN_MS[:3])) as file:
        assert look(file).made_at is None


def test_a_recording_that_was_cut_off_says_so(tmp_path: Path) -> None:
    data = record(tmp_path / "a.mp4", EVEN_MS).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: data.rindex(b"moov") - 100])  # the camera writes it last
    with opened(tmp_path / "cut.mp4") as file, pytest.raises(Malformed, match="no moov box, which says where the pic"):
        look(file)
    (tmp_path / "cut.mp4").write_bytes(data[:-200])
    with opened(tmp_path / "cut.mp4") as file, pytest.raises(Malformed, match="moov box ends after the file"):
        look(file)


def test_of_a_file_that_is_cut_the_pictures_that_are_there_are_used(tmp_path: Path) -> None:
    path = record(tmp_path / "a.mp4", EVEN_MS, b_frames=0, movflags="faststart", key_every=5)
    whole = opened(path)
    last = look(whole).movie
    assert last is not None
    offset = last.tracks[0].samples.offset
    path.write_bytes(path.read_bytes()[: int(offset[60]) + 3])  # within the 61st
    with opened(path) as file:
        recording = look(file)
    assert recording.lost == 15
    assert len(recording.time_s) == 60


@pytest.mark.parametrize(
    "data",
    [b"", b"no video at all" * 100, box(b"ftyp", b"isom") + box(b"moov", b""), b"\0\0\0\1ftyp" + bytes(4), bytes(5000)],
    ids=["nothing", "text", "an empty index", "a box of 0 bytes", "zeros"],
)
def test_what_is_no_video_is_refused(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(data)
    with opened(tmp_path / "a.mp4") as file, pytest.raises(Malformed):
        look(file)


def test_a_table_that_claims_billions_of_samples_is_refused(tmp_path: Path) -> None:
    data = record(tmp_path / "a.mp4", EVEN_MS).read_bytes()
    head, stts, rest = data.partition(b"stts")
    # Version and flags, the number of rows, and the first row's count.
    (tmp_path / "a.mp4").write_bytes(head + stts + rest[:8] + b"\xf0\0\0\0" + rest[12:])
    with opened(tmp_path / "a.mp4") as file, pytest.raises(Malformed, match="4026531840 samples"):
        look(file)


EQUI = box(b"equi", bytes(20))
V1 = b"<GSpherical:Spherical>true</GSpherical:Spherical>"
PROJECTION = b"<GSpherical:ProjectionType>equirectangular</GSpherical:ProjectionType>"


@pytest.mark.parametrize(
    ("mark", "said"),
    [
        (box(b"uuid", bytes(16) + V1 + PROJECTION), {"Spherical": "true", "ProjectionType": "equirectangular"}),
        (box(b"uuid", bytes(16) + V1), {"Spherical": "true", "ProjectionType": "unknown"}),
        (box(b"sv3d", box(b"proj", box(b"prhd", bytes(16)) + EQUI)), {"ProjectionType": "equirectangular"}),
        (
            box(b"st3d", bytes(4) + b"\1") + box(b"sv3d", box(b"proj", box(b"cbmp", bytes(12)))),
            {"ProjectionType": "cubemap", "StereoMode": "top-bottom"},
        ),
        (
            box(b"sv3d", box(b"proj", box(b"equi", bytes(4) + b"\x40" + bytes(15)))),
            {"ProjectionType": "equirectangular", "Bounds": "1073741824, 0, 0, 0"},
        ),
        (
            box(b"sv3d", box(b"proj", box(b"prhd", bytes(4) + b"\0\1" + bytes(10)) + EQUI)),
            {"ProjectionType": "equirectangular", "Pose": "65536, 0, 0"},
        ),
    ],
)
def test_what_a_video_says_of_being_a_panorama(mark: bytes, said: dict[str, str], tmp_path: Path) -> None:
    path = spherical(record(tmp_path / "a.mp4", EVEN_MS[:3]), mark)
    with opened(path) as file:
        assert look(file).sphere == said


def test_damage_costs_the_pictures_that_need_what_is_lost_and_no_other(tmp_path: Path) -> None:
    path = record(tmp_path / "a.mp4", EVEN_MS, b_frames=0)
    with opened(path) as file:
        movie = look(file).movie
    assert movie is not None
    samples = movie.tracks[0].samples
    keys = np.flatnonzero(samples.key).tolist()
    assert len(keys) >= 4
    data = bytearray(path.read_bytes())
    at, size = int(samples.offset[keys[1]]), int(samples.size[keys[1]])
    data[at : at + size] = bytes(size)
    path.write_bytes(data)
    with opened(path) as file:
        times = look(file).time_s
        decoder = Decoder(file)
        got: dict[int, int | None] = {}
        for row in range(75):
            try:
                got[row] = number_of(decoder.picture(float(times[row])))
            except Malformed as error:
                got[row] = None
                assert f"no picture can be decoded at {times[row]:.6f} s" in str(error)  # noqa: PT017 - each of many
        decoder.close()
    # FFmpeg alone gives pictures for most of them, with the wrong numbers.
    lost = range(keys[1], keys[2])
    assert got == {row: None if row in lost else row for row in range(75)}
