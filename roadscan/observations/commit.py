"""Drives that were read to one release of a warehouse; nothing else is written."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow.compute as pc

from roadscan import __version__
from roadscan.errors import WarehouseError
from roadscan.observations.conform import ConformedDrive
from roadscan.observations.read import CheckedObservations
from roadscan.observations.schema import UNKNOWN
from roadscan.storage import sha256_hex
from roadscan.warehouse import Release, Warehouse
from roadscan.warehouse.drives import StagedDrive, publish_drives, runs_of


def new_drives(
    warehouse: Warehouse, release: Release, found: CheckedObservations, *, replace: bool = False
) -> list[str]:
    """The drives that a release does not have with this very content.

    Args:
        warehouse: whose release.
        release: which state.
        found: what was read.
        replace: drives with other content may be replaced.

    Raises:
        WarehouseError: the release has a drive with other content, and `replace` is not set.
    """
    rows = runs_of(warehouse, release, found.keys, ["drive_id", "run_key", "drive_uri"]).to_pylist()
    standing = {row["drive_id"]: row for row in rows}
    new = [drive_id for drive_id, key in found.keys.items() if standing.get(drive_id, {}).get("run_key") != key]
    others = [drive_id for drive_id in new if drive_id in standing]
    if others and not replace:
        first = standing[others[0]]["drive_uri"]
        raise WarehouseError(
            f"drive_id: the warehouse has {len(others)} of these drives with other content, e.g. {others[0]!r} from "
            f"{first}; expected new ones or the same: give --replace to replace them, or other ids"
        )
    return new


def commit_observations(warehouse: Warehouse, found: CheckedObservations, *, replace: bool = False) -> Release:
    """Commit the drives that were read, as one release. What the warehouse has already stays as it is.

    Args:
        warehouse: where to.
        found: what was read.
        replace: drives that it has with other content are replaced; else they are an error.

    Returns:
        The release that is current now; no new one where it had everything.

    Raises:
        WarehouseError: as `new_drives`.
        StorageError: the warehouse cannot be written.
    """
    ids = new_drives(warehouse, warehouse.current(), found, replace=replace)
    staged = [_staged(warehouse, found.drive(drive_id), found.uri) for drive_id in ids]
    if staged and found.rejected is not None:
        warehouse.store.write(rejected_key(found.rejected), found.rejected)

    def wanted(release: Release) -> list[str]:
        return [name for name in new_drives(warehouse, release, found, replace=replace) if name in ids]

    return publish_drives(warehouse, staged, wanted, f"observations of {len(ids)} drives")


def rejected_key(rejected: bytes) -> str:
    """Where in a warehouse a file of rejected rows stands."""
    return f"logs/rejected-{sha256_hex(rejected)[:16]}.parquet"


def _staged(warehouse: Warehouse, drive: ConformedDrive, uri: str) -> StagedDrive:
    status = drive.frames["status"].to_pylist()
    models = pc.unique(drive.observations["model_sha256"]).to_pylist()
    run = {
        "drive_id": drive.drive_id,
        "drive_uri": uri,
        "drive_sha256": drive.sha256,
        "run_key": drive.run_key,
        "frames": len(status),
        "frames_ok": status.count("ok"),
        "frames_quarantined": status.count("quarantined"),
        "frames_failed": 0,
        "observations": drive.observations.num_rows,
        "model_sha256": ",".join(sorted(models)) or UNKNOWN,
        "code_version": __version__,
        "finished_at": datetime.now(UTC),
    }
    tables = {"observations": drive.observations, "frames": drive.frames}
    files = (warehouse.stage(table, rows, f"{drive.run_key}/{table}") for table, rows in tables.items())
    return StagedDrive(run, tuple(files))
