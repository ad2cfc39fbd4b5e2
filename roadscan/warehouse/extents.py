"""Which files of a table may have a drive's rows: by the statistics in its log, and by when and where the drive was.

Ids of drives say nothing of when they drove, so those of any night lie between the least and the greatest of any file.
But `runs` tells when and where each drive was, and statistics find the few files that have rows of then and there.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc


class DriveExtents:
    """When and where drives have rows.

    Args:
        runs: ``drive_id``, ``started_at``, ``ended_at`` and ``bbox`` of `schemas.RUNS`, of all drives that have rows.

    Attributes:
        ids: of the drives, in order.
    """

    def __init__(self, runs: pa.Table) -> None:
        self._runs = runs.combine_chunks().sort_by("drive_id")
        self.ids: pa.ChunkedArray = self._runs["drive_id"]

    def files_of(self, files: pa.Table, drive_id: str) -> pa.Table:
        """Rows of `TableLog.files` -> those whose file may have rows of a drive."""
        files = overlapping(files, "drive_id", drive_id, drive_id)
        found = self._runs.filter(pc.equal(self.ids, drive_id)).to_pylist()
        if len(found) != 1 or None in found[0].values():
            return files
        run, box = found[0], found[0]["bbox"]
        files = overlapping(files, "captured_at", run["started_at"], run["ended_at"])
        files = overlapping(files, "camera_lon", box["xmin"], box["xmax"])
        return overlapping(files, "camera_lat", box["ymin"], box["ymax"])


def overlapping(files: pa.Table, column: str, least: Any, greatest: Any) -> pa.Table:
    """Rows of `TableLog.files` -> those whose file may have values of a column from `least` to `greatest`, or nulls."""
    if not {f"min.{column}", f"null_count.{column}"} <= set(files.column_names):
        return files
    begins_before = pc.less_equal(files[f"min.{column}"], pa.scalar(greatest, files[f"min.{column}"].type))
    ends_after = pc.greater_equal(files[f"max.{column}"], pa.scalar(least, files[f"max.{column}"].type))
    has_nulls = pc.fill_null(pc.greater(files[f"null_count.{column}"], 0), True)
    return files.filter(pc.or_(has_nulls, pc.fill_null(pc.and_(begins_before, ends_after), True)))
