"""Another detector's observations: tables that any program wrote become drives, as a scan would have committed them.

files ─► check ─────────────► spool ─────────► conform ───────────► commit
         a batch of raw rows  checked rows by  one drive's rows to  drives to one release
         to typed columns,    drive, in a      its FRAMES and       of a warehouse
         or a reason a row    folder           OBSERVATIONS
         └──────────── read.read_observations ───────────┘
         └──────────────────────── run.add_observations ──────────────────────┘

What stops everything, before anything is written: a missing column, a column of another type, two poses of one frame,
one observation id twice in a drive, no usable row. What does not: a row with a wrong value. It is counted by its reason
and kept in ``logs/rejected-<digest>.parquet``, and a frame that has only such rows is quarantined.
"""

from roadscan.observations.check import explain
from roadscan.observations.commit import commit_observations, new_drives, rejected_key
from roadscan.observations.conform import ConformedDrive
from roadscan.observations.read import CheckedObservations, ReadSummary, read_observations
from roadscan.observations.run import ObservationsSummary, add_observations

__all__ = [
    "CheckedObservations",
    "ConformedDrive",
    "ObservationsSummary",
    "ReadSummary",
    "add_observations",
    "commit_observations",
    "explain",
    "new_drives",
    "read_observations",
    "rejected_key",
]
