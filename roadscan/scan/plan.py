"""What a scan would do: which shards of which drives, with which model."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc

from roadscan.cluster import refuse_lost_outputs
from roadscan.errors import ConfigError, SurveyError
from roadscan.model.bundle import ModelFile
from roadscan.model.exported import inspect
from roadscan.scan import ledger
from roadscan.scan.config import ScanConfig
from roadscan.scan.ledger import Shard
from roadscan.survey.drive import Drive, find_drives, leaving_out, may_be_uploading, read_drive
from roadscan.warehouse import Release, Warehouse


@dataclass(frozen=True)
class ScanPlan:
    """What a scan would do, before anything starts.

    Attributes:
        drives: all drives, by drive_id.
        shards: all shards of each drive that is not done.
        todo: the shards without a commit, or with frames to try again.
        done: drives that the warehouse already holds as this run would make them.
        model: the model to scan with.
        left_out: by address, why a drive cannot be scanned.
    """

    drives: dict[str, Drive]
    shards: dict[str, list[Shard]]
    todo: list[Shard]
    done: tuple[str, ...]
    model: ModelFile
    left_out: dict[str, str] = field(default_factory=dict)


def plan_scan(config: ScanConfig, *, may_be_gone: bool = False) -> ScanPlan:
    """Read the drives, the model and the ledger; start nothing. A drive that cannot be used keeps no other one back.

    Args:
        config: the scan.
        may_be_gone: an address without a drive is left out: there was one. Else nobody can have meant it.

    Raises:
        ConfigError: a submitted job would write into its copy of the working directory, or what is to be scanned again
            is neither a drive nor a reason.
        SurveyError: no drive at an address.
        ModelError: the model cannot be used, or is for another task.
    """
    refuse_lost_outputs({"warehouse": config.warehouse}, os.environ)
    model = inspect(config.model, task=config.task)
    model.card.confidences(config.confidence)  # refuses classes that it does not know
    warehouse = Warehouse(config.warehouse)
    release = warehouse.current()
    released = warehouse.read(release, "runs")
    plan, again = ScanPlan({}, {}, [], (), model), Again(config.again, warehouse, release)
    for address in config.drives:
        odd: dict[str, str] = {}
        found = find_drives(address, left_out=odd)
        if not found and not odd:
            nothing = f"no drive at {address}; expected a folder with drive.json, or a folder of such folders"
            if not may_be_gone:
                raise SurveyError(f"drives: {nothing}")
            odd[address] = nothing
        plan.left_out.update(odd)
        for uri in found:
            with leaving_out(plan.left_out, uri):
                _take(plan, _read(uri, config.upload_days), config, warehouse, released, again)
    again.check()
    return replace(plan, done=tuple(name for name in plan.drives if name not in plan.shards))


def _read(uri: str, upload_days: float) -> Drive:
    return replace(read_drive(uri), uploading=may_be_uploading(uri, upload_days, datetime.now(UTC)))


def _take(
    plan: ScanPlan, drive: Drive, config: ScanConfig, warehouse: Warehouse, released: pa.Table, again: Again
) -> None:
    """Put a drive into a plan, with the shards of it that are to be scanned.

    Raises:
        SurveyError: another drive has its id, or it had another id, or the model takes no such images.
    """
    if drive.drive_id in plan.drives:
        other = plan.drives[drive.drive_id].uri
        raise SurveyError(f"drives: {drive.uri} and {other} have the same drive_id {drive.drive_id!r}")
    around = [name for name, camera in drive.cameras.items() if camera.is_panoramic]
    if around and config.task == "semantic":
        raise SurveyError(
            f"drives: {drive.uri}: camera {around[0]} takes panoramas, and a semantic model sees whole images; "
            "expected a model for task detect or segment"
        )
    ledger.check_identity(released, drive)
    runs = released.filter(pc.equal(released["drive_id"], drive.drive_id)).to_pylist()
    key = ledger.run_key(drive, plan.model.sha256, config.fingerprint())
    shards = again.mark(drive, ledger.plan(drive, key, config.shard_frames))
    is_done = ledger.is_done(runs, drive, key, retry_quarantined=config.retry_quarantined)
    if not is_done or any(shard.again for shard in shards):
        finished = {
            index
            for index, commit in ledger.commits(warehouse, key).items()
            if commit.is_final(retry_quarantined=config.retry_quarantined)
        }
        plan.shards[drive.drive_id] = shards
        plan.todo.extend(shard for shard in shards if shard.again or shard.index not in finished)
    plan.drives[drive.drive_id] = drive


class Again:
    """What is to be scanned again though it was.

    Args:
        wanted: drives, by id or address, or first words of reasons.
        warehouse: which says why frames cannot be used …
        release: … in this state.
    """

    def __init__(self, wanted: Sequence[str], warehouse: Warehouse, release: Release) -> None:
        self._wanted, self._warehouse, self._release = frozenset(one.rstrip("/") for one in wanted), warehouse, release
        self._found: set[str] = set()
        self._reasons = Counter[str]()

    def mark(self, drive: Drive, shards: Sequence[Shard]) -> list[Shard]:
        """A drive's shards -> the same, marked where they are to be scanned again."""
        if not self._wanted:
            return list(shards)
        if named := self._wanted & {drive.drive_id, drive.uri}:
            self._found |= named
            return [replace(shard, again=True) for shard in shards]
        rows = self._warehouse.read(
            self._release, "frames", drive_id=drive.drive_id, columns=["frame_id", "reason"]
        ).to_pylist()
        word_of = {row["frame_id"]: row["reason"].partition(":")[0] for row in rows if row["reason"]}
        self._reasons.update(word_of.values())
        self._found |= self._wanted & set(word_of.values())
        again = [word_of.get(name) in self._wanted for name in drive.frames["frame_id"].to_pylist()]
        return [replace(shard, again=any(again[shard.start : shard.stop])) for shard in shards]

    def check(self) -> None:
        """Refuse what is neither a drive nor a reason.

        Raises:
            ConfigError: there is such.
        """
        if unknown := sorted(self._wanted - self._found):
            reasons = ", ".join(f"{word} ({count})" for word, count in self._reasons.most_common()) or "none"
            raise ConfigError(
                f"again: got {', '.join(unknown)}; expected a drive at one of the addresses, by id or address, or the "
                f"first word of a reason for which frames of theirs are not used; there are {reasons}"
            )
