"""What a warehouse holds, and what readers see of it meanwhile."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from roadscan.schemas import TABLES
from roadscan.warehouse import Change, Release, Warehouse
from roadscan.warehouse.upkeep import vacuum
from roadscan.warehouse.warehouse import STAGING

NEVER_DECIDED = ("asset_id", "first_seen", "last_seen")  # of an asset: what two builds of one survey may differ in
PLACES = 6  # decimals of a degree, a tenth of a metre


@dataclass(frozen=True)
class Held:
    """What the current release of a warehouse says.

    Attributes:
        frames: (drive, frame, status), how often each.
        observations: ids, how often each.
        assets: (class, state, longitude, latitude), how often each.
    """

    frames: Counter[tuple[str, str, str]]
    observations: Counter[str]
    assets: Counter[tuple[str, str, float, float]]

    @property
    def names(self) -> Counter[tuple[str, str]]:
        """(drive, frame), how often each."""
        return Counter({(drive, frame): n for (drive, frame, _), n in self.frames.items()})


def held(uri: str) -> Held:
    """What a warehouse holds now."""
    warehouse = Warehouse(uri)
    release = warehouse.current()
    frames = warehouse.read(release, "frames", columns=["drive_id", "frame_id", "status"]).to_pylist()
    observations = warehouse.read(release, "observations", columns=["observation_id"])["observation_id"].to_pylist()
    assets = warehouse.read(release, "assets").to_pylist() if release.has("assets") else []
    names: Counter[tuple[str, str, str]] = Counter()
    for row in frames:
        names[row["drive_id"], row["frame_id"], row["status"]] += 1
    return Held(
        names,
        Counter(observations),
        Counter((row["class"], row["state"], round(row["lon"], PLACES), round(row["lat"], PLACES)) for row in assets),
    )


def orphans(uri: str) -> int:
    """Objects that are in nobody's way and of no use: what stays of them after a vacuum that spares nothing.

    First comes another release of the same rows: what a writer that lost has committed after the newest one looks like
    a run under way until then.
    """
    warehouse = Warehouse(uri)
    warehouse.publish(lambda release: _written_again(warehouse, release))
    vacuum(warehouse, days=0, staging_days=0, now=datetime.now(UTC) + timedelta(days=40))
    release = warehouse.current()
    named = {file.path for table in TABLES if release.has(table) for file in warehouse.files(release, table)}
    keys = set(warehouse.store.keys())
    data = {key for key in keys if key.endswith(".parquet") and key.partition("/")[0] in TABLES}
    return len(data - named) + sum(key.startswith(f"{STAGING}/") for key in keys)


def _written_again(warehouse: Warehouse, release: Release) -> Change:
    """The rows of every table in another file, in place of what they are in."""
    tables = [table for table in TABLES if release.has(table)]
    rows = {table: warehouse.read(release, table) for table in tables}
    add = [  # of other bytes: what is equal is not committed
        warehouse.write(table, one.replace_schema_metadata({**(one.schema.metadata or {}), b"written": b"again"}))
        for table, one in rows.items()
    ]
    remove = [file for table in tables for file in warehouse.files(release, table)]
    return Change("written again", tuple(add), tuple(remove))


@dataclass
class Reading:
    """What readers saw.

    Attributes:
        reads: whole looks at a release.
        errors: what went wrong, or did not fit together.
    """

    reads: int = 0
    errors: list[str] = field(default_factory=list)


@contextmanager
def readers(uri: str, full: dict[str, int], every_s: float = 1.0) -> Iterator[Reading]:
    """Look at each release for the length of a block: its tables are of the same drives, and of whole ones.

    Args:
        uri: the warehouse.
        full: frames of each drive.
        every_s: between two looks.
    """
    reading, done = Reading(), threading.Event()

    def look() -> None:
        warehouse = Warehouse(uri)
        release = warehouse.current()
        frames = Counter(warehouse.read(release, "frames", columns=["drive_id"])["drive_id"].to_pylist())
        runs = warehouse.read(release, "runs", columns=["drive_id"])["drive_id"].to_pylist()
        seen = warehouse.read(release, "observations", columns=["drive_id"])["drive_id"].unique().to_pylist()
        if sorted(runs) != sorted(frames) or not set(seen) <= set(runs):
            reading.errors.append(f"release {release.number}: runs of {runs}, frames of {sorted(frames)}, seen {seen}")
        if short := {drive: n for drive, n in frames.items() if n != full[drive]}:
            reading.errors.append(f"release {release.number}: {short} frames, expected {full}")
        reading.reads += 1

    def again_and_again() -> None:
        while not done.wait(every_s):
            try:
                look()
            except Exception as error:  # noqa: BLE001 - each is what this looks for
                reading.errors.append(f"{type(error).__name__}: {error}")

    thread = threading.Thread(target=again_and_again, daemon=True)
    thread.start()
    try:
        yield reading
    finally:
        done.set()
        thread.join()
