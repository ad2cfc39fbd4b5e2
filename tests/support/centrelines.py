"""Centrelines in metres east and north of a place, as the files that a linear reference is read from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from roadscan.errors import ConfigError
from roadscan.inventory.reference import LinearReference, ReferenceConfig, read_reference
from roadscan.survey.geodesy import LocalFrame

FRAME = LocalFrame(104.8, 15.2)  # Ubon Ratchathani, 5.8° east of zone 47's meridian
Points = list[tuple[float, float]]


def lonlat(x: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
    return FRAME.to_lonlat(np.asarray(x, float), np.asarray(y, float))


def feature(xy: Points, km: tuple[Any, Any], route: Any = 1, section: Any = 102, **properties: Any) -> dict[str, Any]:
    """A feature with vertices in metres east and north of `FRAME`'s origin."""
    properties = {"route_code": route, "section_code": section, "km_start": km[0], "km_end": km[1], **properties}
    coordinates = np.stack(lonlat(*zip(*xy, strict=True)), axis=1).tolist()
    return {
        "type": "Feature",
        "properties": properties,
        "geometry": {"type": "LineString", "coordinates": coordinates},
    }


def write(tmp_path: Path, *features: dict[str, Any], **more: Any) -> str:
    path = tmp_path / "centrelines.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features, **more}))
    return str(path)


def read(tmp_path: Path, *features: dict[str, Any], **config: Any) -> LinearReference:
    return read_reference(ReferenceConfig(uri=write(tmp_path, *features), **config))


def refusal(tmp_path: Path, *features: dict[str, Any], **config: Any) -> str:
    with pytest.raises(ConfigError) as error:
        read(tmp_path, *features, **config)
    return str(error.value)


NORTH = feature([(0, 0), (0, 2000)], (10.0, 12.0))  # km grows to the north
EAST = feature([(-1000, 1000), (1000, 1000)], (50.0, 52.0), route=2)  # crosses it at its km 11+000

RADIUS_M = 500.0
TURN = np.radians(np.arange(0, 90.01, 0.5))
BEND = [(RADIUS_M * (1 - np.cos(a)), RADIUS_M * np.sin(a)) for a in TURN]  # from north to east, 785.4 m
MAIN = feature([(0, 0), (0, 4000)], (10, 14))


def drive(x: Any, y: Any, sigma_m: float = 1.5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Positions with errors that last a kilometre, and some that do not."""
    rng = np.random.default_rng(seed)
    y = np.asarray(y, float)
    x = np.broadcast_to(np.asarray(x, float), y.shape)
    drift = sigma_m * np.sin(np.arange(len(y)) * 10 / 160)
    return lonlat(x + drift + rng.normal(0, 0.3, len(y)), y + rng.normal(0, 0.3, len(y)))
