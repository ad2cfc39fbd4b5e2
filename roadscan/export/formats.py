"""The formats that a register is written in, and what each has no room for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from roadscan.errors import ConfigError

ONE_SHAPE = ("GPKG", "ESRI Shapefile")  # drivers whose layers have either points or lines


@dataclass(frozen=True)
class Format:
    """How GDAL writes one format.

    Attributes:
        name: as people call it.
        endings: of a file's name.
        driver: GDAL's.
        text_types: of ``time``, ``date`` and ``bool`` those that become text, ISO 8601 or true and false.
        name_bytes, text_bytes: the longest name of a column, and text; None for any.
        lists: whether it has lists of numbers and texts; else they are JSON text.
        unplaced: whether rows without a place can be in it.
        reserved: names that no column may have.
        dataset, layer: GDAL's options of creation.
    """

    name: str
    endings: tuple[str, ...]
    driver: str
    text_types: frozenset[str] = frozenset()
    name_bytes: int | None = None
    text_bytes: int | None = None
    lists: bool = False
    unplaced: bool = True
    reserved: frozenset[str] = frozenset()
    dataset: Mapping[str, str] = field(default_factory=dict)
    layer: Mapping[str, str] = field(default_factory=dict)

    @property
    def one_shape(self) -> bool:
        """Whether a layer has either points or lines."""
        return self.driver in ONE_SHAPE


TEXT_ONLY = frozenset({"time", "date"})  # JSON has no times: ISO 8601 keeps the microseconds, which GDAL's do not
TEXT = {"AUTODETECT_JSON_STRINGS": "NO"}  # a text that looks like JSON is a text
RFC7946 = {"RFC7946": "YES", "WRITE_NAME": "NO", **TEXT}
FORMATS = (
    # 1.3: of 1.4 GDAL 3.6, which is Debian 12's, warns.
    Format("GeoPackage", (".gpkg",), "GPKG", reserved=frozenset({"fid", "geom"}), dataset={"VERSION": "1.3"}),
    Format("GeoJSON", (".geojson", ".json"), "GeoJSON", TEXT_ONLY, lists=True, layer=RFC7946),
    Format(
        "GeoJSON text sequence", (".geojsonl", ".geojsons", ".ndjson"), "GeoJSONSeq", TEXT_ONLY, lists=True, layer=TEXT
    ),
    Format("FlatGeobuf", (".fgb",), "FlatGeobuf"),
    Format("CSV", (".csv",), "CSV", TEXT_ONLY | {"bool"}, reserved=frozenset({"wkt"}), layer={"GEOMETRY": "AS_WKT"}),
    Format(
        "Shapefile",
        (".shp.zip", ".shz"),
        "ESRI Shapefile",
        frozenset({"time"}),
        name_bytes=10,
        text_bytes=254,
        layer={"2GB_LIMIT": "YES"},
    ),
    Format(
        "PMTiles",
        (".pmtiles",),
        "PMTiles",
        TEXT_ONLY,
        unplaced=False,
        dataset={"MINZOOM": "4", "MAXZOOM": "14", "MAX_SIZE": "2000000"},
    ),
)


def format_of(out: str) -> Format:
    """The format that a file's name ends with.

    Raises:
        ConfigError: none does.
    """
    for one in FORMATS:
        if out.lower().endswith(one.endings):
            return one
    known = ", ".join(f"{one.endings[0]} ({one.name})" for one in FORMATS)
    also = ""
    if out.lower().endswith(".shp"):
        also = "; a Shapefile is five files that cannot be replaced as one: name it .shp.zip, as QGIS opens it"
    raise ConfigError(f"out: got {out!r}; expected a name that ends with {known}{also}")
