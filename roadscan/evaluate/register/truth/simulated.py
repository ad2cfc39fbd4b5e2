"""A simulation's truth folder: its assets, the nights on which they stand, and which of them its drives showed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from roadscan.errors import Malformed, NotFound, WarehouseError
from roadscan.evaluate.register.truth.known import Known
from roadscan.parsing import read_parquet
from roadscan.storage import Store, open_store

MIN_BOXES = 3  # of one asset, in all drives, for it to count


@dataclass(frozen=True)
class SimulatedTruth:
    """The truth folder of a simulation.

    Attributes:
        uri: the folder.
        assets: ``assets.parquet``.
        changes: ``changes.parquet``.
        nights: by drive id, from 1.
        store: the folder, for the boxes.
    """

    uri: str
    assets: pa.Table
    changes: pa.Table
    nights: dict[str, int]
    store: Store

    def span(self, drive_ids: Sequence[str]) -> tuple[int, int]:
        """First and last night of some drives.

        Raises:
            WarehouseError: a drive is none of the simulation's, or there is none.
        """
        unknown = sorted(set(drive_ids) - set(self.nights))
        if unknown or not drive_ids:
            got = f"has no drive {unknown[0]}" if unknown else "the warehouse has no drive"
            raise WarehouseError(f"{self.uri}: {got}; expected the truth of the warehouse's own drives")
        nights = [self.nights[name] for name in drive_ids]
        return min(nights), max(nights)

    def seen(self, drive_ids: Iterable[str]) -> set[str]:
        """Ids of the assets that these drives showed."""
        return seen_assets(_read(self.store, f"boxes/{drive_id}.parquet") for drive_id in drive_ids)

    def standing(self, drive_ids: Sequence[str]) -> pa.Table:
        """The assets that stood on the last night of these drives."""
        last = self.span(drive_ids)[1]
        return self.assets.filter((pc.field("first_night") <= last) & (pc.field("last_night") >= last))

    def after(self, drive_ids: Sequence[str]) -> Known:
        """What is known after these drives."""
        first, last = self.span(drive_ids)
        went = (pc.field("first_night") < last) & (pc.field("last_night") >= first) & (pc.field("last_night") < last)
        return Known(self.standing(drive_ids), self.assets.filter(went), self.seen(drive_ids))


def read_simulated(uri: str) -> SimulatedTruth:
    """The truth folder of a simulation.

    Raises:
        WarehouseError: there is none.
    """
    store = open_store(uri)
    try:
        assets, changes = _read(store, "assets.parquet"), _read(store, "changes.parquet")
    except NotFound as error:
        raise WarehouseError(f"{error}; expected the truth folder of a simulation") from None
    drives = sorted(key.split("/")[1].removesuffix(".parquet") for key in store.keys("frames/"))
    return SimulatedTruth(uri, assets, changes, {name: night for night, name in enumerate(drives, start=1)}, store)


def seen_assets(boxes: Iterable[pa.Table]) -> set[str]:
    """Ids of the known assets with at least `MIN_BOXES` boxes in the drives' truth."""
    counts: Counter[str] = Counter()
    for table in boxes:
        counts.update(table["asset_id"].to_pylist())
    return {asset_id for asset_id, number in counts.items() if number >= MIN_BOXES}


def _read(store: Store, key: str) -> pa.Table:
    try:
        return read_parquet(store.read(key))
    except Malformed as error:
        raise WarehouseError(f"{store.uri_of(key)}: {error}; simulate again") from None
