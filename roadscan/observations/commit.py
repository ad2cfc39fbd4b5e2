"""Drives that were read to one release of a warehouse; nothing else is written."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc

from roadscan import __version__
from roadscan.errors import WarehouseError
from roadscan.observations.conform import ConformedDrive
from roadscan.observations.read import CheckedObservations
from roadscan.observations.schema import UNKNOWN
from roadscan.schemas import RUNS
from roadscan.storage import sha256_hex
from roadscan.warehouse import DataFile, Release, Warehouse


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
    rows = warehouse.read(release, "runs", columns=["drive_id", "run_key", "drive_uri"]).to_pylist()
    standing = {row["drive_id"]: row for row in rows}
    taken = {f.drive_id for f in release.files}
    new = [drive_id for drive_id, key in found.keys.items() if standing.get(drive_id, {}).get("run_key") != key]
    others = [drive_id for drive_id in new if drive_id in taken]
    if others and not replace:
        first = standing.get(others[0], {}).get("drive_uri", "an unknown source")
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
    files: dict[str, list[DataFile]] = {}
    for drive_id in new_drives(warehouse, warehouse.current(), found, replace=replace):
        files[drive_id] = _write(warehouse, found.drive(drive_id), found.uri)
    if files and found.rejected is not None:
        warehouse.store.write(rejected_key(found.rejected), found.rejected)

    def change(release: Release) -> Release:
        wanted = new_drives(warehouse, release, found, replace=replace)  # looked at again: others publish, too
        new = [drive_id for drive_id in wanted if drive_id in files]
        if not new:
            return release
        parts = [file for drive_id in new for file in files[drive_id]]
        return release.replaced(lambda old: old.drive_id in new, parts, f"observations of {len(new)} drives")

    return warehouse.publish(change)


def rejected_key(rejected: bytes) -> str:
    """Where in a warehouse a file of rejected rows stands."""
    return f"logs/rejected-{sha256_hex(rejected)[:16]}.parquet"


def _write(warehouse: Warehouse, drive: ConformedDrive, uri: str) -> list[DataFile]:
    times = drive.frames["captured_at"].drop_null()
    month = times[0].as_py().strftime("%Y-%m") if len(times) else "unknown"
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
    tables = {
        "observations": (drive.observations, f"survey_month={month}"),
        "frames": (drive.frames, f"survey_month={month}"),
        "runs": (pa.Table.from_pylist([run], RUNS), ""),
    }
    name = f"{drive.drive_id}-{drive.run_key[:8]}"
    return [
        warehouse.write(table, rows, folder=folder, name=name, drive_id=drive.drive_id)
        for table, (rows, folder) in tables.items()
    ]
