"""A survey drive: ``drive.json`` and its frames table in one folder, the manifest of everything a scan will read.

    complete                   optional, empty: whoever brought the images says that all of them are there
    drive.json                 format, drive_id, source, image_root, cameras, and the table's path, rows and sha256
    frames-<digest>.parquet    one row a frame, `roadscan.schemas.DRIVE_FRAMES`

`image_uri` in the frames table is a key below `image_root` (the drive's own folder, unless the images live elsewhere:
an address, or a folder below that one), for a picture of a video with its time in it (`roadscan.video.address`).
A frame that cannot be used has a `reason` and stays in the table: it is counted, never dropped.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from roadscan.errors import AccessDenied, Malformed, NotFound, StorageError, SurveyError, Unreachable, in_words
from roadscan.parsing import conform, read_json, read_parquet
from roadscan.schemas import ACCURACY, DRIVE_FRAMES
from roadscan.shown import printable, shown
from roadscan.storage import MAX_RECORD_BYTES, Store, check_key, open_store, parquet_bytes, reach, sha256_hex
from roadscan.survey.camera import Camera
from roadscan.survey.dates import EARLIEST, latest, why_implausible

FORMAT = "roadscan.drive/1"
MANIFEST = "drive.json"
COMPLETE = "complete"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
#: Of a frame's optional numbers, both ends included; speed as `geodesy` would never give it is a wrong unit.
BOUNDS = {
    "heading_deg": (-360.0, 360.0),
    "speed_mps": (0.0, 100.0),
    "hdop": (0.0, 1000.0),
    "pos_sigma_m": (0.0, 1000.0),
    "heading_sigma_deg": (0.0, 180.0),
    "altitude_m": (-1000.0, 10_000.0),
    "pitch_deg": (-90.0, 90.0),
    "roll_deg": (-180.0, 180.0),
}
LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Drive:
    """A drive as read: cameras by id, and the frames table in the manifest's order.

    Attributes:
        drive_id: unique within a warehouse.
        uri: the drive's folder.
        image_root: the address below which all images lie.
        cameras: by camera_id.
        frames: `DRIVE_FRAMES`, in manifest order.
        sha256: digest of ``drive.json``, and so of everything: cameras, image root and, by its digest, the table.
        uploading: whether images that are not there, or not whole, may still be on their way.
    """

    drive_id: str
    uri: str
    image_root: str
    cameras: dict[str, Camera]
    frames: pa.Table
    sha256: str
    uploading: bool = False


@dataclass(frozen=True)
class _Frames:
    """What a manifest says of its table."""

    path: str
    sha256: str


@dataclass(frozen=True)
class _Manifest:
    """What is read of a ``drive.json``."""

    drive_id: str
    cameras: tuple[Camera, ...]
    frames: _Frames
    image_root: str | None = None


def check_name(field: str, value: str) -> str:
    """The value itself, if it can be a folder's name in every store."""
    if not NAME.fullmatch(value):
        raise SurveyError(
            f"{field}: got {value!r}; expected 1 to 128 letters, digits, '.', '_' or '-', not starting with a mark"
        )
    return value


def write_drive(
    store: Store,
    *,
    drive_id: str,
    cameras: Sequence[Camera],
    frames: pa.Table,
    source: str,
    image_root: str | None = None,
) -> None:
    """Write a drive's two files; the manifest last, so a drive with a manifest is complete.

    Args:
        store: the drive's own folder.
        drive_id: unique within a warehouse.
        cameras: every camera that `frames` names.
        frames: columns of `DRIVE_FRAMES`, any order; those of `ACCURACY` may be left out.
        source: which importer made it.
        image_root: where the images lie; None for the drive's own folder.

    Raises:
        SurveyError: duplicate frame ids, an unknown camera, a missing column or a value of the wrong type.
    """
    check_name("drive_id", drive_id)
    try:
        frames = conform(frames, DRIVE_FRAMES, ACCURACY)
    except Malformed as error:
        raise SurveyError(f"drive {drive_id}: {error}") from None
    _check(frames, {camera.camera_id for camera in cameras}, where=f"drive {drive_id}")
    data = parquet_bytes(frames)
    name = f"frames-{sha256_hex(data)[:16]}.parquet"  # a new table never lies under an old manifest
    manifest = {
        "format": FORMAT,
        "drive_id": drive_id,
        "source": source,
        "image_root": image_root,
        "cameras": [_described(camera) for camera in cameras],
        "frames": {"path": name, "rows": frames.num_rows, "sha256": sha256_hex(data)},
    }
    store.write(name, data)
    store.write(MANIFEST, json.dumps(manifest, indent=1).encode())


def _described(camera: Camera) -> dict[str, Any]:
    """A camera as a manifest has it: a plain one as ever, so that every version can read it."""
    told, plain = asdict(camera), {"projection": "pinhole", "lens": None}
    return {name: value for name, value in told.items() if name not in plain or value != plain[name]}


def read_manifest(store: Store) -> bytes:
    """The ``drive.json`` of a drive's folder, as it is.

    Raises:
        NotFound, TooLarge, AccessDenied, Unreachable: as their names say.
    """
    return store.read(MANIFEST, max_bytes=MAX_RECORD_BYTES)


def read_drive(uri: str) -> Drive:
    """Read and check a drive.

    Args:
        uri: its folder.

    Raises:
        SurveyError: there is no drive there, or its manifest, frames, cameras or keys are wrong.
        AccessDenied, Unreachable: the store did not give it.
    """
    store = open_store(uri)
    try:
        text = read_manifest(store)
        format_ = read_json(text).get("format", FORMAT)
        if format_ != FORMAT:
            raise SurveyError(f"{uri}/{MANIFEST}: format is {shown(format_)}, this version reads {FORMAT!r}")
        manifest = read_json(text, _Manifest)
    except NotFound:
        raise SurveyError(
            f"{uri}: no {MANIFEST} there; expected a drive made by 'roadscan ingest' or 'roadscan simulate'"
        ) from None
    except Malformed as error:
        raise SurveyError(f"{uri}/{MANIFEST}: not a drive manifest ({error}); ingest the drive again") from None
    cameras, name = {camera.camera_id: camera for camera in manifest.cameras}, manifest.frames.path
    try:
        table = read_parquet(store.read(name, sha256=manifest.frames.sha256))
        frames = conform(table, DRIVE_FRAMES, ACCURACY)
    except NotFound:
        raise SurveyError(f"{uri}: {MANIFEST} names {name}, which does not exist; ingest the drive again") from None
    except Malformed as error:
        raise SurveyError(f"{uri}/{name}: {error}; ingest the drive again") from None
    _check(frames, set(cameras), where=f"{uri}/{name}")
    try:
        root = _image_root(store, manifest.image_root) or uri.rstrip("/")
    except StorageError as error:
        raise SurveyError(f"{uri}/{MANIFEST}: image_root: {error}; ingest the drive again") from None
    drive_id = check_name("drive_id", manifest.drive_id)
    frames = _within_bounds(_with_believed_times(frames), drive_id)
    return Drive(drive_id, uri.rstrip("/"), root, cameras, frames, sha256_hex(text))


def _image_root(drive: Store, told: str | None) -> str | None:
    """Where a manifest says that the images lie: an address, or a folder below the drive's own; None: in that."""
    if not told:
        return None
    root = told if "://" in told or told.startswith(("/", "~")) else drive.uri_of(told.rstrip("/"))
    open_store(root)
    return root.rstrip("/")


def may_be_uploading(uri: str, days: float, now: datetime) -> bool:
    """Whether images of a drive may still be on their way: its manifest is young, and nobody says that they are there.

    One that a wrong clock put further into the future than a manifest is young is not: it would be for years.

    Args:
        uri: the drive's folder.
        days: after which its manifest is young no longer.
        now: the time now.

    Raises:
        StorageError: the store did not answer.
    """
    store = open_store(uri)
    return abs(now - store.written_at(MANIFEST)) < timedelta(days=days) and not store.exists(COMPLETE)


def find_drives(uri: str, *, known: Container[str] = (), left_out: dict[str, str] | None = None) -> list[str]:
    """Addresses of the drives at an address: itself, or the folders directly below it that hold a drive, in order.

    Args:
        uri: the address.
        known: addresses of drives. A folder among them holds one, and its store is not asked.
        left_out: gets the folders that cannot be looked into, by address, with the reason; None to raise it.

    Raises:
        StorageError: the address, or a folder there, cannot be looked into.
    """
    store = open_store(uri)
    if store.exists(MANIFEST):
        return [store.uri]
    found = []
    for name in store.folders():
        with nullcontext() if left_out is None else leaving_out(left_out, printable(f"{store.uri}/{name}")):
            address = store.uri_of(name)
            if address in known or store.exists(f"{name}/{MANIFEST}"):
                found.append(address)
    return found


@contextmanager
def leaving_out(left_out: dict[str, str], uri: str) -> Iterator[None]:
    """A block about one drive: whatever is wrong with that is its reason in `left_out`, and keeps no other drive back.

    Raises:
        StorageError: its whole store no longer answers, and so will not for any other drive.
    """
    try:
        yield
    except Exception as error:  # noqa: BLE001 - there is no end to what may be wrong with a folder
        if isinstance(error, AccessDenied | Unreachable):
            reach(open_store(uri))
        left_out[uri] = in_words(error)


def _with_believed_times(frames: pa.Table) -> pa.Table:
    """Frames of a time when no survey can have been -> without it, and rejected as ``no_time``.

    So a receiver that had no fix yet does not say when a drive began, and one frame of 2099 not when it ended.
    """
    times = frames["captured_at"]
    first, last = (pa.scalar(time, times.type) for time in (EARLIEST, latest()))
    bad = pc.fill_null(pc.or_(pc.less(times, first), pc.greater(times, last)), fill_value=False)
    if not pc.any(bad).as_py():
        return frames
    without = pc.if_else(bad, pa.scalar(None, times.type), times)
    reason = [_why_not(us) if is_bad else None for us, is_bad in zip(
        times.cast(pa.int64()).to_pylist(), bad.to_pylist(), strict=True)]  # fmt: skip
    columns = {"captured_at": without, "reason": pc.coalesce(frames["reason"], pa.array(reason, pa.string()))}
    for name, column in columns.items():
        frames = _with(frames, name, column)
    return frames


def _why_not(microseconds: int) -> str | None:
    """A time since 1970 -> the reason to reject a frame for it; None where it is believed."""
    try:
        why = why_implausible(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds))
    except OverflowError:  # a table's own type reaches from 290,000 BC to 290,000 AD
        why = f"no year has {microseconds} microseconds since 1970"
    return f"no_time: {why}" if why else None


def _within_bounds(frames: pa.Table, drive_id: str) -> pa.Table:
    """Frames -> without numbers that cannot be, such as the -1 that many write for none: a frame has its place still.

    A standard error of 0 is unknown, too.
    """
    for name, (low, high) in BOUNDS.items():
        values = frames[name]
        good = pc.and_(pc.greater_equal(values, low), pc.less_equal(values, high))  # which NaN is not
        if "_sigma_" in name:
            good = pc.and_(good, pc.not_equal(values, 0))
        bad = pc.sum(pc.invert(good)).as_py()
        if bad:
            LOG.warning("drive %s: %s of %d frames is not within %g to %g: unknown", drive_id, name, bad, low, high)
            frames = _with(frames, name, pc.if_else(good, values, pa.scalar(None, values.type)))
    return frames


def _with(frames: pa.Table, name: str, column: pa.ChunkedArray) -> pa.Table:
    """The table with another column in the place of one."""
    return frames.set_column(frames.schema.get_field_index(name), frames.schema.field(name), column)


def _check(frames: pa.Table, cameras: set[str], *, where: str) -> None:
    counts = frames["frame_id"].value_counts()
    twice = counts.filter(pc.greater(counts.field("counts"), 1)).field("values").to_pylist()
    if twice:
        raise SurveyError(
            f"{where}: {len(twice)} frame ids occur more than once, e.g. {twice[:3]}; "
            "every frame_id must be unique in a drive"
        )
    unknown = sorted(set(frames["camera_id"].unique().to_pylist()) - cameras)
    if unknown:
        raise SurveyError(f"{where}: camera_id {unknown[:3]} not among the drive's cameras {sorted(cameras)}")


def rejection(frame: dict[str, Any]) -> str | None:
    """Why a frame of the manifest cannot be scanned and placed on the map, or None when it can.

    Returns:
        The importer's own reason, or ``bad_key`` (the image would lie outside the drive), ``no_gps``, ``bad_gps``,
        ``no_time``; after a colon the detail.
    """
    if frame["reason"]:
        return str(frame["reason"])
    try:
        check_key(frame["image_uri"])
    except StorageError as error:
        return f"bad_key: {error}"
    if frame["lon"] is None or frame["lat"] is None:
        return "no_gps"
    if not (-180 <= frame["lon"] <= 180 and -90 <= frame["lat"] <= 90) or (frame["lon"] == 0 and frame["lat"] == 0):
        return "bad_gps"
    if not frame["captured_at"]:
        return "no_time"
    why = why_implausible(frame["captured_at"])
    return f"no_time: {why}" if why else None
