"""The register of one release in memory, in the order of the map: what tiles, lists and the review queue are cut from.

Legend: N assets, L those that are lines, V all vertices of lines. Times are seconds since 1970, 0 where unknown. Four
million assets take about 0.5 GB.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from roadscan.arrays import Floats32, Ints
from roadscan.errors import WarehouseError
from roadscan.taxonomy import HIGHWAY
from roadscan.view.mercator import Keys, Places, project, z_order
from roadscan.warehouse import Release, Warehouse
from roadscan.warehouse.files import read_parts, schema_of

STATES = ("confirmed", "candidate", "suspect", "missing", "rejected")
SIDES = ("", "left", "right", "overhead")
NO_KM = np.iinfo(np.int32).min
COLUMNS = (
    "asset_id", "class", "geometry", "lon", "lat", "pos_sigma_m", "cov_ee_m2", "cov_en_m2", "cov_nn_m2", "length_m",
    "side", "state", "score", "n_nights", "first_seen", "last_seen", "existence", "route_code", "km_m", "km_end_m",
)  # fmt: skip

Codes: TypeAlias = npt.NDArray[np.uint16]
Small: TypeAlias = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Lines:
    """Lines on the map.

    Attributes:
        row: (L,) of the register each is.
        x, y: (V,) vertices, units of the map's square.
        start: (L + 1,) where each line's vertices begin.
        box: (L, 4) west, north, east, south in units of the map's square.
    """

    row: Ints
    x: Places
    y: Places
    start: Ints
    box: Places

    def vertices(self, line: int) -> npt.NDArray[np.int64]:
        """(n, 2) x and y of a line."""
        part = slice(self.start[line], self.start[line + 1])
        return np.stack([self.x[part], self.y[part]], axis=1).astype(np.int64)


@dataclass(frozen=True)
class MapRegister:
    """The assets of a release by Z-order of their places, a column an array.

    Attributes:
        number: of the release.
        key, x, y: (N,) place; see `mercator`.
        asset_id: (N,) strings.
        classes: names of the classes; those that roadscan knows come first, in its order.
        kind: (N,) index of `classes`.
        state: (N,) index of `STATES`.
        routes: codes, in their order, "" first.
        route: (N,) index of `routes`.
        side: (N,) index of `SIDES`.
        km_m, km_end_m: (N,) chainage; `NO_KM` where there is none.
        sigma_m, score, existence: (N,) float32; existence is NaN where nothing is known.
        covariance_m2: (N, 3) east, east with north, north.
        nights: (N,) on which it was detected.
        first_seen, last_seen: (N,) seconds.
        length_m: (N,) float32, NaN of points.
        lines: those assets that are lines.
    """

    number: int
    key: Keys
    x: Places
    y: Places
    asset_id: pa.Array
    classes: tuple[str, ...]
    kind: Codes
    state: npt.NDArray[np.uint8]
    routes: tuple[str, ...]
    route: Codes
    side: npt.NDArray[np.uint8]
    km_m: Small
    km_end_m: Small
    sigma_m: Floats32
    score: Floats32
    existence: Floats32
    covariance_m2: Floats32
    nights: Codes
    first_seen: Ints
    last_seen: Ints
    length_m: Floats32
    lines: Lines

    def __len__(self) -> int:
        return len(self.key)

    def row_of(self, asset_id: str) -> int | None:
        """The row of an asset; None where the register has none of that id."""
        row = pc.index(self.asset_id, pa.scalar(asset_id, self.asset_id.type)).as_py()
        return None if row < 0 else int(row)

    def bounds(self) -> tuple[int, int, int, int] | None:
        """West, north, east and south of all places, in units of the map's square; None without an asset."""
        if not len(self):
            return None
        return int(self.x.min()), int(self.y.min()), int(self.x.max()), int(self.y.max())


def load_register(warehouse: Warehouse, release: Release) -> MapRegister:
    """The register of a release, a row group at a time.

    Raises:
        WarehouseError: the release has no register, or was let go of.
        StorageError: its files cannot be read.
    """
    if not release.has("assets"):
        raise WarehouseError(
            f"{warehouse.store.uri}: no register there; run roadscan inventory --set warehouse={warehouse.store.uri}"
        )
    reader = _Reader()
    for part in _parts(warehouse, release):
        reader.add(part)
    return reader.register(release.number)


def _parts(warehouse: Warehouse, release: Release) -> Iterator[pa.Table]:
    schema = schema_of("assets", COLUMNS)
    yield schema.empty_table()
    for file in warehouse.files(release, "assets"):
        yield from read_parts(warehouse.store, file, schema)


class _Reader:
    """Row groups to the columns of a `MapRegister`."""

    def __init__(self) -> None:
        self._parts: dict[str, list[npt.NDArray[Any]]] = {}
        self._ids: list[pa.Array] = []
        self._classes, self._routes = _Names(), _Names("")
        self._rows = 0

    def add(self, table: pa.Table) -> None:
        """Take some rows."""
        lon, lat = (table[name].to_numpy() for name in ("lon", "lat"))
        x, y = project(lon, lat)
        line = np.flatnonzero(table["length_m"].is_valid().to_numpy())
        columns = {
            "x": x,
            "y": y,
            "kind": self._classes.codes(table["class"]),
            "route": self._routes.codes(table["route_code"].fill_null("")),
            "state": _among(STATES, table["state"]),
            "side": _among(SIDES, table["side"].fill_null("")),
            "km_m": _filled(table["km_m"], NO_KM, np.int32),
            "km_end_m": _filled(pc.coalesce(table["km_end_m"], table["km_m"]), NO_KM, np.int32),
            "sigma_m": table["pos_sigma_m"].to_numpy().astype(np.float32),
            "score": table["score"].to_numpy().astype(np.float32),
            "existence": _filled(table["existence"], np.nan, np.float32),
            "covariance_m2": np.stack([table[f"cov_{two}_m2"].to_numpy() for two in ("ee", "en", "nn")], 1).astype(
                "f4"
            ),
            "nights": np.clip(table["n_nights"].to_numpy(), 0, 65_535).astype(np.uint16),
            "first_seen": _seconds(table["first_seen"]),
            "last_seen": _seconds(table["last_seen"]),
            "length_m": _filled(table["length_m"], np.nan, np.float32),
            **self._lines(table["geometry"].take(pa.array(line)), line),
        }
        for name, values in columns.items():
            self._parts.setdefault(name, []).append(values)
        self._ids += table["asset_id"].chunks
        self._rows += table.num_rows

    def _lines(self, geometry: pa.ChunkedArray, row: Ints) -> dict[str, npt.NDArray[Any]]:
        shapes = shapely.from_wkb(geometry.to_numpy())
        lonlat, of = shapely.get_coordinates(shapes, return_index=True)
        x, y = project(lonlat[:, 0], lonlat[:, 1])
        return {"line_row": row + self._rows, "line_x": x, "line_y": y, "line_n": np.bincount(of, minlength=len(row))}

    def register(self, number: int) -> MapRegister:
        """What was taken, sorted."""
        made = {name: np.concatenate(self._parts.pop(name)) for name in list(self._parts)}
        key = z_order(made["x"], made["y"])
        order = np.argsort(key, kind="stable")
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order))
        row, x, y, count = (made.pop(f"line_{name}") for name in ("row", "x", "y", "n"))
        start = np.concatenate([[0], np.cumsum(count)]).astype(np.int64)
        classes, kinds = self._classes.ordered(HIGHWAY.names)
        routes, codes = self._routes.ordered(())
        for name in list(made):
            made[name] = made[name][order]
        made["kind"], made["route"] = kinds[made["kind"]], codes[made["route"]]
        ids = pa.chunked_array(self._ids, pa.string()).combine_chunks()
        return MapRegister(
            number=number,
            key=key[order],
            asset_id=ids.take(pa.array(order)),
            classes=classes,
            routes=routes,
            lines=Lines(place[row], x, y, start, _boxes(x, y, start)),
            **made,
        )


class _Names:
    """Texts to numbers, in the order in which they come."""

    def __init__(self, *known: str) -> None:
        self._code = {name: n for n, name in enumerate(known)}

    def codes(self, column: pa.ChunkedArray) -> Codes:
        """The number of each row's text."""
        told = pc.dictionary_encode(column).combine_chunks()
        told = told if isinstance(told, pa.DictionaryArray) else pa.DictionaryArray.from_arrays([], [])
        codes = [self._code.setdefault(str(name), len(self._code)) for name in told.dictionary.to_pylist()]
        return np.asarray(codes, np.uint16)[told.indices.to_numpy()] if len(told) else np.zeros(0, np.uint16)

    def ordered(self, first: Sequence[str]) -> tuple[tuple[str, ...], Codes]:
        """The texts in their order, some before others, and the new number of each old one."""
        place = {name: n for n, name in enumerate(first)}
        names = sorted(self._code, key=lambda name: (place.get(name, len(place)), name))
        now = {name: n for n, name in enumerate(names)}
        return tuple(names), np.array([now[name] for name in self._code], np.uint16)


def _boxes(x: Places, y: Places, start: Ints) -> Places:
    if len(start) == 1:
        return np.zeros((0, 4), np.uint32)
    first = start[:-1]
    low, high = ([how.reduceat(v, first) for v in (x, y)] for how in (np.minimum, np.maximum))
    return np.stack([*low, *high], axis=1)


def _among(names: Sequence[str], column: pa.ChunkedArray) -> npt.NDArray[np.uint8]:
    """The place of each text among some; one that is not among them counts as the first."""
    found: pa.ChunkedArray = pc.index_in(column, pa.array(names))
    return np.asarray(found.fill_null(0).to_numpy(), np.uint8)


def _filled(column: pa.ChunkedArray, value: float, dtype: Any) -> npt.NDArray[Any]:
    return np.asarray(column.fill_null(value).to_numpy(), dtype)


def _seconds(column: pa.ChunkedArray) -> Ints:
    return np.asarray(column.cast(pa.int64()).fill_null(0).to_numpy(), np.int64) // 1_000_000
