"""OGC API - Features: the register for QGIS and other programs, a page of features at a time.

    /ogc  /ogc/api  /ogc/conformance  /ogc/collections  /ogc/collections/{name}[/items[/{id}]]

Two collections, as a layer has one kind of shape: ``assets`` are the points, ``assets_lines`` the lines, in the order
of the map, with the columns that the map has of them; `roadscan export` has all. A page names its release in the
address of the next one, so that all pages are of one release, whatever is published meanwhile. Source: OGC 17-069r4,
classes core, GeoJSON and OpenAPI 3.0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import Any, Protocol
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

import numpy as np
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from roadscan.arrays import Bools
from roadscan.errors import ConfigError, NotFound
from roadscan.inventory.query.changes import read_days
from roadscan.view import lists
from roadscan.view.filters import read_filter
from roadscan.view.mercator import degrees, project
from roadscan.view.register import MapRegister
from roadscan.view.releases import Releases
from roadscan.warehouse import Release

MOST, USUAL = 10_000, 1000  # features of a page
GEOJSON, OPENAPI = "application/geo+json", "application/vnd.oai.openapi+json;version=3.0"
CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
CONFORMS = [f"http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/{name}" for name in ("core", "oas30", "geojson")]
NOW = {"Cache-Control": "no-store"}
TITLES = {"assets": "Assets that are points", "assets_lines": "Assets that are lines"}
BY_PROPERTY = {"class": "class", "state": "state", "side": "side", "route_code": "route"}  # and how `filters` has them
ASKED = ("limit", "offset", "bbox", "datetime", "asset_id", "release", "f", *BY_PROPERTY)


class Source(Protocol):
    """What features are of: a `site.Site`."""

    releases: Releases
    zone: str

    def register(self, release: Release) -> MapRegister:
        """The register of a release."""


def routes(site: Source) -> list[Route]:
    """The addresses below /ogc."""

    def at(path: str, answer: Callable[[Source, Request], Response]) -> Route:
        return Route(f"/ogc{path}", lambda request: answer(site, request))

    return [
        at("", _landing),
        at("/", _landing),
        at("/api", lambda _, request: _json(_openapi(request), OPENAPI)),
        at("/conformance", lambda *_: _json({"conformsTo": CONFORMS})),
        at("/collections", _collections),
        at("/collections/{name}", lambda site, request: _json(_collection(site, request, _name(request)))),
        at("/collections/{name}/items", _items),
        at("/collections/{name}/items/{id:path}", _item),
    ]


@dataclass(frozen=True)
class Page:
    """Which features are asked for.

    Attributes:
        limit, offset: how many, after how many.
        key: of the release; None for the newest.
    """

    limit: int
    offset: int
    key: str | None


def _landing(_: Source, request: Request) -> Response:
    links = [
        _link(request, "/", "self", "application/json", "This page"),
        _link(request, "/api", "service-desc", OPENAPI, "What may be asked"),
        _link(request, "/conformance", "conformance", "application/json", "What is conformed to"),
        _link(request, "/collections", "data", "application/json", "The collections"),
    ]
    return _json({"title": "roadscan", "description": "A register of road assets", "links": links})


def _collections(site: Source, request: Request) -> Response:
    links = [_link(request, "/collections", "self", "application/json", "This page")]
    return _json({"links": links, "collections": [_collection(site, request, name) for name in TITLES]})


def _collection(site: Source, request: Request, name: str) -> dict[str, Any]:
    register = site.register(site.releases.current())
    path, extent = f"/collections/{name}", dict[str, Any]()
    rows = np.flatnonzero(_of_kind(register, name))
    if len(rows):
        x, y = register.x[rows], register.y[rows]
        bounds = np.array([x.min(), y.min(), x.max(), y.max()])
        if name == "assets_lines":
            boxes = register.lines.box
            bounds = np.array([*boxes[:, :2].min(axis=0), *boxes[:, 2:].max(axis=0)])
        (west, east), (north, south) = degrees(bounds[0::2], bounds[1::2])
        first, last = register.first_seen[rows].min(), register.last_seen[rows].max()
        extent["spatial"] = {"bbox": [[float(value) for value in (west, south, east, north)]], "crs": CRS84}
        extent["temporal"] = {"interval": [[_written(int(first)), _written(int(last))]]}
    links = [
        _link(request, path, "self", "application/json", TITLES[name]),
        _link(request, f"{path}/items", "items", GEOJSON, "Features"),
    ]
    told = {"id": name, "title": TITLES[name], "itemType": "feature", "crs": [CRS84], "links": links}
    return told | ({"extent": extent} if extent else {})


def _items(site: Source, request: Request) -> Response:
    name, query = _name(request), request.query_params
    unknown = [one for one in query if one not in ASKED]
    if unknown:
        raise ConfigError(f"{unknown[0]}: got it; expected only {', '.join(ASKED)}")
    page = Page(_number(query, "limit", USUAL, 1), _number(query, "offset", 0, 0), query.get("release"))
    release = site.releases.of_key(page.key) if page.key else site.releases.current()
    register = site.register(release)
    rows = np.flatnonzero(_passing(site, register, name, request))
    limit = min(page.limit, MOST)
    part = rows[page.offset : page.offset + limit]
    features = [{**one, "id": one["properties"]["asset_id"]} for one in lists.features(register, part)]
    path = f"/collections/{name}/items"
    links = [
        _link(request, path, "self", GEOJSON, "This page", query.multi_items()),
        _link(request, f"/collections/{name}", "collection", "application/json", TITLES[name]),
    ]
    if page.offset + limit < len(rows):
        kept = [(key, value) for key, value in query.multi_items() if key not in ("offset", "limit", "release")]
        onward = [("release", site.releases.key(release)), ("limit", str(limit)), ("offset", str(page.offset + limit))]
        links.append(_link(request, path, "next", GEOJSON, "The next page", [*kept, *onward]))
    told = {"type": "FeatureCollection", "timeStamp": _written(datetime.now(UTC).timestamp())}
    counts = {"numberMatched": len(rows), "numberReturned": len(features)}
    return _json({**told, **counts, "features": features, "links": links}, GEOJSON)


def _item(site: Source, request: Request) -> Response:
    name, asset_id = _name(request), request.path_params["id"]
    register = site.register(site.releases.current())
    row = register.row_of(asset_id)
    if row is None or not _of_kind(register, name)[row]:
        raise NotFound(f"{name}: no feature {asset_id!r}")
    (feature,) = lists.features(register, np.array([row]))
    links = [
        _link(request, f"/collections/{name}/items/{quote(asset_id, safe='')}", "self", GEOJSON, "This feature"),
        _link(request, f"/collections/{name}", "collection", "application/json", TITLES[name]),
    ]
    return _json({**feature, "id": asset_id, "links": links}, GEOJSON)


def _passing(site: Source, register: MapRegister, name: str, request: Request) -> Bools:
    """Which rows of a register are asked for."""
    query = request.query_params
    passes = _of_kind(register, name)
    wanted = read_filter({own: query.getlist(told) for told, own in BY_PROPERTY.items()}, site.zone)
    filtered = wanted.passes(register)
    if filtered is not None:
        passes &= filtered
    if "asset_id" in query:
        row = register.row_of(query["asset_id"])
        passes &= np.arange(len(register)) == (-1 if row is None else row)
    if query.get("bbox"):
        passes &= _within(register, query["bbox"])
    if query.get("datetime"):
        begin, end = read_interval(query["datetime"], site.zone)
        passes &= (register.first_seen <= end) & (register.last_seen >= begin)
    return passes


def _of_kind(register: MapRegister, name: str) -> Bools:
    return np.asarray(np.isnan(register.length_m) == (name == "assets"), bool)


def _within(register: MapRegister, text: str) -> Bools:
    """Which assets meet a box; of a line the box around it."""
    met = np.zeros(len(register), bool)
    for west, south, east, north in read_boxes(text):
        (left, right), (bottom, top) = project(np.array([west, east]), np.array([south, north]))
        met |= (register.x >= left) & (register.x <= right) & (register.y >= top) & (register.y <= bottom)
        lines = register.lines.box
        meets = (lines[:, 0] <= right) & (lines[:, 2] >= left) & (lines[:, 1] <= bottom) & (lines[:, 3] >= top)
        met[register.lines.row[meets]] = True
    return met


def read_boxes(text: str) -> list[tuple[float, float, float, float]]:
    """``bbox`` of a request -> west, south, east and north; two boxes where it goes across the 180th meridian.

    Args:
        text: four numbers in degrees, or six with heights, which do not matter.

    Raises:
        ConfigError: it is something else.

    >>> read_boxes("170,-10,0,-170,10,99")
    [(170.0, -10.0, 180.0, 10.0), (-180.0, -10.0, -170.0, 10.0)]
    """
    numbers = text.split(",")
    flat = [*numbers[:2], *numbers[3:5]] if len(numbers) == 6 else numbers
    try:
        west, _, east, _ = map(float, flat)
    except ValueError:  # which `read_box` says
        west = east = 0.0
    parts = [flat] if west <= east else [[flat[0], flat[1], "180", flat[3]], ["-180", *flat[1:]]]
    return [box for part in parts if (box := lists.read_box(",".join(part)))]


def read_interval(text: str, zone: str) -> tuple[float, float]:
    """``datetime`` of a request -> its first and last second since 1970.

    Args:
        text: an instant (RFC 3339), a day, or two of them with / between, of which one may be .. or nothing.
        zone: of a day.

    Raises:
        ConfigError: it is something else.

    >>> read_interval("1970-01-01T00:01:00Z", "UTC"), read_interval("1970-01-01/..", "UTC")
    ((60.0, 60.0), (0.0, inf))
    >>> read_interval("1970-01-01", "UTC")
    (0.0, 86399.999999)
    """
    begin, separator, end = text.partition("/")
    if not separator:
        return _moment(text, begin, zone, last=False), _moment(text, begin, zone, last=True)
    first = -np.inf if begin in ("", "..") else _moment(text, begin, zone, last=False)
    last = np.inf if end in ("", "..") else _moment(text, end, zone, last=True)
    if first > last or (np.isinf(first) and np.isinf(last)):
        raise ConfigError(f"datetime: got {text!r}; expected an interval that begins before it ends")
    return float(first), float(last)


def _moment(text: str, one: str, zone: str, *, last: bool) -> float:
    try:
        if len(one) == 10:
            day = read_days("datetime", one)[0]
            return datetime.combine(day, time.max if last else time.min, ZoneInfo(zone)).timestamp()
        moment = datetime.fromisoformat(one)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, ConfigError):
        raise ConfigError(
            f"datetime: got {text!r}; expected an instant, a day, or two with / between, as "
            "2026-11-01T00:00:00Z/.. or 2026-11-01"
        ) from None


def _name(request: Request) -> str:
    name = str(request.path_params["name"])
    if name not in TITLES:
        raise NotFound(f"collection: got {name!r}; expected one of {', '.join(TITLES)}")
    return name


def _number(query: Mapping[str, str], name: str, usual: int, least: int) -> int:
    text = query.get(name, str(usual))
    if not (text.isascii() and text.isdecimal() and len(text) < 16 and int(text) >= least):
        raise ConfigError(f"{name}: got {text!r}; expected a whole number from {least}")
    return int(text)


def _link(
    request: Request, path: str, rel: str, type_: str, title: str, query: list[tuple[str, str]] | None = None
) -> dict[str, str]:
    address = f"{str(request.base_url).rstrip('/')}/ogc{path}" + (f"?{urlencode(query)}" if query else "")
    return {"href": address, "rel": rel, "type": type_, "title": title}


def _written(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _json(tree: Any, media_type: str = "application/json") -> Response:
    return JSONResponse(tree, media_type=media_type, headers=NOW)


def _openapi(request: Request) -> dict[str, Any]:
    """What may be asked, as OpenAPI 3.0 has it: QGIS looks there for how large a page may be."""
    text = {"type": "string"}
    whole = {"type": "integer", "minimum": 0}
    parameters = {
        "limit": {**whole, "minimum": 1, "maximum": MOST, "default": USUAL},
        "offset": whole,
        "bbox": {"type": "array", "minItems": 4, "maxItems": 6, "items": {"type": "number"}},
        **{name: text for name in ASKED if name not in ("limit", "offset", "bbox")},
    }
    told = {
        name: {"name": name, "in": "query", "required": False, "style": "form", "explode": False, "schema": schema}
        for name, schema in parameters.items()
    }
    of_items = [{"$ref": f"#/components/parameters/{name}"} for name in told]
    paths: dict[str, list[dict[str, str]]] = {"/": [], "/conformance": [], "/collections": []}
    for name in TITLES:
        paths |= {f"/collections/{name}": [], f"/collections/{name}/items": of_items}
    answers = {"200": {"description": "an answer"}, "default": {"description": "an error, in words"}}
    return {
        "openapi": "3.0.3",
        "info": {"title": "roadscan", "version": "1.0"},
        "servers": [{"url": f"{str(request.base_url).rstrip('/')}/ogc"}],
        "paths": {path: {"get": {"parameters": given, "responses": answers}} for path, given in paths.items()},
        "components": {"parameters": told},
    }
