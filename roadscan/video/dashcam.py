"""What dash cameras put beside the tracks of an MP4 -> positions: NMEA of BlackVue, and blocks of Novatek's firmware.

Neither is documented by its maker. Source: what open readers of both do (mapillary_tools, nvtk_mp42gpx, ExifTool's
QuickTimeStream), held against files.
"""

from __future__ import annotations

import re
import struct
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime

from roadscan.errors import Malformed
from roadscan.ranged import RangedFile
from roadscan.video.boxes import Movie
from roadscan.video.fixes import Fix, on_earth

NMEA, BLOCKS = b"free/gps ", b"moov/gps "
LINE = re.compile(rb"\[(\d{10,14})\]\s*(\$[^\r\n\[]*)")  # [milliseconds]$GPRMC,…
BLOCK = struct.Struct("<IIIIIIcccxffff")  # hour … second, year, month, day, status, two hemispheres, four numbers
MARK = re.compile(rb"[AV][NS][EW]")  # status and hemispheres, 24 bytes into the block
BEFORE_MARK = 24
MOST_BYTES = 64 << 10  # of a block
NO_FIX = "dash camera positions without a fix"


def sentences(text: bytes) -> list[tuple[float, str]]:
    """BlackVue's box -> its NMEA sentences, each with its seconds after the first."""
    lines = [(int(ms) / 1000, line.decode("ascii", "replace").strip()) for ms, line in LINE.findall(text)]
    return [(at - lines[0][0], line) for at, line in lines]


def block_fixes(file: RangedFile, movie: Movie, notes: Counter[str]) -> list[Fix]:
    """Novatek's blocks, one a second, which the movie's ``gps `` box lists -> positions.

    A block says its second in UTC. The first with a fix is as far into the video as the picture that lies before it in
    the file, and the others as long after it as they say; by this, positions may be up to a second late.

    Raises:
        Malformed: the list is cut short, or not of such blocks.
        StorageError: the store did not give it.
    """
    listed = list(_listed(movie.others[BLOCKS], movie))
    blocks = [(at, _block(file.read_at(at, at + min(size, MOST_BYTES)))) for at, size in listed]
    found = [(at, block) for at, block in blocks if block is not None]
    if lost := len(blocks) - len(found):
        notes[NO_FIX] += lost
    if not found:
        return []
    first_at, (first_utc_s, *_) = found[0]
    start_s = _shown_before(movie, first_at)
    return [Fix(start_s + utc_s - first_utc_s, lon, lat, utc_s) for _, (utc_s, lon, lat) in found]


def _shown_before(movie: Movie, at: int) -> float:
    """When the last picture is shown that lies before a byte of the file."""
    for track in movie.tracks:
        if track.handler == b"vide":
            return float(track.time_s[track.samples.offset < at].max(initial=0.0))
    return 0.0


def _listed(box: bytes, movie: Movie) -> Iterator[tuple[int, int]]:
    """Where each block lies, and its bytes; after eight of the box's own."""
    for at, size in struct.iter_unpack(">II", box[8 : 8 + (len(box) - 8) // 8 * 8]):
        if at and size and at + size <= movie.size:
            yield at, size


def _block(data: bytes) -> tuple[float, float, float] | None:
    """A block -> its time in seconds since 1970, longitude and latitude; None where it has no fix."""
    mark = MARK.search(data, 12 + BEFORE_MARK)
    if data[4:12] != b"freeGPS ":
        raise Malformed(f"a block of positions begins with {data[:12]!r}, which is of no known dash camera")
    if mark is None or mark.start() - BEFORE_MARK + BLOCK.size > len(data):
        return None  # what some write before their receiver is up
    numbers = BLOCK.unpack_from(data, mark.start() - BEFORE_MARK)
    hour, minute, second, year, month, day, status, north_south, east_west, lat, lon, *_ = numbers
    if status != b"A":
        return None
    try:
        time = datetime(2000 + year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        raise Malformed(f"a block of positions is of {year}-{month}-{day} {hour}:{minute}:{second}") from None
    lon, lat = (-1 if east_west == b"W" else 1) * _degrees(lon), (-1 if north_south == b"S" else 1) * _degrees(lat)
    return (time.timestamp(), lon, lat) if on_earth(lon, lat) else None


def _degrees(value: float) -> float:
    """Degrees from dddmm.mmmm."""
    return int(value / 100) + value % 100 / 60
