"""What is known to stand beside the road: a simulation's truth folder, or a file from anyone.

    open_truth ─┬─ SimulatedTruth   a folder: assets, their nights, and the boxes that show which were seen
                └─ FileTruth        GeoJSON, (Geo)Parquet or CSV: one asset a row; columns as in `KNOWN`

A file needs a class and a place for each asset: a Point or LineString in longitude and latitude on WGS 84, or, in CSV
and plain Parquet, the columns `lon` and `lat`. It may have `asset_id`, `drive_id` and `state` (``standing``, or
``removed`` where an asset stood in an earlier drive). One wrong row refuses the file: truth with holes would be scored
as if the register were wrong.

Past 400 lines: what may be wrong in a file is one list, and each message says the field, the row and what to do.

Sources: RFC 7946 (GeoJSON), https://geoparquet.org/releases/v1.1.0/.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import shapely
from scipy.spatial import cKDTree

from roadscan.errors import DatasetError, NotFound, WarehouseError
from roadscan.evaluate.assets import seen_assets
from roadscan.storage import Store, arrow_file, open_file, open_store
from roadscan.survey.geodesy import Floats, LocalFrame
from roadscan.taxonomy import HIGHWAY, Geometry

#: A known asset of a file, conformed; the simulator's table has all but `drive_id` and `state`.
KNOWN = pa.schema(
    [
        ("asset_id", pa.string()),
        ("class", pa.string()),
        ("geometry", pa.string()),  # point | line | overhead
        ("lon", pa.float64()),  # of a line its middle
        ("lat", pa.float64()),
        ("lons", pa.list_(pa.float64())),  # vertices of a line
        ("lats", pa.list_(pa.float64())),
        ("drive_id", pa.string()),
        ("state", pa.string()),  # standing | removed
    ]
)
STATES = ("standing", "removed")
OPTIONAL = ("asset_id", "drive_id", "state")
GEOJSON, PARQUET, CSV = (".geojson", ".json"), (".parquet", ".geoparquet"), (".csv",)
WGS84_CODES = ("OGC:CRS84", "EPSG:4326", "CRS84", "4326")
MAX_LAT = 89.0  # a latitude beyond it is none of a road
FAR_M = 10_000.0  # a truth that comes nowhere nearer to the register is of another place
SURVEYED_M = 30.0  # a known asset counts for recall where a camera came this near; wider than half of any carriageway

Shapes: TypeAlias = npt.NDArray[np.object_]
Rows: TypeAlias = tuple[dict[str, list[Any]], Shapes]  # properties by name, and shapes, None where there is none


@dataclass(frozen=True)
class Known:
    """What is known of the road after some drives.

    Attributes:
        standing: rows of `KNOWN` (or the simulator's) that stood at the last drive.
        removed: those that stood during the drives and not at the last; None where nobody says.
        seen: ids that count for recall; None for all.
    """

    standing: pa.Table
    removed: pa.Table | None
    seen: set[str] | None


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


@dataclass(frozen=True)
class FileTruth:
    """A file of known assets, the same after any drive.

    Attributes:
        uri: the file.
        assets: rows of `KNOWN`.
        has_states: the file says which were removed.
        class_field: where it has the class.
    """

    uri: str
    assets: pa.Table
    has_states: bool
    class_field: str

    def after(self, cameras: Floats | None = None) -> Known:
        """What is known where cameras have been.

        Args:
            cameras: (n, 2) longitudes and latitudes; None if known assets count wherever they are.
        """
        removed = self.assets.filter(pc.field("state") == "removed") if self.has_states else None
        seen = None
        if cameras is not None:
            near = nearest_m(_lonlat(self.assets), cameras) <= SURVEYED_M
            seen = set(self.assets["asset_id"].filter(pa.array(near)).to_pylist())
        return Known(self.assets.filter(pc.field("state") == "standing"), removed, seen)

    def check(self, register: pa.Table) -> None:
        """Refuse a truth that is of no use for this register.

        Args:
            register: rows of `schemas.ASSETS`.

        Raises:
            DatasetError: a class that no register has, a line that is a point there, or another place.
        """
        if register.num_rows:
            self._check_classes(register)
            self._check_place(register)

    def _check_classes(self, register: pa.Table) -> None:
        ours, theirs = (set(table["class"].unique().to_pylist()) for table in (register, self.assets))
        unknown = sorted(theirs - ours - set(HIGHWAY.names))
        if unknown:
            known = sorted(ours | set(HIGHWAY.names))
            near = get_close_matches(unknown[0], known, n=1)
            raise DatasetError(
                f"{self.uri}: {self.class_field}: got {unknown}; expected classes of the register, {known}: "
                + (f"rename it to {near[0]!r}" if near else "rename them, or leave these rows out")
            )
        lines = set(register.filter(pc.is_valid(register["length_m"]))["class"].unique().to_pylist())
        for name in sorted(theirs & (ours | set(HIGHWAY.names))):
            kinds = self.assets.filter(pc.field("class") == name)["geometry"].unique().to_pylist()
            is_line = name in lines if name in ours else HIGHWAY.get(name).geometry is Geometry.LINE
            wrong = "line" if not is_line else "point"
            if wrong in kinds:
                got, expected = ("LineString", "Point") if wrong == "line" else ("Point", "LineString")
                raise DatasetError(
                    f"{self.uri}: geometry: got a {got} for {name!r}; expected a {expected}, as the register has it"
                )

    def _check_place(self, register: pa.Table) -> None:
        ours, theirs = _lonlat(register), _lonlat(self.assets)
        nearest = float(nearest_m(theirs, ours).min())
        if nearest > FAR_M:
            swapped = theirs[:, ::-1][np.abs(theirs[:, 0]) < MAX_LAT]
            is_near = nearest_m(swapped, ours).min(initial=np.inf) <= FAR_M
            cause = "lon and lat are swapped" if is_near else "give the truth of the surveyed road"
            raise DatasetError(
                f"{self.uri}: lon, lat: got [{theirs[0, 0]:g}, {theirs[0, 1]:g}] and others, all {nearest / 1000:.0f} "
                f"km or more from the register; expected places near [{ours[0, 0]:g}, {ours[0, 1]:g}]: {cause}"
            )


Truth: TypeAlias = SimulatedTruth | FileTruth


def open_truth(uri: str, class_field: str = "class") -> Truth:
    """The truth at an address.

    Args:
        uri: a simulation's ``truth`` folder, or a file that ends in .geojson, .json, .parquet, .geoparquet or .csv.
        class_field: the property or column of a file that names the class.

    Raises:
        WarehouseError: there is no truth folder there.
        DatasetError: the file cannot be used; the message names the field and the row.
    """
    if uri.lower().endswith((*GEOJSON, *PARQUET, *CSV)):
        return read_file(uri, class_field)
    return read_simulated(uri)


def read_simulated(uri: str) -> SimulatedTruth:
    """The truth folder of a simulation.

    Raises:
        WarehouseError: there is none.
    """
    store = open_store(uri)
    try:
        assets, changes = _read(store, "assets.parquet"), _read(store, "changes.parquet")
        drives = sorted(key.split("/")[1].removesuffix(".parquet") for key in store.keys("frames/"))
    except NotFound as error:
        raise WarehouseError(
            f"{error}; expected the truth folder of a simulation, or a file that ends in "
            f"{', '.join((*GEOJSON, *PARQUET, *CSV))}"
        ) from None
    return SimulatedTruth(uri, assets, changes, {name: night for night, name in enumerate(drives, start=1)}, store)


def read_file(uri: str, class_field: str = "class") -> FileTruth:
    """A file of known assets, checked row by row.

    Raises:
        NotFound: there is no such file.
        DatasetError: the file cannot be used; the message names the field and the row.
    """
    store, key = open_file(uri)
    data, name = store.read(key), uri.lower()
    read = _geojson if name.endswith(GEOJSON) else _parquet if name.endswith(PARQUET) else _csv
    values, shapes = read(data, uri)
    if len(shapes) == 0:
        raise DatasetError(f"{uri}: has no rows; expected one a known asset")
    if class_field not in values:
        raise DatasetError(
            f"{uri}: no row has {class_field!r}, only {sorted(values)}; expected the class of each asset there: name "
            "the property or column that has it with --class-field"
        )
    return FileTruth(uri, _conform(values, shapes, class_field, uri), "state" in values, class_field)


def nearest_m(places: Floats, others: Floats) -> Floats:
    """Metres from each place, (n, 2) longitude and latitude, to the nearest of others; infinite where there are none.

    Right to 0.3% within 500 km of the first of the others; beyond, only how far roughly.
    """
    if len(others) == 0 or len(places) == 0:
        return np.full(len(places), np.inf)
    frame = LocalFrame(*others[0].tolist())
    tree = cKDTree(np.stack(frame.to_xy(*others.T), axis=1))
    xy = np.stack(frame.to_xy(*places.T), axis=1)
    xy[~np.isfinite(xy).all(axis=1)] = 1e8  # the other side of the globe has no place in the frame
    return np.asarray(tree.query(xy)[0])


def _lonlat(table: pa.Table) -> Floats:
    return np.stack([table["lon"].to_numpy(), table["lat"].to_numpy()], axis=1)


def _geojson(data: bytes, uri: str) -> Rows:
    try:
        tree = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{uri}: not valid JSON ({error}); expected a GeoJSON FeatureCollection") from None
    if not isinstance(tree, dict) or not isinstance(tree.get("features"), list):
        got = tree.get("type") if isinstance(tree, dict) else type(tree).__name__
        raise DatasetError(f"{uri}: got {got}; expected a GeoJSON FeatureCollection")
    if isinstance(tree.get("crs"), dict):  # of GeoJSON before RFC 7946
        _check_crs(str((tree["crs"].get("properties") or {}).get("name")), uri)
    features = [feature if isinstance(feature, dict) else {} for feature in tree["features"]]
    rows = [{"asset_id": feature["id"]} if "id" in feature else {} for feature in features]
    for row, feature in zip(rows, features, strict=True):
        row.update(feature.get("properties") or {})
    shapes = np.full(len(rows), None, object)
    shapes[:] = [_geojson_shape(feature.get("geometry")) for feature in features]
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}, shapes


def _geojson_shape(geometry: Any) -> shapely.Geometry | None:
    try:
        return shapely.from_geojson(json.dumps(geometry)) if geometry is not None else None
    except shapely.errors.ShapelyError:
        return None


def _parquet(data: bytes, uri: str) -> Rows:
    try:
        table = pq.read_table(arrow_file(data))
        geo = json.loads((table.schema.metadata or {}).get(b"geo", b"{}"))
        name = str(geo.get("primary_column", "geometry"))
        crs = geo.get("columns", {}).get(name, {}).get("crs")
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError, ValueError, AttributeError) as error:
        raise DatasetError(f"{uri}: cannot be read as Parquet ({error})") from None
    if isinstance(crs, dict):
        _check_crs(":".join(str(crs.get("id", {}).get(part)) for part in ("authority", "code")), uri)
    if name not in table.column_names:
        return _of_columns(table, uri)
    kind = table.schema.field(name).type
    if not (pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
        raise DatasetError(f"{uri}: {name}: got {kind}; expected geometries as WKB (binary), as GeoPandas writes them")
    shapes = np.asarray(shapely.from_wkb(table[name].to_pylist(), on_invalid="ignore"), object).reshape(-1)
    return {column: table[column].to_pylist() for column in table.column_names if column != name}, shapes


def _csv(data: bytes, uri: str) -> Rows:
    names = data.split(b"\n", 1)[0].decode("utf-8-sig", "replace").strip().split(",")
    types = {name.strip().strip('"'): pa.string() for name in names}
    try:
        options = pacsv.ConvertOptions(column_types=types, strings_can_be_null=True, null_values=[""])
        table = pacsv.read_csv(arrow_file(data), convert_options=options)
    except pa.ArrowInvalid as error:
        raise DatasetError(f"{uri}: cannot be read as CSV ({error}); expected UTF-8 with commas") from None
    return _of_columns(table, uri)


def _of_columns(table: pa.Table, uri: str) -> Rows:
    """Points of the columns `lon` and `lat`."""
    missing = [name for name in ("lon", "lat") if name not in table.column_names]
    if missing:
        raise DatasetError(
            f"{uri}: has no column {', '.join(missing)}, only {table.column_names}; expected lon and lat, in degrees "
            "and separated by commas in CSV, or a geometry column in GeoParquet"
        )
    values = {name: table[name].to_pylist() for name in table.column_names}
    lonlat = np.array([_numbers(values.pop(name), name, uri) for name in ("lon", "lat")])
    return values, np.asarray(shapely.points(lonlat.T), object).reshape(-1)


def _numbers(values: list[Any], name: str, uri: str) -> list[float]:
    numbers = []
    for row, value in enumerate(values, start=1):
        try:
            numbers.append(float(value))
        except (TypeError, ValueError):
            raise DatasetError(f"{uri}: row {row}: {name}: got {value!r}; expected degrees, as 100.5231") from None
    return numbers


def _check_crs(name: str, uri: str) -> None:
    if not name.upper().replace("::", ":").endswith(WGS84_CODES):
        raise DatasetError(
            f"{uri}: its coordinate system is {name}; expected longitude and latitude on WGS 84 (EPSG:4326): convert "
            "it, for example with GeoPandas' to_crs(4326)"
        )


def _conform(values: dict[str, list[Any]], shapes: Shapes, class_field: str, uri: str) -> pa.Table:
    """Rows of `KNOWN`."""
    n = len(shapes)
    names = _texts(values[class_field], class_field, uri)
    given = {name: values.get(name, [None] * n) for name in OPTIONAL}
    ids = [f"known-{row + 1}" if value is None else str(value) for row, value in enumerate(given["asset_id"])]
    for asset_id, number in Counter(ids).most_common(1):
        if number > 1:
            raise DatasetError(f"{uri}: asset_id: got {asset_id!r} {number} times; expected one row an asset")
    states = [value or "standing" for value in given["state"]]
    for row, state in enumerate(states, start=1):
        if state not in STATES:
            raise DatasetError(f"{uri}: row {row}: state: got {state!r}; expected one of {', '.join(STATES)}")
    shapes = _checked_shapes(shapes, uri)
    is_line = shapely.get_type_id(shapes) == shapely.GeometryType.LINESTRING
    middle = shapes.copy()
    middle[is_line] = shapely.line_interpolate_point(shapes[is_line], 0.5, normalized=True)
    vertices = [shapely.get_coordinates(shape).T.tolist() if line else (None, None)
                for shape, line in zip(shapes, is_line, strict=True)]  # fmt: skip
    kinds = ["line" if line else "overhead" if HIGHWAY.get(name).geometry is Geometry.OVERHEAD else "point"
             for name, line in zip(names, is_line, strict=True)]  # fmt: skip
    drives = [None if value is None else str(value) for value in given["drive_id"]]
    lons, lats = ([part[axis] for part in vertices] for axis in (0, 1))
    place = shapely.get_x(middle), shapely.get_y(middle)
    columns = ids, names, kinds, *place, lons, lats, drives, states
    return pa.table([pa.array(c, type=f.type) for c, f in zip(columns, KNOWN, strict=True)], schema=KNOWN)


def _texts(values: list[Any], name: str, uri: str) -> list[str]:
    for row, value in enumerate(values, start=1):
        if value is None or not str(value).strip():
            raise DatasetError(f"{uri}: row {row}: {name}: got {value!r}; expected the class of the asset")
    return [str(value).strip() for value in values]


def _checked_shapes(shapes: Shapes, uri: str) -> Shapes:
    """Points and lines in two dimensions; Multi… of one part count as that part."""
    whole = shapely.force_2d(shapes)
    single = (shapely.get_num_geometries(whole) == 1) & ~shapely.is_empty(whole)
    parts = np.where(single, shapely.get_geometry(whole, 0), whole)
    kinds = shapely.get_type_id(parts)
    usable = single & np.isin(kinds, [shapely.GeometryType.POINT, shapely.GeometryType.LINESTRING])
    for row in np.flatnonzero(~usable)[:1].tolist():
        got = "none that can be read" if shapes[row] is None else f"{shapes[row].geom_type} {shapes[row].wkt:.40}"
        raise DatasetError(f"{uri}: row {row + 1}: geometry: got {got}; expected a Point or a LineString")
    xy, index = shapely.get_coordinates(parts, return_index=True)
    wrong = ~((np.abs(xy[:, 0]) <= 180) & (np.abs(xy[:, 1]) <= MAX_LAT))
    if wrong.any():
        x, y = xy[wrong][0].tolist()
        swapped = (np.abs(xy[wrong][:, 1]) <= 180) & (np.abs(xy[wrong][:, 0]) <= MAX_LAT)
        cause = "lon and lat are swapped" if swapped.all() else "numbers, in degrees on WGS 84 and not in metres"
        raise DatasetError(
            f"{uri}: row {int(index[wrong][0]) + 1}: lon, lat: got [{x:g}, {y:g}]; expected [longitude, latitude]: "
            f"{cause}"
        )
    return np.asarray(parts, object)


def _read(store: Store, key: str) -> pa.Table:
    return pq.read_table(arrow_file(store.read(key)))
