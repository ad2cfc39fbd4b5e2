"""Equirectangular panoramas as cameras write them, whose bearings are known: of plain views of a road, or of marks."""

from __future__ import annotations

import io
from datetime import datetime

import cv2
import numpy as np
import piexif
from PIL import Image

from roadscan.arrays import Image as Pixels

SKY, GROUND = (205, 190, 175), (95, 98, 100)  # BGR, where the view shows nothing


def around(view: Pixels, focal_px: float, width_px: int, *, centre_deg: float = 0.0) -> Pixels:
    """A level pinhole view (h, w, 3) -> the panorama, `width_px` wide, that shows it, and else sky over ground.

    Args:
        view: BGR.
        focal_px: of the view.
        width_px: of the panorama.
        centre_deg: where the view looks, clockwise from the panorama's middle column.
    """
    height_px = width_px // 2
    azimuth = ((np.arange(width_px) + 0.5) / width_px - 0.5) * 2 * np.pi - np.radians(centre_deg)
    elevation = (0.5 - (np.arange(height_px) + 0.5) / height_px) * np.pi
    ahead = np.cos(azimuth) > 0.05
    depth = np.where(ahead, np.cos(azimuth), 1.0)
    x = np.where(ahead, np.sin(azimuth) / depth * focal_px + view.shape[1] / 2, -9)
    y = view.shape[0] / 2 - np.tan(elevation)[:, None] / depth * focal_px
    x = np.broadcast_to(x, y.shape)
    inside = (x >= 0) & (x < view.shape[1]) & (y >= 0) & (y < view.shape[0])
    shown = cv2.remap(view, np.float32(x - 0.5), np.float32(y.clip(-9, 2e4) - 0.5), cv2.INTER_LINEAR)
    empty = np.where((elevation > 0)[:, None, None], np.uint8(SKY), np.uint8(GROUND))
    return np.asarray(np.where(inside[..., None], shown, empty), np.uint8)


def xmp(width_px: int, height_px: int, **properties: object) -> bytes:
    """The XMP packet of a whole panorama; `properties` of GPano are set besides, or left out where None."""
    given = {
        "ProjectionType": "equirectangular",
        "FullPanoWidthPixels": width_px,
        "FullPanoHeightPixels": height_px,
        "CroppedAreaImageWidthPixels": width_px,
        "CroppedAreaImageHeightPixels": height_px,
        **properties,
    }
    said = " ".join(f'GPano:{name}="{value}"' for name, value in given.items() if value is not None)
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" xmlns:GPano="http://ns.google.com/photos/1.0/panorama/" {said}/>'
        "</rdf:RDF></x:xmpmeta>"
    ).encode()


def jpeg(image: Pixels, exif: bytes = b"", **properties: object) -> bytes:
    """A panorama as a JPEG with its XMP, as `xmp`, and EXIF."""
    height_px, width_px = image.shape[:2]
    buffer = io.BytesIO()
    picture = Image.fromarray(image[..., ::-1])
    picture.save(buffer, "JPEG", quality=92, exif=exif, xmp=xmp(width_px, height_px, **properties))
    return buffer.getvalue()


def exif(lon: float, lat: float, at: datetime) -> bytes:
    """EXIF with a place and GPS time."""
    gps, seconds = piexif.GPSIFD, at.second * 1_000_000 + at.microsecond
    tags = {
        gps.GPSLatitudeRef: "N" if lat >= 0 else "S",
        gps.GPSLatitude: ((round(abs(lat) * 10_000_000), 10_000_000), (0, 1), (0, 1)),
        gps.GPSLongitudeRef: "E" if lon >= 0 else "W",
        gps.GPSLongitude: ((round(abs(lon) * 10_000_000), 10_000_000), (0, 1), (0, 1)),
        gps.GPSDateStamp: at.strftime("%Y:%m:%d"),
        gps.GPSTimeStamp: ((at.hour, 1), (at.minute, 1), (seconds, 1_000_000)),
    }
    return bytes(piexif.dump({"GPS": tags}))
