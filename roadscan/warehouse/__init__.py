"""The warehouse: Delta Lake tables, releases that name a version of each, and one pointer that moves atomically.

    WAREHOUSE/
      current.json                              the pointer: which release is the current one
      releases/00000007-1c0f….json              a release: the version of each table
      observations/_delta_log/0000….json        the log of a table: which files came and went with each version
      observations/survey_date=2026-11-28/….parquet
      frames/… runs/… assets/… asset_changes/…
      staging/<run key>/<shard>.json            what a scan has finished (`roadscan.scan.ledger`), beside its rows
      staging/<run key>/<shard>.scan            that a process scans it, or died of it (`roadscan.scan.attempts`)
      latest/assets.parquet                     the register for programs that open one file
      models/<sha256>.zip                       the model files that made the rows
      logs/scan-<time>.json                     what each scan did

A file that no release's version names does not exist for a reader, so a run may die at any point: readers see the
previous release or the next one, never a mixture. Nobody lists folders. Older releases stay readable: that is time
travel. The name of a data file ends in its content's digest, and is never given again. Each table is also one for
engines that know nothing of roadscan: the newest version of its log is the current release's.
"""

from roadscan.warehouse.files import DataFile
from roadscan.warehouse.release import Change, Release
from roadscan.warehouse.warehouse import Warehouse

__all__ = ["Change", "DataFile", "Release", "Warehouse"]
