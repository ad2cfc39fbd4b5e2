"""What has been scanned: the plan of a run, its commits, and the release that makes it visible.

The run key is the digest of the drive's manifest, the model and the settings, so the same work has the same key. A
shard is done when its commit exists, ``commits/<run key>/<shard>.json``; a drive is done when all its shards are, and
then one release replaces the drive's rows. A run that dies leaves commits behind, and the next run starts from them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from roadscan import __version__
from roadscan.errors import Conflict, ModelError
from roadscan.model.bundle import Bundle, read_bytes, unpack
from roadscan.schemas import RUNS
from roadscan.storage import sha256_hex
from roadscan.survey.drive import Drive
from roadscan.warehouse import DataFile, Release, Warehouse


@dataclass(frozen=True, slots=True)
class Shard:
    """A slice of a drive's frames, and the run it belongs to."""

    drive_uri: str
    drive_sha256: str
    run_key: str
    index: int
    start: int
    stop: int

    @property
    def commit_key(self) -> str:
        """Where its commit stands."""
        return f"commits/{self.run_key}/{self.index:06d}.json"


@dataclass(frozen=True, slots=True)
class Commit:
    """What a shard gave.

    Attributes:
        ok, quarantined, failed: frames; their sum is the shard's frames.
        detections: rows of observations.
        files: the data files.
    """

    ok: int
    quarantined: int
    failed: int
    detections: int
    files: tuple[DataFile, ...]

    @property
    def frames(self) -> int:
        """All frames of the shard."""
        return self.ok + self.quarantined + self.failed


def run_key(drive: Drive, model_sha256: str, fingerprint: str) -> str:
    """Digest of everything that decides a drive's rows."""
    return sha256_hex("\n".join((drive.drive_id, drive.sha256, model_sha256, fingerprint)).encode())[:24]


def plan(drive: Drive, key: str, shard_frames: int) -> list[Shard]:
    """The shards of a drive: consecutive frames in the manifest's order. An empty drive has one empty shard."""
    count = drive.frames.num_rows
    return [
        Shard(drive.uri, drive.sha256, key, index, start, min(start + shard_frames, count))
        for index, start in enumerate(range(0, max(count, 1), shard_frames))
    ]


def commits(warehouse: Warehouse, key: str) -> dict[int, Commit]:
    """The commits of a run by shard index."""
    found = {}
    for path in warehouse.store.keys(f"commits/{key}/"):
        tree = json.loads(warehouse.store.read(path))
        files = tuple(DataFile(**entry) for entry in tree.pop("files"))
        found[int(path.rpartition("/")[2].removesuffix(".json"))] = Commit(files=files, **tree)
    return found


def commit(warehouse: Warehouse, shard: Shard, drive: Drive, observations: pa.Table, frames: pa.Table) -> Commit:
    """Write a shard's files and commit them.

    Of two runs of one shard the first wins, and the other takes over its result; only a commit with failed frames is
    replaced.
    """
    month = _survey_month(drive)
    name = f"{drive.drive_id}-{shard.run_key[:8]}-{shard.index:06d}"
    files = tuple(
        warehouse.write(table, rows, folder=f"survey_month={month}", name=name, drive_id=drive.drive_id)
        for table, rows in (("observations", observations), ("frames", frames))
    )
    status = frames["status"].to_pylist()
    counts = {name: status.count(name) for name in ("ok", "quarantined", "failed")}
    made = Commit(detections=observations.num_rows, files=files, **counts)
    data = json.dumps(asdict(made)).encode()
    try:
        warehouse.store.create(shard.commit_key, data)
    except Conflict:
        existing = commits(warehouse, shard.run_key)[shard.index]
        if not existing.failed:
            return existing
        warehouse.store.write(shard.commit_key, data)
    return made


def publish(warehouse: Warehouse, drive: Drive, shards: Sequence[Shard], model_sha256: str) -> Release:
    """Make a drive's rows visible, in place of an earlier scan of the same drive; all its shards must be committed."""
    key = shards[0].run_key
    done = commits(warehouse, key)
    parts = [done[shard.index] for shard in shards]
    if sum(part.frames for part in parts) != drive.frames.num_rows:
        raise AssertionError(f"{drive.drive_id}: {drive.frames.num_rows} frames in, {sum(p.frames for p in parts)} out")
    row: dict[str, Any] = {
        "drive_id": drive.drive_id,
        "run_key": key,
        "frames": drive.frames.num_rows,
        "frames_ok": sum(part.ok for part in parts),
        "frames_quarantined": sum(part.quarantined for part in parts),
        "frames_failed": sum(part.failed for part in parts),
        "observations": sum(part.detections for part in parts),
        "model_sha256": model_sha256,
        "code_version": __version__,
        "finished_at": datetime.now(UTC),
    }
    run = warehouse.write(
        "runs",
        pa.Table.from_pylist([row], RUNS),
        folder="",
        name=f"{drive.drive_id}-{key[:8]}",
        drive_id=drive.drive_id,
    )
    files = [run, *(file for part in parts for file in part.files)]
    return warehouse.publish(
        lambda release: release.replaced(lambda old: old.drive_id == drive.drive_id, files, f"scan of {drive.drive_id}")
    )


def keep_model(warehouse: Warehouse, uri: str, sha256: str) -> None:
    """Keep the model file beside the rows that it makes, where every actor can read it, under its digest.

    Raises:
        ModelError: the file at `uri` is no longer the one that was planned with.
    """
    if not warehouse.store.exists(_model_key(sha256)):
        data = read_bytes(uri)
        if sha256_hex(data) != sha256:
            raise ModelError(f"model {uri}: the file changed since the run was planned; run again")
        warehouse.store.write(_model_key(sha256), data)


def read_model(warehouse: Warehouse, sha256: str) -> Bundle:
    """A model that `keep_model` kept, verified."""
    return unpack(
        warehouse.store.read(_model_key(sha256), sha256=sha256), where=warehouse.store.uri_of(_model_key(sha256))
    )


def _model_key(sha256: str) -> str:
    return f"models/{sha256}.zip"


def is_done(warehouse: Warehouse, release: Release, drive: Drive, key: str) -> bool:
    """Whether the release holds this very run of the drive, with no failed frame."""
    for row in warehouse.read(release, "runs", drive_id=drive.drive_id).to_pylist():
        if row["run_key"] == key and not row["frames_failed"]:
            return True
    return False


def _survey_month(drive: Drive) -> str:
    times = drive.frames["captured_at"].drop_null()
    return times[0].as_py().strftime("%Y-%m") if len(times) else "unknown"
