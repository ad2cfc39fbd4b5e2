"""The positions that a video carries, in whatever form its camera writes them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import numpy as np

from roadscan.arrays import Ints
from roadscan.errors import Malformed
from roadscan.ranged import RangedFile
from roadscan.survey.importers.gpslog import nmea_fixes
from roadscan.video import camm, dashcam, gpmf
from roadscan.video.boxes import Movie, Track
from roadscan.video.fixes import Fix, Telemetry

READERS = 16  # threads; each waits for the store most of its time
MOST_BYTES = 1 << 20  # of a sample: GoPro's have some 10 kB
NEAR_BYTES = 16 << 10  # between two samples: less is read in passing


def read_telemetry(file: RangedFile, movie: Movie) -> Telemetry | None:
    """A video's positions; None where it carries none that are known.

    Args:
        file: the video.
        movie: its boxes.

    Raises:
        Malformed: what should be positions is something else.
        StorageError: the store did not give it.
    """
    notes: Counter[str] = Counter()
    if track := movie.track(gpmf.FORMAT):
        return Telemetry("GPMF", list(_gpmf(file, movie, track, notes)), notes)
    if track := movie.track(camm.FORMAT):
        return Telemetry("CAMM", list(_camm(file, movie, track, notes)), notes)
    if dashcam.NMEA in movie.others:
        return Telemetry("NMEA", _nmea(movie.others[dashcam.NMEA], notes), notes)
    if dashcam.BLOCKS in movie.others:
        return Telemetry("Novatek", dashcam.block_fixes(file, movie, notes), notes)
    return None


def _samples(file: RangedFile, movie: Movie, track: Track, least: int) -> Iterator[tuple[bytes, float, float]]:
    """The samples of a track that are in the file, each with its start and how long it lasts, in seconds.

    Raises:
        Malformed: they have more bytes than the file.
        StorageError: the store did not give them.
    """
    offset, size = track.samples.offset, track.samples.size
    rows = np.flatnonzero((size >= least) & (size <= MOST_BYTES) & (offset + size <= movie.size))
    if size[rows].sum() > movie.size:
        raise Malformed(f"its positions have {size[rows].sum()} bytes, more than the file")
    rows = rows[np.argsort(offset[rows], kind="stable")]
    apart = offset[rows][1:] - (offset + size)[rows][:-1]
    groups = [group for group in np.split(rows, np.flatnonzero(apart > NEAR_BYTES) + 1) if len(group)]

    def read(group: Ints) -> bytes:
        return file.read_at(int(offset[group[0]]), int((offset + size)[group].max()))

    with ThreadPoolExecutor(READERS) as pool:
        for group, data in zip(groups, pool.map(read, groups), strict=True):
            for row in group.tolist():
                start = int(offset[row] - offset[group[0]])
                yield data[start : start + int(size[row])], float(track.time_s[row]), float(track.duration_s[row])


def _gpmf(file: RangedFile, movie: Movie, track: Track, notes: Counter[str]) -> Iterator[Fix]:
    for data, start_s, duration_s in _samples(file, movie, track, 8):
        try:
            yield from gpmf.fixes(data, start_s, duration_s, notes)
        except Malformed:
            notes["GPMF samples that cannot be read"] += 1


def _camm(file: RangedFile, movie: Movie, track: Track, notes: Counter[str]) -> Iterator[Fix]:
    """Of two kinds of positions, those that say more."""
    found = [
        (len(data), fix)
        for data, start_s, _ in _samples(file, movie, track, camm.LEAST_BYTES)
        if (fix := camm.fix(data, start_s, movie.made_at, notes)) is not None
    ]
    most = max((size for size, _ in found), default=0)
    yield from (fix for size, fix in found if size == most)


def _nmea(box: bytes, notes: Counter[str]) -> list[Fix]:
    """BlackVue's sentences; the video's clock is the median of what they and their marks say."""
    sentences = dashcam.sentences(box)
    found = list(nmea_fixes("\n".join(line for _, line in sentences), notes))
    starts = []
    for at_s, line in sentences:
        with suppress(StopIteration):
            starts.append(next(nmea_fixes(line, Counter())).at.timestamp() - at_s)
    if not starts:
        return []
    start_s = float(np.median(starts))
    return [
        Fix(
            fix.at.timestamp() - start_s,
            fix.lon,
            fix.lat,
            fix.at.timestamp(),
            fix.hdop,
            fix.pos_sigma_m,
            fix.altitude_m,
        )
        for fix in sorted(found, key=lambda fix: fix.at)
    ]
