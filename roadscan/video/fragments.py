"""One track's part of a fragment of an MP4 file: its samples, as a recorder writes them that may be cut off any time.

Source: ISO/IEC 14496-12, section 8.8.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from roadscan.errors import Malformed

NOT_KEY = 0x10000  # sample_is_non_sync_sample
FIELDS = {0x100: "duration", 0x200: "size", 0x400: "flags", 0x800: "composition"}  # of a row of trun, in this order


class Defaults(NamedTuple):
    """What a track's samples have where a fragment does not say."""

    duration: int = 0
    size: int = 0
    flags: int = 0


def read_fragment(
    traf: list[tuple[Any, bytes]], moof_at: int, defaults: Mapping[int, Defaults], until: Mapping[int, int]
) -> tuple[int, tuple[npt.NDArray[Any], ...], int]:
    """A track's part of a fragment -> the track's id, its samples, and when they end in the track's units.

    Args:
        traf: the boxes of the part, each with its content.
        moof_at: where in the file the fragment's box starts.
        defaults: by track.
        until: by track, when its samples before end.

    Returns:
        (id, (offset, size, composition time, duration, whether it is a key), end), arrays (n,).

    Raises:
        Malformed: a box is cut short.
    """
    boxes = {box.kind: data for box, data in traf}
    track_id, base, given = _header(boxes.get(b"tfhd", b""), moof_at, defaults)
    decoded = _decode_time(boxes[b"tfdt"]) if b"tfdt" in boxes else until[track_id]
    at, parts = base, []
    for box, data in traf:
        if box.kind == b"trun":
            rows, start = _run(data, given)
            at = base + start if start is not None else at
            offset = at + np.cumsum(rows["size"]) - rows["size"]
            times = decoded + np.cumsum(rows["duration"]) - rows["duration"]
            key = rows["flags"] & NOT_KEY == 0
            parts.append((offset, rows["size"], times + rows["composition"], rows["duration"], key))
            at, decoded = at + int(rows["size"].sum()), decoded + int(rows["duration"].sum())
    if not parts:
        empty = np.empty(0, np.int64)
        parts = [(empty, empty, empty, empty, empty.astype(bool))]
    return track_id, tuple(np.concatenate(column) for column in zip(*parts, strict=True)), decoded


def _header(tfhd: bytes, moof_at: int, defaults: Mapping[int, Defaults]) -> tuple[int, int, Defaults]:
    flags, track_id, at = int.from_bytes(tfhd[1:4], "big"), int.from_bytes(tfhd[4:8], "big"), 8
    values = [moof_at, 0, *defaults.get(track_id, Defaults())]
    for place, (bit, width) in enumerate(((0x1, 8), (0x2, 4), (0x8, 4), (0x10, 4), (0x20, 4))):
        if flags & bit:
            if len(tfhd) < at + width:
                raise Malformed("its tfhd box is cut short")
            values[place] = int.from_bytes(tfhd[at : at + width], "big")
            at += width
    return track_id, values[0], Defaults(*values[2:])


def _decode_time(tfdt: bytes) -> int:
    return int.from_bytes(tfdt[4:12] if tfdt[:1] == b"\1" else tfdt[4:8], "big")


def _run(trun: bytes, given: Defaults) -> tuple[dict[str, npt.NDArray[np.int64]], int | None]:
    """A run's rows, a column a field, and where its data starts after the fragment's base."""
    flags, count, at = int.from_bytes(trun[1:4], "big"), int.from_bytes(trun[4:8], "big"), 8
    start = first = None
    if flags & 0x1:
        start = int.from_bytes(trun[at : at + 4], "big", signed=True)
        at += 4
    if flags & 0x4:
        first = int.from_bytes(trun[at : at + 4], "big")
        at += 4
    names = [name for bit, name in FIELDS.items() if flags & bit]
    if len(trun) < at + 4 * count * len(names) or count > len(trun) + (1 << 16):
        raise Malformed(f"its trun box says {count} samples, and has fewer")
    table = np.frombuffer(trun, ">u4", count * len(names), at).reshape(count, len(names)).astype(np.int64)
    rows = {name: np.full(count, value, np.int64) for name, value in (*given._asdict().items(), ("composition", 0))}
    rows |= {name: table[:, column] for column, name in enumerate(names)}
    rows["composition"] = rows["composition"].astype(np.uint32).view(np.int32).astype(np.int64)
    if first is not None and count:
        rows["flags"] = rows["flags"].copy()
        rows["flags"][0] = first
    return rows, start
