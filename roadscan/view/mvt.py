"""Mapbox Vector Tiles of points, lines and polygons, as far as the map needs them.

Source: Mapbox Vector Tile Specification 2.1, https://github.com/mapbox/vector-tile-spec.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

EXTENT = 4096  # units a side of a tile
POINT, LINE, POLYGON = 1, 2, 3
_MOVE_TO, _LINE_TO, _CLOSE = 1, 2, 7

Value: TypeAlias = str | int | float
Coordinates: TypeAlias = npt.NDArray[np.int64]  # (n, 2) in units of the tile, x to the right and y down


class Layer:
    """One layer of a tile, feature by feature."""

    def __init__(self, name: str) -> None:
        self.name, self.features = name, 0
        self._keys: dict[str, int] = {}
        self._values: dict[Value, int] = {}
        self._body: list[bytes] = []

    def point(self, x: int, y: int, properties: Mapping[str, Value]) -> None:
        """A feature of one point."""
        places = varint((x << 1) ^ (x >> 63)) + varint((y << 1) ^ (y >> 63))
        self._add(POINT, _command(_MOVE_TO, 1) + places, properties)

    def points(self, xy: Coordinates, properties: Mapping[str, Value]) -> None:
        """A feature of one or more points."""
        if len(xy):
            self._add(POINT, _command(_MOVE_TO, len(xy)) + _varints(_zigzag(_deltas(xy)).ravel()), properties)

    def line(self, parts: Sequence[Coordinates], properties: Mapping[str, Value]) -> None:
        """A feature of one or more lines."""
        self._add_parts(LINE, [part for part in parts if len(part) > 1], properties)

    def polygon(self, rings: Sequence[Coordinates], properties: Mapping[str, Value]) -> None:
        """A feature of rings without a repeated last point; an outer one is clockwise on a map whose north is up."""
        self._add_parts(POLYGON, [ring for ring in rings if len(ring) > 2], properties)

    def encoded(self) -> bytes:
        """The layer as a field of a tile."""
        name = self.name.encode()
        body = b"\x78\x02" + b"\x0a" + _length(name) + name + b"".join(self._body)
        for key in self._keys:
            text = key.encode()
            body += b"\x1a" + _length(text) + text
        body += b"".join(_value(value) for value in self._values) + b"\x28" + varint(EXTENT)
        return b"\x1a" + _length(body) + body

    def _add_parts(self, kind: int, parts: Sequence[Coordinates], properties: Mapping[str, Value]) -> None:
        geometry, at = b"", np.zeros((1, 2), np.int64)
        for part in parts:
            steps = _zigzag(np.diff(part, axis=0, prepend=at)).ravel()
            geometry += _command(_MOVE_TO, 1) + _varints(steps[:2])
            geometry += _command(_LINE_TO, len(part) - 1) + _varints(steps[2:])
            geometry += _command(_CLOSE, 1) if kind == POLYGON else b""
            at = part[-1:]
        if parts:
            self._add(kind, geometry, properties)

    def _add(self, kind: int, geometry: bytes, properties: Mapping[str, Value]) -> None:
        tags = b""
        for key, value in properties.items():
            tags += varint(self._keys.setdefault(key, len(self._keys)))
            tags += varint(self._values.setdefault(value, len(self._values)))
        feature = b"\x12" + _length(tags) + tags + b"\x18" + bytes([kind]) + b"\x22" + _length(geometry) + geometry
        self._body.append(b"\x12" + _length(feature) + feature)
        self.features += 1


def tile(layers: Sequence[Layer]) -> bytes:
    """A tile of those layers that have features."""
    return b"".join(layer.encoded() for layer in layers if layer.features)


def varint(value: int) -> bytes:
    r"""A whole number as protocol buffers write it: seven bits a byte, the low ones first.

    >>> varint(5), varint(300)
    (b'\x05', b'\xac\x02')
    """
    if value < 0x80:
        return bytes((value,))
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _length(data: bytes) -> bytes:
    return varint(len(data))


def _command(command: int, count: int) -> bytes:
    return varint(command | count << 3)


def _deltas(xy: Coordinates) -> Coordinates:
    return np.diff(xy, axis=0, prepend=np.zeros((1, 2), np.int64))


def _zigzag(values: Coordinates) -> Coordinates:
    return (values << 1) ^ (values >> 63)


def _varints(values: npt.NDArray[np.int64]) -> bytes:
    """Whole numbers as `varint` writes each, all at once."""
    groups = np.arange(0, 35, 7)
    parts = (values[:, None] >> groups) & 0x7F
    used = np.maximum(1, ((values[:, None] >> groups) > 0).sum(axis=1))
    place = np.arange(len(groups))
    more = place < used[:, None] - 1
    data = (parts | np.where(more, 0x80, 0)).astype(np.uint8)
    return bytes(data[place < used[:, None]].tobytes())


def _value(value: Value) -> bytes:
    if isinstance(value, str):
        text = value.encode()
        inner = b"\x0a" + _length(text) + text
    elif isinstance(value, int):
        inner = b"\x30" + varint((value << 1) ^ (value >> 63))
    else:
        inner = b"\x19" + np.float64(value).tobytes()
    return b"\x22" + _length(inner) + inner
