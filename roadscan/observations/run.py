"""Tables of observations to drives in a warehouse: read, check and commit them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from roadscan.observations.commit import commit_observations, new_drives, rejected_key
from roadscan.observations.read import ReadSummary, read_observations
from roadscan.taxonomy import HIGHWAY, Taxonomy
from roadscan.warehouse import Warehouse


@dataclass(frozen=True)
class ObservationsSummary:
    """What became of tables of observations.

    Attributes:
        new: drives that were committed, or would be.
        known: drives that the warehouse had with this very content.
        rejected_uri: the file of the rows that were not used; None where none was written.
    """

    new: int
    known: int
    rejected_uri: str | None


def add_observations(
    warehouse_uri: str,
    observations: str,
    frames: str | None = None,
    *,
    replace: bool = False,
    dry_run: bool = False,
    taxonomy: Taxonomy = HIGHWAY,
    on_read: Callable[[ReadSummary], None] | None = None,
) -> ObservationsSummary:
    """Read tables and commit their drives to a warehouse, as one release.

    Args:
        warehouse_uri: where to.
        observations: a file (.parquet, .csv, .csv.gz) or a folder of such files; on a disk or ``s3://``.
        frames: likewise, with a row a frame: then frames without detections are known.
        replace: drives that the warehouse has with other content are replaced; else they are an error.
        dry_run: read and check only.
        taxonomy: what is known of the classes, for what is told of the tables.
        on_read: told what was read before anything is written.

    Raises:
        SurveyError: the tables cannot be used, as `roadscan.observations` says.
        WarehouseError: the warehouse has a drive with other content, and `replace` is not set.
        StorageError: a file cannot be read, or the warehouse cannot be written.
    """
    warehouse = Warehouse(warehouse_uri)
    with read_observations(observations, frames, taxonomy) as found:
        if on_read is not None:
            on_read(found.summary)
        new = new_drives(warehouse, warehouse.current(), found, replace=replace)
        rejected_uri = None
        if not dry_run:
            commit_observations(warehouse, found, replace=replace)
            if new and found.rejected is not None:
                rejected_uri = warehouse.store.uri_of(rejected_key(found.rejected))
        return ObservationsSummary(len(new), len(found.keys) - len(new), rejected_uri)
