"""What a scan would do: which shards of which drives, with which model."""

from __future__ import annotations

import os
from dataclasses import dataclass

import pyarrow.compute as pc

from roadscan.cluster import refuse_lost_outputs
from roadscan.errors import SurveyError
from roadscan.model.bundle import ModelFile
from roadscan.model.exported import inspect
from roadscan.scan import ledger
from roadscan.scan.config import ScanConfig
from roadscan.scan.ledger import Shard
from roadscan.survey.drive import Drive, find_drives, read_drive
from roadscan.warehouse import Warehouse


@dataclass(frozen=True)
class ScanPlan:
    """What a scan would do, before anything starts.

    Attributes:
        drives: all drives, by drive_id.
        shards: all shards of each drive that is not done.
        todo: the shards without a commit, or with frames to try again.
        done: drives that the warehouse already holds as this run would make them.
        model: the model to scan with.
    """

    drives: dict[str, Drive]
    shards: dict[str, list[Shard]]
    todo: list[Shard]
    done: tuple[str, ...]
    model: ModelFile


def plan_scan(config: ScanConfig) -> ScanPlan:
    """Read the drives, the model and the ledger; start nothing.

    Raises:
        ConfigError: a submitted job would write into its copy of the working directory.
        SurveyError: no drive at an address, or two drives with one id.
        ModelError: the model cannot be used, or is for another task.
    """
    refuse_lost_outputs({"warehouse": config.warehouse}, os.environ)
    model = inspect(config.model, task=config.task)
    model.card.confidences(config.confidence)  # refuses classes that it does not know
    warehouse = Warehouse(config.warehouse)
    released = warehouse.read(warehouse.current(), "runs")
    drives: dict[str, Drive] = {}
    shards: dict[str, list[Shard]] = {}
    todo: list[Shard] = []
    for address in config.drives:
        found = find_drives(address)
        if not found:
            raise SurveyError(
                f"drives: no drive at {address}; expected a folder with drive.json, or a folder of such folders"
            )
        for drive in map(read_drive, found):
            if drive.drive_id in drives:
                raise SurveyError(
                    f"drives: {drive.uri} and {drives[drive.drive_id].uri} have the same drive_id {drive.drive_id!r}"
                )
            runs = released.filter(pc.equal(released["drive_id"], drive.drive_id)).to_pylist()
            drives[drive.drive_id] = drive
            key = ledger.run_key(drive, model.sha256, config.fingerprint())
            if ledger.is_done(runs, drive, key, retry_quarantined=config.retry_quarantined):
                continue
            shards[drive.drive_id] = ledger.plan(drive, key, config.shard_frames)
            finished = {
                index
                for index, commit in ledger.commits(warehouse, key).items()
                if commit.is_final(retry_quarantined=config.retry_quarantined)
            }
            todo += [shard for shard in shards[drive.drive_id] if shard.index not in finished]
    return ScanPlan(drives, shards, todo, tuple(name for name in drives if name not in shards), model)
