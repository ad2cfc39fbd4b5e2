"""Small tables of a warehouse."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa

from roadscan.schemas import RUNS


def named_runs(*drive_ids: str, frames: int = 1) -> pa.Table:
    """One run for each drive."""
    texts = dict.fromkeys(("drive_uri", "drive_sha256", "run_key", "model_sha256", "code_version"), "x")
    counts = {"frames": frames, "frames_ok": frames, "frames_quarantined": 0, "frames_failed": 0, "observations": 0}
    rows = [
        {"drive_id": name, **texts, **counts, "finished_at": datetime(2026, 1, 1, tzinfo=UTC)} for name in drive_ids
    ]
    return pa.Table.from_pylist(rows, RUNS)
