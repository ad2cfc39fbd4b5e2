"""A register as files that any web server shows, or that lie beside a report: the page without what needs a server."""

from __future__ import annotations

import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from roadscan.errors import Malformed, RoadscanError, StorageError
from roadscan.progress import OnProgress, Progress, silent
from roadscan.storage import Store, open_store
from roadscan.view import lists, roads
from roadscan.view.details import Details, read_details
from roadscan.view.site import STATIC, Site

MOST = 50_000  # assets: a browser holds them all, and each has files of its own
ASKED = 200  # assets that are read at a time
THREADS = 8  # images that are read at a time, of which most is waiting
DRIVEN_MOST = 2_000_000  # frames whose ways are drawn


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        out: the folder.
        assets, photographs: how many.
        unread: photographs that could not be read, and are left out.
        why: the first of them, and its reason.
    """

    out: str
    assets: int
    photographs: int
    unread: int
    why: str | None

    @property
    def shortfall(self) -> str | None:
        """That photographs are left out."""
        return f"{self.unread} photographs could not be read, and are left out: {self.why}" if self.unread else None


def export_site(site: Site, out: str, on_progress: OnProgress = silent) -> Exported:
    """Write the newest release of a site as static files.

    Args:
        site: whose.
        out: the folder, also s3://; files of an earlier export are replaced.
        on_progress: called for each asset.

    Raises:
        RoadscanError: the register is too large for files.
        StorageError: the folder cannot be written.
    """
    release = site.releases.current()
    register = site.register(release)
    if len(register) > MOST:
        raise RoadscanError(
            f"export: the register has {len(register):,} assets; expected up to {MOST:,}, as a browser holds them all; "
            "serve it with roadscan view, or take the CSV or GeoJSON of its page"
        )
    store = open_store(out)
    for path in sorted(STATIC.rglob("*")):
        if path.is_file():
            name = path.relative_to(STATIC).as_posix()
            store.write("index.html" if name == "index.html" else f"static/{name}", path.read_bytes())
    rows = np.arange(len(register))
    opened = site.opened() | {"exported": True, "reference": False}
    opened["releases"] = [one for one in opened["releases"] if one["release"] == release.number]
    _put(store, "data/view.json", opened)
    _put(store, "data/changes.json", site.changes(release, None, None))
    _put(store, "data/survey.json", roads.survey_age(site.warehouse, release))
    _put(store, "data/drives.geojson", roads.drives_geojson(site.warehouse, release, DRIVEN_MOST))
    _text(store, "data/assets.geojson", lists.geojson(register, rows, drawn=True))
    _text(store, "data/assets.csv", lists.csv_lines(register, rows))
    with ThreadPoolExecutor(THREADS) as pool:
        ids = register.asset_id.to_pylist()
        found: list[tuple[int, list[str]]] = []
        for start in range(0, len(ids), ASKED):
            asked = read_details(site.warehouse, release, ids[start : start + ASKED])
            numbers = range(start, start + len(asked))
            for one in pool.map(partial(_asset, site, store), numbers, asked):
                found.append(one)
                on_progress(Progress("view", len(found), len(ids), "assets"))
    unread = [why for _, failed in found for why in failed]
    return Exported(out, len(ids), sum(good for good, _ in found), len(unread), next(iter(unread), None))


def _asset(site: Site, store: Store, number: int, details: Details) -> tuple[int, list[str]]:
    """Write one asset: how many photographs, and why some are left out."""
    unread, good = [], 0
    for n, photograph in enumerate(details.photographs):
        try:
            picture = site.photographs.picture(photograph, "crop")
        except (Malformed, StorageError) as error:
            unread.append(f"{photograph.uri}: {error}")
            continue
        store.write(f"data/photo/{number}-{n}.jpg", picture)
        good += 1
    _put(store, f"data/asset/{number}.json", details.to_dict())
    return good, unread


def _put(store: Store, name: str, tree: Any) -> None:
    store.write(name, json.dumps(tree, allow_nan=False).encode())


def _text(store: Store, name: str, parts: Iterable[str]) -> None:
    store.write(name, "".join(parts).encode())
