"""Known assets in a file from anyone: GeoJSON, (Geo)Parquet or CSV, one asset a row, to columns as in `KNOWN`.

A file needs a class and a place for each asset: a Point or LineString in longitude and latitude on WGS 84, or, in CSV
and plain Parquet, the columns `lon` and `lat`. It may have `asset_id`, `drive_id` and `state` (``standing``, or
``removed`` where an asset stood in an earlier drive). One wrong row refuses the file: truth with holes would be scored
as if the register were wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from roadscan.arrays import Floats
from roadscan.errors import DatasetError, NotFound
from roadscan.evaluate.register.truth.conform import conform
from roadscan.evaluate.register.truth.known import MAX_LAT, Known, nearest_m
from roadscan.geofiles import PLACES, Unusable, read_places
from roadscan.storage import open_file
from roadscan.taxonomy import HIGHWAY, Geometry

FAR_M = 10_000.0  # a truth that comes nowhere nearer to the register is of another place
SURVEYED_M = 30.0  # a known asset counts for recall where a camera came this near; wider than half of any carriageway


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


def read_file(uri: str, class_field: str = "class") -> FileTruth:
    """A file of known assets, checked row by row.

    Raises:
        DatasetError: there is no such file, or it cannot be used; the message names the field and the row.
    """
    store, key = open_file(uri)
    try:
        values, shapes = read_places(uri, store.read(key))
    except NotFound:
        raise DatasetError(
            f"{uri} does not exist; expected known assets in a file that ends in {', '.join(PLACES)}: correct the path"
        ) from None
    except Unusable as problem:
        raise DatasetError(f"{uri}: {problem}") from None
    if len(shapes) == 0:
        raise DatasetError(f"{uri}: has no rows; expected one a known asset")
    if class_field not in values:
        raise DatasetError(
            f"{uri}: no row has {class_field!r}, only {sorted(values)}; expected the class of each asset there: name "
            "the property or column that has it with --class-field"
        )
    return FileTruth(uri, conform(values, shapes, class_field, uri), "state" in values, class_field)


def _lonlat(table: pa.Table) -> Floats:
    return np.stack([table["lon"].to_numpy(), table["lat"].to_numpy()], axis=1)
