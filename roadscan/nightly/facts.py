"""What a summary says of a night's scan and of its drives, from what the scan said and from the warehouse's tables."""

from __future__ import annotations

from collections import Counter
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from roadscan.nightly.drift import ASKED, nights_before, rates, tally
from roadscan.nightly.record import NightRecord
from roadscan.scan.run import ScanSummary
from roadscan.warehouse import Release, Warehouse


def of_scan(scanned: ScanSummary | None, node_s: float) -> dict[str, Any]:
    """How fast a scan was, in all and by node, and on what."""
    if scanned is None:
        return {}
    images = scanned.images_per_second * scanned.seconds
    return {
        "images_per_second": scanned.images_per_second,
        "images_per_node_second": round(images / node_s, 2) if node_s else 0.0,
        "devices": scanned.devices,
    }


def of_drives(warehouse: Warehouse, release: Release, record: NightRecord, zone: ZoneInfo) -> dict[str, Any]:
    """A night's drives -> their detections, rates, changes and model in a release."""
    names = [drive.drive_id for drive in record.drives]
    every = warehouse.read(release, "runs", columns=[*ASKED, "observations", "finished_at", "model_sha256"])
    runs = every.filter(pc.is_in(every["drive_id"], pa.array(names, pa.string()))).to_pylist()
    changes = warehouse.read(release, "asset_changes", columns=["drive_id", "change"])
    shown = changes.filter(pc.is_in(changes["drive_id"], value_set=pa.array(names, pa.string())))
    tonight = tally(runs)
    return {
        "detections": sum(row["observations"] for row in runs),
        "changes": dict(Counter(shown["change"].to_pylist()).most_common()),
        "model_sha256": max(runs, key=lambda row: row["finished_at"])["model_sha256"] if runs else None,
        "km": round(tonight.km, 3),
        "rates": rates(tonight, nights_before(every, date.fromisoformat(record.night), names, zone)),
    }
