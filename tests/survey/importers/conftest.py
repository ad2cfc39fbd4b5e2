"""Photographs with EXIF as cameras write it."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import piexif
import pytest
from PIL import Image

from roadscan.survey.drive import read_drive
from roadscan.survey.importers import IngestSummary, ingest, ingest_config


def rational(value: float, unit: int = 1_000_000) -> tuple[int, int]:
    return round(value * unit), unit


def gps_tags(lon: float, lat: float, **more: Any) -> dict[int, Any]:
    """GPS IFD with a position in degrees; `more` by piexif's tag names."""
    tags = {
        piexif.GPSIFD.GPSLatitudeRef: b"N" if lat >= 0 else b"S",
        piexif.GPSIFD.GPSLatitude: (rational(abs(lat), 10_000_000), (0, 1), (0, 1)),
        piexif.GPSIFD.GPSLongitudeRef: b"E" if lon >= 0 else b"W",
        piexif.GPSIFD.GPSLongitude: (rational(abs(lon), 10_000_000), (0, 1), (0, 1)),
    }
    return tags | {getattr(piexif.GPSIFD, name): value for name, value in more.items()}


def jpeg(
    gps: dict[int, Any] | None = None,
    time: str | None = None,
    offset: str | None = None,
    size: tuple[int, int] = (64, 48),
    **shot: Any,
) -> bytes:
    """An encoded JPEG; `shot` are further tags of the Exif IFD by piexif's names."""
    exif = {getattr(piexif.ExifIFD, name): value for name, value in shot.items()}
    if time:
        exif[piexif.ExifIFD.DateTimeOriginal] = time.encode()
    if offset:
        exif[piexif.ExifIFD.OffsetTimeOriginal] = offset.encode()
    buffer = io.BytesIO()
    Image.new("RGB", size, "gray").save(buffer, "JPEG", exif=piexif.dump({"0th": {}, "Exif": exif, "GPS": gps or {}}))
    return buffer.getvalue()


@pytest.fixture
def photo(tmp_path: Path) -> Callable[..., Path]:
    """Write a photograph below tmp_path/"photos"."""

    def write(name: str, lon: float | None = None, lat: float | None = None, **tags: Any) -> Path:
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        names = [tag for tag in tags if tag.startswith("GPS")]
        given = {tag: tags.pop(tag) for tag in names}
        gps = gps_tags(lon, lat, **given) if lon is not None and lat is not None else None
        path.write_bytes(jpeg(gps, **tags))
        return path

    return write


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., tuple[IngestSummary, list[dict[str, Any]]]]:
    """Import tmp_path / "photos" -> its summary, and the rows of the drive."""

    def ingest_photos(*overrides: str) -> tuple[IngestSummary, list[dict[str, Any]]]:
        summary = ingest(ingest_config("exif", tmp_path / "photos", tmp_path / "drive", overrides))
        return summary, read_drive(summary.uri).frames.to_pylist()

    return ingest_photos
