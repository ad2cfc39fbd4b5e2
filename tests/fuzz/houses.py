"""A warehouse after two nights: an object of every kind is spoiled, and what the warehouse says is read.

Nothing is true that another byte made: what is read is what was written, or it is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from support.nights import FIRST, Scan, config_of, drive_of_night, run

from fuzz.readers import Reader
from roadscan.errors import WarehouseError
from roadscan.inventory import query
from roadscan.nightly.lease import Lease
from roadscan.nightly.record import read_record
from roadscan.scan import ledger
from roadscan.settings import time_zone
from roadscan.warehouse import Warehouse

READ = ("runs", "frames", "observations", "assets", "asset_history")


def house_readers(root: Path) -> Iterator[Reader]:
    """Objects of a warehouse, and what is read where they lie."""
    for night in (1, 2):
        drive_of_night(root, night)
        config = config_of(root, "demo")
        run(config, Scan(classes=("Bus Stop", "Warning Sign")), one=night)
    folder, uri = root / "warehouse", config.warehouse

    def reader(name: str, path: Path, read: Callable[[], object]) -> Reader:
        return Reader(name, path, read, exact=True)

    house = Warehouse(uri)
    release = house.current()
    releases = sorted((folder / "releases").iterdir())
    yield reader("pointer", folder / "current.json", lambda: _tables(uri))
    yield reader("release", releases[-1], lambda: _tables(uri))
    yield reader("earlier release", releases[-2], lambda: list(map(repr, Warehouse(uri).history())))
    for table in READ:
        for log in sorted((folder / table / "_delta_log").iterdir()):
            yield reader(f"log of {table}, {log.stem[-1]}", log, lambda: _tables(uri))
        (file, *_) = house.files(release, table)
        yield reader(f"file of {table}", folder / file.path, lambda: _tables(uri))
        yield reader(f"file of {table}, asked", folder / file.path, lambda table=table: _asked(uri, table))  # type: ignore[misc]
    commit = min((folder / "staging").glob("*/000000.json"))
    yield reader("commit of a shard", commit, lambda: _commit(uri, commit))
    yield Reader("settings", folder / "settings.json", lambda: time_zone(house.store))
    night = folder / "nights" / f"{FIRST}.json"
    yield Reader("record of a night", night, lambda: read_record(house.store, FIRST))
    lease = Lease(house.store, "leases/nightly.json", length_s=60, skew_s=5)
    yield Reader("lease", folder / "leases" / "nightly.json", lease.holder)


def _tables(uri: str) -> dict[str, Any]:
    house = Warehouse(uri)
    release = house.current()
    return {table: house.read(release, table).to_pylist() for table in READ}


def _asked(uri: str, table: str) -> list[Any]:
    return query(uri, f"SELECT * FROM {table} ORDER BY ALL").to_pylist()


def _commit(uri: str, path: Path) -> ledger.Commit:
    found = ledger.commits(Warehouse(uri), path.parent.name).get(0)
    if found is None:
        raise WarehouseError("it is scanned again")
    return found
