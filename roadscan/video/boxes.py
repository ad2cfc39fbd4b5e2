"""MP4 and MOV files: the boxes that say which samples each track has, where they lie and when they are shown.

Only boxes are read, never a picture, so the index of an hour of video is a few megabytes wherever it lies in the file.

Source: ISO/IEC 14496-12 (ISO base media file format), sections 8.3 to 8.8; Apple's QuickTime File Format.

Shape suffix: n samples of a track.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import numpy as np

from roadscan.arrays import Bools, Floats, Ints
from roadscan.errors import Malformed
from roadscan.ranged import RangedFile
from roadscan.video.fragments import Defaults, read_fragment
from roadscan.video.spherical import sphere_of

EPOCH = datetime(1904, 1, 1, tzinfo=UTC)
MOST_BYTES = 256 << 20  # of a moov or moof box: a day of video has some 80 MB
MOST_SAMPLES = 6_000_000  # of a track, a day at 60 a second: a few bytes can claim billions
PARENTS = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"mvex", b"moof", b"traf")


class Box(NamedTuple):
    """A box: its type, where it starts, and where its content starts and stops."""

    kind: bytes
    at: int
    start: int
    stop: int


@dataclass(frozen=True, eq=False)
class Samples:
    """Where samples lie in the file, and when they are shown.

    Attributes:
        offset, size: bytes, (n,).
        shown: composition time in units of the track, (n,), in the order of the file.
        duration: likewise, (n,).
        key: whether decoding can start with it, (n,).
    """

    offset: Ints
    size: Ints
    shown: Ints
    duration: Ints
    key: Bools


@dataclass(frozen=True, eq=False)
class Track:
    """A track of a movie.

    Attributes:
        handler: what it is for: ``vide``, ``soun``, ``meta``, …
        format: of its samples: ``avc1``, ``gpmd``, ``camm``, …
        samples: those that are shown.
        time_s: when, in seconds of the movie, (n,).
        duration_s: for how long, (n,).
        plain: whether one edit at most says so; of more, the times are not known here.
        sphere: what it says of its pictures being panoramas, see `sphere_of`.
    """

    handler: bytes
    format: bytes
    samples: Samples
    time_s: Floats
    duration_s: Floats
    plain: bool
    sphere: dict[str, str]


@dataclass(frozen=True, eq=False)
class Movie:
    """What the boxes of a file tell.

    Attributes:
        tracks: in order.
        made_at: when the recording was made, by the camera's clock; None where it does not say.
        others: the content of boxes that are no standard's, by their path, such as ``free/gps ``.
        size: bytes of the file.
    """

    tracks: list[Track]
    made_at: datetime | None
    others: dict[bytes, bytes]
    size: int

    def track(self, *formats: bytes) -> Track | None:
        """The first track of a format."""
        return next((track for track in self.tracks if track.format in formats), None)


def read_movie(file: RangedFile) -> Movie:
    """The boxes of an MP4 or MOV file.

    Raises:
        Malformed: there is no index of its samples, or it contradicts itself.
        StorageError: the store did not give it.
    """
    moov, moofs, others = None, list[Box](), dict[bytes, bytes]()
    for box in _top_boxes(file):
        if box.kind == b"moov" and moov is None:
            moov = box
        elif box.kind == b"moof":
            moofs.append(box)
        elif box.kind == b"free" and box.stop - box.start > 8:
            others |= _dashcam_boxes(file, box)
    if moov is None:
        raise Malformed(
            "no moov box, which says where the pictures are: the camera was cut off before it wrote it, or the file is "
            "not whole"
        )
    return _movie(file, _content(file, moov), moofs, others)


def _top_boxes(file: RangedFile) -> Iterator[Box]:
    at = 0
    while at + 8 <= file.size:
        box = _header(file.read_at(at, at + 16), at, file.size)
        yield box
        at = box.stop


def _header(data: bytes, at: int, end: int) -> Box:
    """The box whose first bytes are given; a size of 0 is up to the end."""
    size, kind, head = int.from_bytes(data[:4], "big"), data[4:8], 8
    if size == 1:
        size, head = int.from_bytes(data[8:16], "big"), 16
    elif size == 0:
        size = end - at
    if size < head:
        raise Malformed(f"a box of {size} bytes at byte {at}")
    return Box(kind, at, at + head, at + size)


def _content(file: RangedFile, box: Box) -> bytes:
    if box.stop > file.size:
        raise Malformed(f"its {box.kind.decode('latin-1')} box ends after the file: the file is not whole")
    if box.stop - box.start > MOST_BYTES:
        raise Malformed(
            f"its {box.kind.decode('latin-1')} box has {box.stop - box.start} bytes, more than {MOST_BYTES}"
        )
    return file.read_at(box.start, box.stop)


def _dashcam_boxes(file: RangedFile, free: Box) -> dict[bytes, bytes]:
    """What BlackVue keeps in a box that is free for anything: boxes again."""
    head = file.read_at(free.start, free.start + 8)
    if not all(32 <= letter < 127 for letter in head[4:8]) or int.from_bytes(head[:4], "big") < 8:
        return {}
    return {b"free/" + box.kind: data for box, data in inner(_content(file, free)) if box.kind == b"gps "}


def inner(data: bytes) -> Iterator[tuple[Box, bytes]]:
    """The boxes in a box's content, and the content of each."""
    at = 0
    while at + 8 <= len(data):
        box = _header(data[at : at + 16], at, len(data))
        if box.stop > len(data):
            raise Malformed(f"a {box.kind.decode('latin-1')} box ends after the one that it is in")
        yield box, data[box.start : box.stop]
        at = box.stop


def _collect(data: bytes, into: dict[bytes, bytes]) -> dict[bytes, bytes]:
    for box, content in inner(data):
        if box.kind in PARENTS:
            _collect(content, into)
        else:
            into.setdefault(box.kind, content)
    return into


def _movie(file: RangedFile, moov: bytes, moofs: list[Box], others: dict[bytes, bytes]) -> Movie:
    head: dict[bytes, bytes] = {}
    traks, defaults = list[dict[bytes, bytes]](), dict[int, Defaults]()
    for box, content in inner(moov):
        if box.kind == b"trak":
            traks.append(_collect(content, {}))
        elif box.kind == b"mvex":
            for one, data in inner(content):
                if one.kind == b"trex" and len(data) >= 24:
                    track_id, _, *values = np.frombuffer(data, ">u4", 5, 4).tolist()
                    defaults[track_id] = Defaults(*values)
        elif box.kind == b"gps ":
            others[b"moov/gps "] = content
        else:
            head.setdefault(box.kind, content)
    fragments = _fragments(file, moofs, defaults)
    unit = _movie_unit(head.get(b"mvhd", b""))
    tracks = [_track(boxes, unit, fragments) for boxes in traks]
    return Movie([track for track in tracks if track], _made_at(head.get(b"mvhd", b"")), others, file.size)


def _fragments(file: RangedFile, moofs: list[Box], defaults: Mapping[int, Defaults]) -> dict[int, list[Samples]]:
    found: dict[int, list[Samples]] = defaultdict(list)
    until: dict[int, int] = defaultdict(int)
    for moof in moofs:
        data = _content(file, moof)
        for box, traf in inner(data):
            if box.kind != b"traf":
                continue
            track_id, rows, until_now = read_fragment(list(inner(traf)), moof.at, defaults, until)
            until[track_id] = until_now
            found[track_id].append(Samples(*rows))
    return found


def _full(data: bytes, kind: str, at: int = 4, count: int | None = None, width: int = 1) -> Ints:
    """A table of 32-bit numbers: the count that is written there, unless it is given, times its width."""
    if count is None:
        if len(data) < at + 4:
            raise Malformed(f"its {kind} box is cut short")
        count, at = int.from_bytes(data[at : at + 4], "big"), at + 4
    if at + 4 * count * width > len(data):
        raise Malformed(f"its {kind} box says {count} entries, and has fewer")
    return np.frombuffer(data, ">u4", count * width, at).astype(np.int64).reshape(-1, width)


def _run_lengths(table: Ints, kind: str) -> Ints:
    """(count, value) rows -> the values, (n,)."""
    if table[:, 0].sum() > MOST_SAMPLES:
        raise Malformed(f"its {kind} box says {table[:, 0].sum()} samples, more than {MOST_SAMPLES}")
    return np.repeat(table[:, 1], table[:, 0])


def _track(boxes: dict[bytes, bytes], movie_unit: int, fragments: Mapping[int, list[Samples]]) -> Track | None:
    """A track box's boxes -> the track; None where it has no description of samples."""
    if not {b"stsd", b"mdhd", b"hdlr", b"tkhd"} <= boxes.keys() or len(boxes[b"stsd"]) < 16:
        return None
    samples = _joined([_samples(boxes), *fragments.get(_track_id(boxes[b"tkhd"]), [])])
    unit = _unit(boxes[b"mdhd"])
    shift, first, last, plain = _edit(boxes.get(b"elst"), movie_unit, unit)
    shown = (samples.shown >= first) & (samples.shown < last)
    kept = Samples(*(getattr(samples, name)[shown] for name in ("offset", "size", "shown", "duration", "key")))
    return Track(
        handler=boxes[b"hdlr"][8:12],
        format=boxes[b"stsd"][12:16],
        samples=kept,
        time_s=(kept.shown + shift) / unit,
        duration_s=kept.duration / unit,
        plain=plain,
        sphere=sphere_of(boxes[b"stsd"], boxes.get(b"uuid", b"")),
    )


def _joined(parts: list[Samples]) -> Samples:
    names = ("offset", "size", "shown", "duration", "key")
    return Samples(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def _samples(boxes: Mapping[bytes, bytes]) -> Samples:
    """The samples that are told by tables, not by fragments."""
    none = np.empty(0, np.int64)
    nothing = Samples(none, none, none, none, none.astype(bool))
    if not {b"stsz", b"stts", b"stsc"} <= boxes.keys():
        return nothing
    same, count = _full(boxes[b"stsz"], "stsz", count=2).ravel().tolist()
    if count > MOST_SAMPLES:
        raise Malformed(f"its stsz box says {count} samples, more than {MOST_SAMPLES}")
    size = np.full(count, same, np.int64) if same else _full(boxes[b"stsz"], "stsz", 12, count).ravel()
    if count == 0:
        return nothing
    duration = _of_length(_run_lengths(_full(boxes[b"stts"], "stts", width=2), "stts"), count)
    offsets = _run_lengths(_full(boxes[b"ctts"], "ctts", width=2), "ctts") if b"ctts" in boxes else size * 0
    signed = _of_length(offsets, count).astype(np.uint32).view(np.int32)  # negative ones are common, in either version
    key = np.ones(count, bool)
    if b"stss" in boxes:
        numbers = _full(boxes[b"stss"], "stss").ravel()
        key[:] = False
        key[numbers[(numbers >= 1) & (numbers <= count)] - 1] = True
    return Samples(_offsets(boxes, size), size, np.cumsum(duration) - duration + signed, duration, key)


def _of_length(values: Ints, count: int) -> Ints:
    """The first so many values; where there are fewer, zeros follow."""
    return np.concatenate([values[:count], np.zeros(max(count - len(values), 0), np.int64)])


def _offsets(boxes: Mapping[bytes, bytes], size: Ints) -> Ints:
    """Where each sample lies: in chunks, one after the other."""
    if b"co64" in boxes:
        pairs = _full(boxes[b"co64"], "co64", width=2)
        chunks = (pairs[:, 0] << 32) + pairs[:, 1]
    else:
        chunks = _full(boxes.get(b"stco", b""), "stco").ravel()
    runs = _full(boxes[b"stsc"], "stsc", width=3)  # the first chunk of a run, from 1, and samples in each chunk of it
    ends = np.append(runs[1:, 0], len(chunks) + 1)
    a_chunk = _run_lengths(np.stack([np.maximum(ends - runs[:, 0], 0), runs[:, 1]], 1), "stsc")
    count = len(size)
    if len(a_chunk) != len(chunks) or a_chunk.max(initial=0) > count or not count <= a_chunk.sum() <= 2 * count:
        raise Malformed(f"its stsc box puts {a_chunk.sum()} samples into chunks, and there are {count}")
    before = np.cumsum(size) - size
    chunk = np.repeat(np.arange(len(chunks)), a_chunk)[: len(size)]
    firsts = np.minimum(np.cumsum(a_chunk) - a_chunk, len(size) - 1)
    return np.asarray(chunks[chunk] + before - before[firsts][chunk])


def _edit(elst: bytes | None, movie_unit: int, unit: int) -> tuple[int, int, int, bool]:
    """An edit list -> (what is added to a sample's time, the first and the end of those shown, whether that is all)."""
    everything = -(1 << 62), 1 << 62
    if elst is None:
        return 0, *everything, True
    wide = elst[:1] == b"\1"
    row = np.dtype([("duration", ">u8" if wide else ">u4"), ("media", ">i8" if wide else ">i4"), ("rate", ">i4")])
    count = int.from_bytes(elst[4:8], "big")
    if len(elst) < 8 + count * row.itemsize:
        raise Malformed("its elst box is cut short")
    edits = np.frombuffer(elst, row, count, 8)
    shown = edits[edits["media"] >= 0]
    if not len(shown):
        return 0, *everything, True
    wait = int(edits["duration"][: np.flatnonzero(edits["media"] >= 0)[0]].sum()) * unit // movie_unit
    media, duration = int(shown["media"][0]), int(shown["duration"][0])
    last = media + round(duration * unit / movie_unit) if duration else everything[1]
    return wait - media, media, last, len(shown) == 1


def _track_id(tkhd: bytes) -> int:
    at = 20 if tkhd[:1] == b"\1" else 12
    return int.from_bytes(tkhd[at : at + 4], "big")


def _unit(mdhd: bytes) -> int:
    at = 20 if mdhd[:1] == b"\1" else 12
    unit = int.from_bytes(mdhd[at : at + 4], "big")
    if unit == 0:
        raise Malformed("its times have no unit")
    return unit


def _movie_unit(mvhd: bytes) -> int:
    return _unit(mvhd) if mvhd else 1000


def _made_at(mvhd: bytes) -> datetime | None:
    """The time in a movie's header, unless a camera without a clock has written it."""
    seconds = int.from_bytes(mvhd[4:12] if mvhd[:1] == b"\1" else mvhd[4:8], "big")
    return EPOCH + timedelta(seconds=seconds) if 0 < seconds < 1 << 33 else None
