"""The releases of a warehouse that a time slider has: those whose register differs from the one before."""

from __future__ import annotations

import hashlib
from itertools import islice
from typing import Any

from roadscan.errors import NotFound, WarehouseError
from roadscan.view.kept import Kept
from roadscan.warehouse import Release, Warehouse

LOOKED_AT = 120  # newest releases, and the last one of each month before
REGISTER = ("assets", "asset_changes", "reviews")


class Releases:
    """A warehouse's releases by the keys that addresses have.

    Args:
        warehouse: whose.
    """

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse
        self._known = Kept[int, Release](LOOKED_AT * 4)

    def current(self) -> Release:
        """The newest release.

        Raises:
            WarehouseError: nothing was ever published there.
        """
        release = self._warehouse.published()
        return self._known.get(release.number, lambda: release)

    def newest(self) -> dict[str, Any]:
        """The newest release, as a page asks for it again and again."""
        release = self.current()
        return {"release": release.number, "key": self.key(release), "created_at": release.created_at}

    def key(self, release: Release) -> str:
        """What addresses of a release begin with: its number, and what no release of another warehouse has."""
        told = hashlib.sha256(f"{self._warehouse.store.uri} {release.created_at}".encode()).hexdigest()
        return f"{release.number}-{told[:10]}"

    def of_key(self, key: str) -> Release:
        """The release of a key.

        Raises:
            NotFound: this warehouse has no such release.
            WarehouseError: it was let go of.
        """
        number = key.partition("-")[0]
        release = self._numbered(int(number)) if number.isdecimal() and len(number) < 10 else None
        if release is None or self.key(release) != key:
            raise NotFound(f"release: got {key!r}, which this warehouse does not have; load the page again")
        return release

    def listed(self) -> list[dict[str, Any]]:
        """Those whose register differs from the one before, the oldest first."""
        current = self.current()
        entries = [*islice(self._warehouse.entries(current), LOOKED_AT)]
        entries += [one for one in reversed(current.months) if one.number < (entries[-1].number if entries else 0)]
        found, releases = [], [current]
        for entry in entries:
            try:
                releases.append(self._known.get(entry.number, lambda one=entry: self._warehouse.at(one)))  # type: ignore[misc]
            except WarehouseError:  # let go of
                continue
        before = None
        for release in reversed(releases):
            versions = [release.version(table) for table in REGISTER]
            if release.has("assets") and versions != before:
                before = versions
                found.append(
                    {
                        "release": release.number,
                        "key": self.key(release),
                        "created_at": release.created_at,
                        "note": release.note,
                        "assets": release.rows("assets"),
                    }
                )
        return found

    def _numbered(self, number: int) -> Release | None:
        current = self.current()
        if current.number == number:
            return current

        def found() -> Release:
            for entry in self._warehouse.entries(current):
                if entry.number == number:
                    return self._warehouse.at(entry)
            raise NotFound(f"release: got {number}; the newest is {current.number}")

        return self._known.get(number, found)
