"""Files to checked rows, kept by drive. Only here storage is read.

Files are read in batches, so a table may be larger than memory; one drive is held in memory at once, about 1 KiB a row
at the worst moment. The temporary folder (``TMPDIR``) takes about as much as the files do as Parquet. A file
of an object store is fetched whole, since only so is it verified: give 10 million rows as several files there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from roadscan.errors import StorageError, SurveyError
from roadscan.observations.check import check_rows, explain
from roadscan.observations.conform import RANGE_REL_SIGMA, ConformedDrive, conform_drive
from roadscan.observations.files import TableFile, local_file, table_files
from roadscan.observations.parse import combined
from roadscan.observations.schema import CHECKED
from roadscan.observations.spool import KeptRows, RejectedRows
from roadscan.scratch import Scratch
from roadscan.survey.drive import check_name
from roadscan.taxonomy import HIGHWAY, Geometry, Taxonomy

BATCH_ROWS = 1 << 18


@dataclass
class ReadSummary:
    """What was read.

    Attributes:
        drives: how many.
        frames, frames_quarantined: how many, and of how many no row can be used.
        rows, used: of observations.
        rejected: by reason, rows of both tables.
        classes: observations used, by class.
        notes: what a user should know.
    """

    drives: int = 0
    frames: int = 0
    frames_quarantined: int = 0
    rows: int = 0
    used: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    classes: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class CheckedObservations:
    """Tables that were read and found good.

    Attributes:
        uri: where the observations are from.
        summary: what was read.
        keys: the run key of each drive, by drive id.
        rejected: a Parquet file of `REJECTED`; None where nothing was.
        sources: the files read.
    """

    uri: str
    summary: ReadSummary
    keys: dict[str, str]
    rejected: bytes | None
    sources: tuple[str, ...]
    _kept: KeptRows

    def drive(self, drive_id: str) -> ConformedDrive:
        """One of the drives."""
        return conform_drive(drive_id, self._kept.rows(drive_id), self.sources)


@contextmanager
def read_observations(
    observations: str, frames: str | None = None, taxonomy: Taxonomy = HIGHWAY, batch_rows: int = BATCH_ROWS
) -> Iterator[CheckedObservations]:
    """Read and check tables of observations and of frames. Only here storage is read.

    Args:
        observations: a file (.parquet, .csv, .csv.gz) or a folder of such files; on a disk or ``s3://``.
        frames: likewise, with a row a frame: then frames without detections are known.
        taxonomy: what is known of the classes, for notes; others are kept as they are.
        batch_rows: how many rows of Parquet are looked at together.

    Yields:
        What was read, for the length of the ``with`` block.

    Raises:
        SurveyError: as the module says.
        StorageError: a file cannot be read, or the temporary folder is full.
    """
    with Scratch("observations") as scratch:
        try:
            found = _read(observations, frames, taxonomy, batch_rows, scratch.path)
        except OSError as error:
            raise StorageError(
                f"{scratch.path}: {error.strerror or error}; set TMPDIR to a disk with more room"
            ) from None
        yield found


def _read(
    observations: str, frames: str | None, taxonomy: Taxonomy, batch_rows: int, folder: Path
) -> CheckedObservations:
    sources, summary, notes = list[str](), ReadSummary(), Counter[str]()
    kept, rejected = KeptRows(folder), RejectedRows(folder / "rejected.parquet", sources)
    for uri, listed in ((frames, True), (observations, False)):
        for store, key in table_files(uri, "--frames" if listed else "--observations") if uri else ():
            sources.append(store.uri_of(key))
            with local_file(store, key, folder) as path:
                file = TableFile(path, sources[-1], listed, batch_rows)
                rows = _keep(file, len(sources) - 1, kept, rejected, notes)
            summary.rows += 0 if listed else rows
            if file.unused:
                summary.notes += (f"{sources[-1]}: columns that are not used: {', '.join(file.unused)}",)
    if not summary.rows:
        raise SurveyError(f"{observations}: no rows; expected one a detection")
    keys = _conform_all(kept, rejected, sources, summary, notes, taxonomy)
    data = rejected.close()
    summary.rejected = dict(rejected.counts.most_common())
    if not summary.used:
        why = "\n".join(f"  {n} {reason}: {explain(reason)}" for reason, n in summary.rejected.items())
        raise SurveyError(f"{observations}: none of {summary.rows} rows can be used; correct the table\n{why}")
    summary.notes += (*_notes(notes), *_of_classes(summary.classes, taxonomy))
    return CheckedObservations(observations, summary, keys, data, tuple(sources), kept)


def _keep(read: TableFile, source: int, kept: KeptRows, rejected: RejectedRows, notes: Counter[str]) -> int:
    """Check a file's rows and keep them; how many rows it has."""
    good = told = 0
    for batch in read.batches():
        rows, naive = check_rows(batch, listed=read.listed)
        notes["naive"] += naive
        # Broken lines are counted as rows, and those before this batch's rows are known by now.
        ahead = np.array([line for line, _ in read.broken], np.int64)
        index = good + np.arange(len(rows))
        number = index + 1 + np.searchsorted(ahead - np.arange(len(ahead)) - 1, index, side="right")
        for name, values in (("source", np.full(len(rows), source, np.int32)), ("row", number)):
            rows = rows.set_column(CHECKED.get_field_index(name), CHECKED.field(name), pa.array(values))
        bare = pc.and_(pc.is_null(rows["range_sigma_m"]), pc.is_valid(rows["range_m"]))
        notes["bare"] += pc.sum(bare).as_py() or 0
        kept.add(rows)
        rejected.add(rows, batch)
        told, lines = len(read.broken), read.broken[told:]
        rejected.add_lines(lines, source)
        good += len(rows)
    rejected.add_lines(read.broken[told:], source)
    return good + len(read.broken)


def _conform_all(
    kept: KeptRows,
    rejected: RejectedRows,
    sources: list[str],
    summary: ReadSummary,
    notes: Counter[str],
    taxonomy: Taxonomy,
) -> dict[str, str]:
    """Check every drive as a whole and sum up; the run keys."""
    keys, classes = {}, Counter[str]()
    for drive_id in kept.drive_ids:
        check_name("drive_id", drive_id)
        drive = conform_drive(drive_id, kept.rows(drive_id), sources)
        again = drive.duplicates
        reason = pa.array(["duplicate"] * len(again), pa.string())
        rejected.add(again.set_column(CHECKED.get_field_index("reason"), "reason", reason))
        keys[drive_id] = drive.run_key
        summary.frames += drive.frames.num_rows
        summary.frames_quarantined += pc.sum(pc.equal(drive.frames["status"], "quarantined")).as_py() or 0
        summary.used += drive.observations.num_rows
        for entry in pc.value_counts(combined(drive.observations["class"])).to_pylist():
            classes[entry["values"]] += entry["counts"]
        blind = pc.and_(pc.is_null(drive.frames["fov_deg"]), pc.equal(drive.frames["status"], "ok"))
        notes["blind"] += pc.sum(blind).as_py() or 0
        for name in (c.name for c in taxonomy.classes if c.geometry is Geometry.LINE):
            of_line = drive.observations.filter(pc.equal(drive.observations["class"], name))
            notes[f"endless {name}"] += pc.sum(pc.is_null(of_line["far_range_m"])).as_py() or 0
    summary.drives, summary.classes = len(keys), dict(classes.most_common())
    return keys


def _notes(notes: Counter[str]) -> Iterator[str]:
    if notes["naive"]:
        yield f"{notes['naive']} times have no zone and were taken as UTC"
    if notes["bare"]:
        yield f"{notes['bare']} ranges have no range_sigma_m and were given {RANGE_REL_SIGMA:.0%} of the range"
    if notes["blind"]:
        yield f"fov_deg is not known of {notes['blind']} frames: they never show that an asset is missing"
    for note, n in notes.items():
        if n and note.startswith("endless "):
            yield f"{n} rows of {note.removeprefix('endless ')} lack near_… or far_… columns: lines are placed by them"


def _of_classes(classes: dict[str, int], taxonomy: Taxonomy) -> list[str]:
    ignored = [name for name in classes if taxonomy.get(name).ignored]
    others = [name for name in classes if name not in taxonomy.names and name not in ignored]
    told = {"classes that are not known are kept, as points": others, "classes that the register ignores": ignored}
    return [f"{what}: {', '.join(names)}" for what, names in told.items() if names]
