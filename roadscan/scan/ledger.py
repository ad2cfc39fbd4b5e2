"""What has been scanned: the plan of a run, its commits, and the release that makes it visible.

The run key is the digest of the drive's manifest, the model and the settings, so the same work has the same key. A
shard is done when its commit exists, ``staging/<run key>/<shard>.json``; a drive is done when all its shards are, and
then a release replaces the drive's rows. A run that dies leaves commits behind, and the next run starts from them.
"""

from __future__ import annotations

import json
import logging
import math
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from roadscan import __version__
from roadscan.errors import Conflict, Malformed, ModelError, SurveyError, WarehouseError
from roadscan.model.exported import Model, read_model_bytes, unpack_model
from roadscan.parsing import FORBID_OTHERS, read_json
from roadscan.storage import MAX_RECORD_BYTES, Store, sha256_hex
from roadscan.survey.drive import Drive
from roadscan.survey.path import path_length_m
from roadscan.warehouse import DataFile, Release, Warehouse
from roadscan.warehouse.drives import StagedDrive, publish_drives, runs_of
from roadscan.warehouse.warehouse import STAGING

LOG = logging.getLogger(__name__)
DIGEST = "sha256"  # in a commit: of all else that it says
IDENTITY = ("drive_id", "drive_uri", "drive_sha256", "frames", "started_at", "ended_at")  # of `runs`


@dataclass(frozen=True, slots=True)
class Shard:
    """A slice of a drive's frames, and the run it belongs to.

    Attributes:
        uploading: as of its `Drive`.
        again: it is scanned though it was; what it gives takes the place of what it gave.
    """

    drive_uri: str
    drive_sha256: str
    run_key: str
    index: int
    start: int
    stop: int
    uploading: bool = False
    again: bool = False

    @property
    def commit_key(self) -> str:
        """Where its commit stands."""
        return f"{STAGING}/{self.run_key}/{self.index:06d}.json"

    def __str__(self) -> str:
        """Which frames of the drive's table, in words."""
        return f"{self.drive_uri}, frames {self.start} to {self.stop - 1}"


@dataclass(frozen=True, slots=True)
class Commit:
    """What a shard gave.

    Attributes:
        ok, quarantined, failed: frames; their sum is the shard's frames.
        detections: rows of observations.
        files: staged data files.
        classes: the detections by class; None in commits of earlier versions.
    """

    ok: int
    quarantined: int
    failed: int
    detections: int
    files: tuple[DataFile, ...]
    classes: dict[str, int] | None = None

    __pydantic_config__: ClassVar = FORBID_OTHERS

    @property
    def unusable(self) -> tuple[int, int]:
        """Frames that failed, and those in quarantine: of two commits of one shard the lesser stands."""
        return self.failed, self.quarantined

    def is_final(self, *, retry_quarantined: bool) -> bool:
        """Whether there is no reason to scan the shard again."""
        return not (any(self.unusable) if retry_quarantined else self.failed)


@dataclass(frozen=True, slots=True)
class Scanned:
    """A shard that is committed, or why it is not.

    Attributes:
        run_key: of its drive.
        frames, detections: of the shard, committed.
        process: which one scanned it, as host and process id.
        runs_on: what that process computes on.
        decoded_on: the node whose task decoded it; empty where the process itself did.
        error: why it was not committed; empty where it was.
    """

    run_key: str
    frames: int
    detections: int
    process: str
    runs_on: str
    decoded_on: str = ""
    error: str = ""


SHARDS_A_DRIVE = 8  # of a short drive
LEAST_SHARD = 32  # frames: with fewer an actor spends its time on starting and committing
#: Counts up when code changes what a frame gives (decoding, measuring, the taxonomy), so that drives are scanned again.
SCAN_VERSION = 2


def run_key(drive: Drive, model_sha256: str, fingerprint: str) -> str:
    """Digest of everything that decides a drive's rows."""
    parts = (drive.drive_id, drive.sha256, model_sha256, fingerprint, str(SCAN_VERSION))
    return sha256_hex("\n".join(parts).encode())[:24]


def plan(drive: Drive, key: str, shard_frames: int) -> list[Shard]:
    """The shards of a drive: consecutive frames in the manifest's order. An empty drive has one empty shard.

    A short drive has shards of fewer than `shard_frames`, so that several actors share it.
    """
    count = drive.frames.num_rows
    size = min(shard_frames, max(math.ceil(count / SHARDS_A_DRIVE), LEAST_SHARD))
    return [
        Shard(drive.uri, drive.sha256, key, index, start, min(start + size, count), drive.uploading)
        for index, start in enumerate(range(0, max(count, 1), size))
    ]


def commits(warehouse: Warehouse, key: str) -> dict[int, Commit]:
    """The commits of a run by shard index; a damaged one is none, so its shard is scanned again."""
    paths = (path for path in warehouse.store.keys(f"{STAGING}/{key}/") if path.endswith(".json"))
    found = {int(path.rpartition("/")[2].removesuffix(".json")): _decoded(warehouse.store, path) for path in paths}
    return {index: commit for index, (commit, _) in found.items() if commit is not None}


def commit(warehouse: Warehouse, shard: Shard, observations: pa.Table, frames: pa.Table) -> Commit:
    """Write a shard's files and commit them.

    Of two runs of one shard the first wins, and the other takes over its result. A commit with failed frames gives way
    to one with fewer, never to one with more; and where as many failed, so does one with frames in quarantine, or any
    to that of a shard that is scanned again. A damaged one gives way to any.

    Returns:
        The commit that stands.
    """
    files = tuple(
        warehouse.stage(table, rows, f"{shard.run_key}/{shard.index:06d}-{table}")
        for table, rows in (("observations", observations), ("frames", frames))
    )
    status = frames["status"].to_pylist()
    counts = {name: status.count(name) for name in ("ok", "quarantined", "failed")}
    classes = dict(Counter(observations["class"].to_pylist()))
    made = Commit(detections=observations.num_rows, files=files, classes=classes, **counts)
    data, store = _encode(made), warehouse.store
    while True:  # ends: of each turn that it loses another run has committed, mostly with fewer unusable frames
        with suppress(Conflict):
            store.create(shard.commit_key, data)
            return made
        standing, tag = _decoded(store, shard.commit_key)
        if standing is not None and _stands(standing, made, shard):
            return standing
        with suppress(Conflict):
            store.swap(shard.commit_key, data, tag=tag)
            return made


def _stands(standing: Commit, made: Commit, shard: Shard) -> bool:
    return standing.failed < made.failed if shard.again else standing.unusable <= made.unusable


def collect(warehouse: Warehouse, drive: Drive, shards: Sequence[Shard], model_sha256: str) -> StagedDrive:
    """Put the commits of a drive's shards together; all of them must be there."""
    done = commits(warehouse, shards[0].run_key)
    if gone := [shard.index for shard in shards if shard.index not in done]:
        raise WarehouseError(
            f"{warehouse.store.uri}: {len(gone)} shards of {drive.drive_id} were scanned, but what they staged is "
            "gone, as after a vacuum; run again"
        )
    parts = [done[shard.index] for shard in shards]
    for shard, part in zip(shards, parts, strict=True):
        _check_counts(warehouse.store, shard, part)
    frames = drive.frames.num_rows
    row = {
        "drive_id": drive.drive_id,
        "drive_uri": drive.uri,
        "drive_sha256": drive.sha256,
        "run_key": shards[0].run_key,
        "frames": frames,
        "frames_ok": sum(part.ok for part in parts),
        "frames_quarantined": sum(part.quarantined for part in parts),
        "frames_failed": sum(part.failed for part in parts),
        "observations": sum(part.detections for part in parts),
        "model_sha256": model_sha256,
        "code_version": __version__,
        "finished_at": datetime.now(UTC),
        "length_m": path_length_m(drive.frames) * sum(part.ok for part in parts) / max(frames, 1),
        "detections": _by_class(parts),
    }
    return StagedDrive(row, tuple(file for part in parts for file in part.files))


def publish(warehouse: Warehouse, drives: Sequence[StagedDrive]) -> Release:
    """Make drives' rows visible, in place of earlier scans of them, in one release.

    A run with more failed frames than the one that readers have is not published: it would take rows away.
    """
    failed = {drive.drive_id: drive.run["frames_failed"] for drive in drives}

    def wanted(release: Release) -> list[str]:
        standing = runs_of(warehouse, release, failed, ["drive_id", "frames_failed"]).to_pylist()
        better = {row["drive_id"] for row in standing if row["frames_failed"] < failed[row["drive_id"]]}
        return [drive_id for drive_id in failed if drive_id not in better]

    what = drives[0].drive_id if len(drives) == 1 else f"{len(drives)} drives"
    return publish_drives(warehouse, drives, wanted, f"scan of {what}")


def is_done(runs: Sequence[dict[str, Any]], drive: Drive, key: str, *, retry_quarantined: bool = False) -> bool:
    """Whether the released runs hold this very run of the drive, with no frame to try again.

    Args:
        runs: rows of the released `runs`.
        drive: the drive.
        key: of the run.
        retry_quarantined: frames in quarantine are to be tried again, besides those that failed.
    """
    for row in runs:
        if row["drive_id"] == drive.drive_id and row["run_key"] == key and not row["frames_failed"]:
            return not (retry_quarantined and row["frames_quarantined"])
    return False


def check_identity(runs: pa.Table, drive: Drive) -> None:
    """Refuse a drive whose id another one has, or whose recording has another id: its rows would be there twice.

    A drive that was moved, and one that was ingested anew, are themselves. So is another recording in a folder that
    is used again.

    Args:
        runs: the released `runs`, with the columns of `IDENTITY`.
        drive: the drive.

    Raises:
        SurveyError: it is one of these.
    """
    near = runs.filter(pc.or_(pc.equal(runs["drive_id"], drive.drive_id), pc.equal(runs["drive_uri"], drive.uri)))
    times = pc.min_max(drive.frames["captured_at"]).as_py()
    recording = (drive.frames.num_rows, times["min"], times["max"])
    for row in near.to_pylist():
        if row["drive_id"] != drive.drive_id:
            if (row["frames"], row["started_at"], row["ended_at"]) == recording:
                raise SurveyError(
                    f"{drive.uri}: drive_id is {drive.drive_id!r}, and these frames were scanned as "
                    f"{row['drive_id']!r}; expected the id that they have"
                )
        elif row["drive_uri"] != drive.uri and row["drive_sha256"] != drive.sha256:
            raise SurveyError(
                f"{drive.uri}: drive_id {drive.drive_id!r} is taken in this warehouse, by {row['drive_uri']}; "
                "give every drive an id of its own and ingest it again"
            )


def keep_model(warehouse: Warehouse, uri: str, sha256: str) -> None:
    """Keep the model file beside the rows that it makes, where every actor can read it, under its digest.

    Raises:
        ModelError: the file at `uri` is no longer the one that was planned with.
    """
    if not warehouse.store.exists(model_key(sha256)):
        data = read_model_bytes(uri)
        if sha256_hex(data) != sha256:
            raise ModelError(f"model {uri}: the file changed since the run was planned; run again")
        warehouse.store.write(model_key(sha256), data)


def read_model(warehouse: Warehouse, sha256: str) -> Model:
    """A model that `keep_model` kept, verified."""
    return unpack_model(
        warehouse.store.read(model_key(sha256), sha256=sha256), where=warehouse.store.uri_of(model_key(sha256))
    )


def _by_class(parts: Sequence[Commit]) -> list[dict[str, Any]] | None:
    """Detections by class, as `RUNS` has them; None where a commit does not tell."""
    counts = Counter[str]()
    for part in parts:
        if part.classes is None:
            return None
        counts.update(part.classes)
    return [{"class": name, "count": count} for name, count in sorted(counts.items())]


def model_key(sha256: str) -> str:
    """Where `keep_model` keeps the model with a digest."""
    return f"models/{sha256}.zip"


def _check_counts(store: Store, shard: Shard, part: Commit) -> None:
    """Refuse a commit whose counts are not those of its frames and files: rows would be lost, or there twice."""
    rows = {table: sum(file.rows for file in part.files if file.table == table) for table in ("frames", "observations")}
    wanted = {"frames": shard.stop - shard.start, "observations": part.detections}
    if not rows["frames"] == wanted["frames"] == part.ok + part.quarantined + part.failed or rows != wanted:
        raise WarehouseError(
            f"{store.uri_of(shard.commit_key)}: its files have {rows}, expected {wanted}, of frames {part.ok} ok, "
            f"{part.quarantined} in quarantine and {part.failed} failed; remove it and run again"
        )


def _encode(commit: Commit) -> bytes:
    """A commit with the digest of all that it says."""
    tree = asdict(commit)
    return json.dumps({**tree, DIGEST: _digest(tree)}).encode()


def _decoded(store: Store, key: str) -> tuple[Commit | None, str]:
    """The commit at a key, None where it is damaged, and its tag. One of an earlier version has no digest."""
    data, tag = store.read_tagged(key, max_bytes=MAX_RECORD_BYTES)
    try:
        tree = read_json(data)
        digest = tree.pop(DIGEST, None)
        commit = read_json(json.dumps(tree), Commit)
        if digest not in (None, _digest(tree)):
            raise Malformed("its digest is not that of what it says")
    except Malformed as error:
        LOG.warning("%s: %s; the shard is scanned again", store.uri_of(key), error)
        return None, tag
    return commit, tag


def _digest(tree: dict[str, Any]) -> str:
    return sha256_hex(json.dumps(tree, sort_keys=True).encode())
