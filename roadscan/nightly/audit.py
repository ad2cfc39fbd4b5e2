"""Frames in, frames out: what a release holds of a night's drives, counted again from its tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from roadscan.nightly.drives import NightDrive
from roadscan.nightly.summary import FrameCounts
from roadscan.scan import ledger
from roadscan.scan.plan import ScanPlan
from roadscan.scan.quality import hard_frames
from roadscan.warehouse import Release, Warehouse

COLUMNS = ["frame_id", "status", "reason", "light", "blur"]


def audit(warehouse: Warehouse, release: Release, drives: Iterable[NightDrive], max_quarantined: float) -> FrameCounts:
    """Drives -> counts of their frames in a release, from its tables and not from what a scan said of itself.

    Args:
        warehouse: theirs.
        release: which state.
        drives: of a night.
        max_quarantined: share of a drive's frames in quarantine above which the drive is named.
    """
    status: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    missing: dict[str, int] = {}
    unusable: dict[str, int] = {}
    frames = twice = dark = blurred = 0
    for drive in drives:
        rows = warehouse.read(release, "frames", drive_id=drive.drive_id, columns=COLUMNS)
        once = {row["frame_id"]: row for row in rows.to_pylist()}
        failed = sum(row["status"] == "failed" for row in once.values())
        gone = drive.frames - len(once) + failed
        missing |= {drive.drive_id: gone} if gone > 0 else {}
        quarantined = sum(row["status"] == "quarantined" for row in once.values())
        unusable |= {drive.drive_id: quarantined} if quarantined > max_quarantined * drive.frames else {}
        frames, twice = frames + drive.frames, twice + rows.num_rows - len(once)
        hard = hard_frames(rows)
        dark, blurred = dark + hard.dark, blurred + hard.blurred
        status.update(row["status"] for row in once.values())
        reasons.update(row["reason"].partition(":")[0] for row in once.values() if row["reason"])
    return FrameCounts(
        frames=frames,
        frames_ok=status["ok"],
        frames_quarantined=status["quarantined"],
        frames_failed=status["failed"],
        frames_lost=sum(missing.values()) - status["failed"],
        frames_twice=twice,
        frames_dark=dark,
        frames_blurred=blurred,
        reasons=dict(reasons.most_common()),
        missing=missing,
        unusable=unusable,
    )


def uncommitted(warehouse: Warehouse, plan: ScanPlan) -> dict[str, int]:
    """A scan's plan -> frames that no commit has, by drive: what is missing while it is under way."""
    missing: dict[str, int] = {}
    for drive_id, shards in plan.shards.items():
        done = ledger.commits(warehouse, shards[0].run_key)
        failed = sum(commit.failed for commit in done.values())
        gone = failed + sum(shard.stop - shard.start for shard in shards if shard.index not in done)
        missing |= {drive_id: gone} if gone else {}
    return missing
