"""Panoramas at the door: which are taken, and why the others are not."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import piexif
import pytest
from support.panoramas import jpeg

from roadscan.errors import ConfigError, SurveyError
from roadscan.survey.camera import Camera
from roadscan.survey.drive import read_drive
from roadscan.survey.importers import IngestSummary, ingest, ingest_config

from .conftest import gps_tags

Run = Callable[..., tuple[IngestSummary, list[dict[str, Any]]]]


def write(
    path: Path,
    size: tuple[int, int] = (64, 32),
    *,
    gps: dict[str, Any] | None = None,
    shot: dict[int, Any] | None = None,
    number: int = 0,
    **properties: object,
) -> None:
    """A panorama, ten metres further to the east and a second later than that of the number before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    time = {"GPSDateStamp": b"2026:11:01", "GPSTimeStamp": ((3, 1), (0, 1), (number, 1))}
    place = gps_tags(100.5 + number * 9.25e-5, 13.75, **time, **(gps or {}))
    exif = piexif.dump({"GPS": place, "Exif": shot or {}})
    path.write_bytes(jpeg(np.zeros((size[1], size[0], 3), np.uint8), exif, **properties))


def test_panoramas_along_a_road(tmp_path: Path) -> None:
    """Six of a drive to the east, with XMP; and three without, whose EXIF has a focal length as a pinhole's has."""
    for number in range(6):
        east = {"GPSImgDirection": (90, 1), "GPSImgDirectionRef": b"T"}
        write(tmp_path / f"img/{number}.jpg", (2048, 1024), gps=east, number=number, PoseHeadingDegrees=90)
    summary = ingest(ingest_config("exif", tmp_path / "img", tmp_path / "drive"))
    assert (summary.frames, summary.usable) == (6, 6)
    # 2048 columns are 360 degrees: 2048 / 2 pi pixels a radian.
    assert summary.cameras == [Camera("front", 2048, 1024, 2048 / math.tau, 1.8, projection="equirectangular")]
    assert {row["heading_deg"] for row in read_drive(summary.uri).frames.to_pylist()} == {90.0}
    for film_mm in (7, 15):
        source = tmp_path / f"fl{film_mm}"
        for number in range(3):
            focal = {piexif.ExifIFD.FocalLengthIn35mmFilm: film_mm}
            write(source / f"{number}.jpg", (2048, 1024), shot=focal, number=number, ProjectionType=None)
        with pytest.raises(SurveyError, match=r"2048x1024, twice as wide as high.*Set projection: equirectangular if"):
            ingest(ingest_config("exif", source, tmp_path / "drive"))
        told = ingest(ingest_config("exif", source, tmp_path / "drive", ["cameras=[{projection: equirectangular}]"]))
        assert (told.usable, told.cameras[0].fov_deg) == (3, 360.0)


def test_a_panorama_is_told_by_its_xmp(tmp_path: Path, run: Run) -> None:
    pose = {"PoseHeadingDegrees": "450.5", "PosePitchDegrees": -2, "PoseRollDegrees": 1.5}
    write(tmp_path / "photos/0.jpg", gps={"GPSImgDirection": (80, 1), "GPSImgDirectionRef": b"T"}, **pose)
    write(tmp_path / "photos/1.jpg", gps={"GPSImgDirection": (80, 1), "GPSImgDirectionRef": b"T"})
    # Half the size, and the XMP of the original, as of a copy.
    full = {"FullPanoWidthPixels": 128, "FullPanoHeightPixels": 64}
    crop = {"CroppedAreaImageWidthPixels": 128, "CroppedAreaImageHeightPixels": 64}
    write(
        tmp_path / "photos/2.jpg", gps={"GPSImgDirection": (80, 1), "GPSImgDirectionRef": b"M"}, **full, **crop, **pose
    )
    summary, rows = run()
    assert summary.usable == 3
    assert summary.cameras[0].is_panoramic
    # That of the middle column, before that of the photograph; none that is magnetic.
    assert [row["heading_deg"] for row in rows] == [90.5, 80.0, None]
    assert [(row["pitch_deg"], row["roll_deg"]) for row in rows] == [(-2.0, 1.5), (None, None), (-2.0, 1.5)]


def test_headings_and_tilts_are_turned_to_the_vehicle(tmp_path: Path, run: Run) -> None:
    """A camera mounted facing right whose image's middle is 3 degrees up: the vehicle leans to the left by that."""
    write(tmp_path / "photos/0.jpg", PoseHeadingDegrees=10, PosePitchDegrees=3, PoseRollDegrees=1)
    _, (row,) = run("cameras=[{mount_yaw_deg: 90}]")
    assert row["heading_deg"] == 280.0
    assert (row["pitch_deg"], row["roll_deg"]) == pytest.approx((1.0, -3.0))


@pytest.mark.parametrize(
    ("size", "properties", "reason"),
    [
        ((64, 32), {"ProjectionType": "cylindrical"}, "a cylindrical panorama, which is neither equirectangular nor"),
        (
            (64, 32),
            {"CroppedAreaImageWidthPixels": 40},
            "a part of a panorama: CroppedAreaImageWidthPixels is 40 of FullPanoWidthPixels 64; expected all of it",
        ),
        (
            (64, 20),
            {"FullPanoHeightPixels": 32},
            "a part of a panorama: CroppedAreaImageHeightPixels is 20 of FullPanoHeightPixels 32; expected all of it",
        ),
        ((64, 48), {}, "it says that it is a whole equirectangular panorama, and is 64x48; expected twice as wide as"),
    ],
)
def test_what_is_no_whole_panorama_is_told_why(
    tmp_path: Path, run: Run, size: tuple[int, int], properties: dict[str, object], reason: str
) -> None:
    write(tmp_path / "photos/0.jpg")
    write(tmp_path / "photos/1.jpg", size, **properties)
    summary, rows = run()
    assert (rows[0]["reason"], summary.usable) == (None, 1)
    assert rows[1]["reason"].startswith(f"unsupported: {reason}")
    shutil.rmtree(tmp_path / "photos")
    write(tmp_path / "photos/1.jpg", size, **properties)
    with pytest.raises(SurveyError, match=r"none of the first 1 .* can be read \(1.jpg: unsupported: "):
        run()


def test_panoramas_and_photographs_need_cameras_of_their_own(tmp_path: Path, run: Run) -> None:
    for name in ("0.jpg", "1.jpg", "2.jpg"):
        write(tmp_path / "photos" / name, ProjectionType=None if name == "0.jpg" else "equirectangular")
    summary, rows = run()
    assert summary.cameras[0].is_panoramic  # most of them are
    assert summary.usable == 3  # of the shape, and it may be a panorama that lost its XMP
    _, rows = run("cameras=[{projection: pinhole}]")
    assert [bool(row["reason"]) for row in rows] == [False, True, True]
    assert rows[1]["reason"].startswith("unsupported: an equirectangular panorama, and camera front is none that takes")


def test_a_panorama_has_no_focal_length(tmp_path: Path, run: Run) -> None:
    write(tmp_path / "photos/0.jpg")
    with pytest.raises(SurveyError, match="1 of 1 images of front say that they are equirectangular panoramas"):
        run("cameras=[{hfov_deg: 90}]")
    with pytest.raises(
        ConfigError, match=r"cameras.0.hfov_deg: got 90; projection is equirectangular, which shows 360 degrees"
    ):
        run("cameras=[{projection: equirectangular, hfov_deg: 90}]")
    with pytest.raises(SurveyError, match="its equirectangular images are 64x48; expected twice as wide as high"):
        run("cameras=[{projection: equirectangular, width_px: 64, height_px: 48}]")
