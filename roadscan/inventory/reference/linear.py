"""Points and drives to where on the network they are: route, section, chainage and offset.

Legend: n points or positions. Degrees in, metres out.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from roadscan.arrays import Floats, Ints
from roadscan.errors import ConfigError
from roadscan.inventory.reference.centrelines import Centreline, Unusable, centreline
from roadscan.inventory.reference.config import ReferenceConfig
from roadscan.inventory.reference.features import Feature, read_features
from roadscan.inventory.reference.plane import Near, Pieces
from roadscan.inventory.reference.spans import Spans, spans_of
from roadscan.inventory.reference.track import disagrees, match_track
from roadscan.storage import read_given, sha256_hex

Columns = dict[str, npt.NDArray[Any]]
CODES = ("route_code", "section_code", "district", "carriageway")
DISAGREE_M = 30.0  # a line across the direction of travel counts as so much farther away
CHUNK = 100_000  # points at a time, about 100 MB
SHOWN = 10  # problems of a file in one message


class LinearReference:
    """Centrelines with chainage.

    Attributes:
        centrelines: in the file's order; an index below is an index of these, -1 is none.
        version: of the file they came from.
        max_offset_m: what is farther from a centreline is not on it.
    """

    def __init__(self, centrelines: list[Centreline], version: str, max_offset_m: float) -> None:
        self.centrelines, self.version, self.max_offset_m = centrelines, version, max_offset_m
        self.pieces = Pieces([(line.lon, line.lat) for line in centrelines])
        self._s, self._m = (
            np.concatenate([np.stack([v[:-1], v[1:]], axis=1) for v in values])
            for values in ([line.s for line in centrelines], [line.m for line in centrelines])
        )
        self._codes = {name: np.array([*(getattr(line, name) for line in centrelines), None], object) for name in CODES}

    def locate(self, lon: npt.ArrayLike, lat: npt.ArrayLike, azimuth_deg: npt.ArrayLike | None = None) -> Columns:
        """Each point on the nearest centreline within `max_offset_m`.

        Args:
            lon: degrees, (n,).
            lat: degrees, (n,); NaN is on none.
            azimuth_deg: direction of travel, degrees clockwise from north, (n,) or one for all; NaN where unknown. A
                centreline more than 50° from it and from its opposite counts as 30 m farther away.

        Returns:
            Columns of (n,): `index` (-1 where none), `route_code`, `section_code`, `district`, `carriageway` (str or
            None), `km_m` (int32; -1 where none), `offset_m` (to the right of growing chainage; NaN where none).
        """
        lon, lat = _pairs(lon, lat)
        azimuth = None if azimuth_deg is None else np.broadcast_to(np.asarray(azimuth_deg, float), lon.shape)
        found = []
        for start in range(0, len(lon), CHUNK):
            part = slice(start, start + CHUNK)
            near = self.pieces.near(lon[part], lat[part], self.max_offset_m)
            cost = near.distance_m
            if azimuth is not None:
                cost = cost + DISAGREE_M * disagrees(self.pieces.course[near.piece], azimuth[part][near.point])
            order = np.lexsort((cost, near.point))
            order = order[cost[order] <= self.max_offset_m]
            best = order[np.unique(near.point[order], return_index=True)[1]]
            found.append((start, near.take(best)))
        return self._columns(len(lon), found)

    def locate_on(self, index: npt.ArrayLike, lon: npt.ArrayLike, lat: npt.ArrayLike) -> Columns:
        """Each point on the centreline that is given for it; none where it is farther than `max_offset_m` from it.

        Args:
            index: of centrelines, (n,) or one for all; -1 for none.
            lon: degrees, (n,).
            lat: degrees, (n,).

        Returns:
            As `locate`.
        """
        lon, lat = _pairs(lon, lat)
        line = np.broadcast_to(np.asarray(index, np.int64), lon.shape)
        found = []
        for start in range(0, len(lon), CHUNK):
            part = slice(start, start + CHUNK)
            near = self.pieces.near(lon[part], lat[part], self.max_offset_m)
            found.append((start, near.take(near.line == line[part][near.point])))
        return self._columns(len(lon), found)

    def assign_track(self, lon: npt.ArrayLike, lat: npt.ArrayLike) -> Ints:
        """The centreline that a drive was on at each of its positions, chosen for the drive as a whole.

        Args:
            lon: degrees, (n,).
            lat: degrees, (n,), in the order driven; NaN is on none.

        Returns:
            (n,) indices of centrelines, -1 for none.
        """
        lon, lat = _pairs(lon, lat)
        index = np.full(len(lon), -1, np.int64)
        known = np.flatnonzero(np.isfinite(lon) & np.isfinite(lat))
        lengths = np.array([line.s[-1] for line in self.centrelines])
        index[known] = match_track(self.pieces, self._s, lengths, lon[known], lat[known], self.max_offset_m)
        return index

    def kilometres(self) -> pa.Table:
        """Every kilometre of every section: the columns of `schemas.COVERAGE` from `route_code` to `lat`.

        `length_m` is on the ground; of a section with several carriageways that of the longest.
        """
        return self.spans.table

    @cached_property
    def spans(self) -> Spans:
        """The stretch of each centreline in each kilometre."""
        return spans_of(self.centrelines)

    def _columns(self, n: int, found: list[tuple[int, Near]]) -> Columns:
        index, km_m = np.full(n, -1, np.int64), np.full(n, -1, np.int32)
        offset_m = np.full(n, np.nan)
        for start, near in found:
            at = start + near.point
            m = self._m[near.piece]
            index[at], offset_m[at] = near.line, near.offset_m
            km_m[at] = np.rint(m[:, 0] + near.t * (m[:, 1] - m[:, 0])).astype(np.int32)
        codes = {name: values[index] for name, values in self._codes.items()}
        return {"index": index, **codes, "km_m": km_m, "offset_m": offset_m}


def read_reference(config: ReferenceConfig) -> LinearReference:
    """The centrelines of a file.

    Raises:
        ConfigError: the file is not there, is no GeoJSON or Parquet of centrelines, or some feature cannot be used; up
            to ten are named, each with the field, what was got, what was expected, and what to do.
        StorageError: the file cannot be read.
    """
    data = _file(config)
    lines, problems = [], []
    for feature in read_features(data, config):
        try:
            lines.append((feature, centreline(feature, config.code_digits)))
        except Unusable as error:
            problems.append(f"feature {feature.number}: {error}")
    problems += _duplicates(lines)
    if problems:
        more = [f"… and {len(problems) - SHOWN} more"] if len(problems) > SHOWN else []
        raise ConfigError("\n  ".join([f"reference {config.uri}:", *problems[:SHOWN], *more]))
    return LinearReference([line for _, line in lines], config.version or sha256_hex(data)[:12], config.max_offset_m)


def reference_digest(config: ReferenceConfig) -> str:
    """A digest of all that decides a reference: its file's bytes, and how they are read.

    Raises:
        ConfigError: the file is not there.
        StorageError: it cannot be read.
    """
    return sha256_hex(config.model_dump_json().encode() + _file(config))


def _file(config: ReferenceConfig) -> bytes:
    return read_given("reference.uri", config.uri, "a file of centrelines, .geojson or .parquet")


def format_km(m: float) -> str:
    """Chainage in metres as it is written on plans.

    >>> format_km(25556)
    '25+556'
    """
    km, rest = divmod(round(m), 1000)
    return f"{km}+{rest:03d}"


def _pairs(lon: npt.ArrayLike, lat: npt.ArrayLike) -> tuple[Floats, Floats]:
    lon, lat = np.atleast_1d(np.asarray(lon, float)), np.atleast_1d(np.asarray(lat, float))
    if lon.ndim != 1 or lon.shape != lat.shape:
        raise ValueError(f"lon, lat: got shapes {lon.shape} and {lat.shape}; expected two of (n,)")
    return lon, lat


def _duplicates(lines: list[tuple[Feature, Centreline]]) -> list[str]:
    """A problem for each line that has the codes and, to the metre, the limits of one before it."""
    seen: dict[tuple[str | None, ...], int] = {}
    problems = []
    for feature, line in lines:
        limits = [format_km(m) for m in line.m[[0, -1]]]
        first = seen.setdefault((line.route_code, line.section_code, line.carriageway, *limits), feature.number)
        if first != feature.number:
            problems.append(
                f"feature {feature.number}: route_code, section_code, km_start, km_end: got {line.route_code}/"
                f"{line.section_code} from {limits[0]} to {limits[1]}, as feature {first}; expected each stretch once: "
                "take one out, or tell carriageways apart by `carriageway`"
            )
    return problems
