"""The site: addresses to answers. What a release has does not change, so a browser may keep what is of a release."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from roadscan.errors import ConfigError, Conflict, Malformed, NotFound, RoadscanError, WarehouseError
from roadscan.inventory.query import query_release
from roadscan.inventory.query.rendering import plain
from roadscan.inventory.reference import LinearReference
from roadscan.palette import colors_of
from roadscan.parsing import read_json
from roadscan.settings import time_zone
from roadscan.taxonomy import HIGHWAY
from roadscan.view import deciding, lists, ogc, roads
from roadscan.view.details import Details, current_id, read_details
from roadscan.view.filters import Filter, read_filter
from roadscan.view.finding import find
from roadscan.view.kept import Kept
from roadscan.view.mercator import degrees
from roadscan.view.photographs import Photographs
from roadscan.view.register import STATES, MapRegister, load_register
from roadscan.view.releases import Releases
from roadscan.view.tiles import check_tile, cut_tile
from roadscan.warehouse import Release, Warehouse

STATIC = Path(__file__).with_name("static")
REGISTERS = 2  # of so many releases at a time in memory: two that are compared …
MANY = 1_500_000  # … but of one that has more assets
MAX_SENT = 20_000  # bytes
LISTED = 500  # rows of a list on a page
TILE_BYTES = 64 << 20
MVT = "application/vnd.mapbox-vector-tile"
FOREVER = {"Cache-Control": "private, max-age=604800, immutable"}
NOW = {"Cache-Control": "no-store"}
STATUS: dict[type[RoadscanError], int] = {
    ConfigError: 400, NotFound: 404, WarehouseError: 410, Conflict: 409, Malformed: 422, RoadscanError: 502,
}  # fmt: skip


@dataclass
class Site:
    """What one warehouse's pages are made of.

    Attributes:
        warehouse: whose.
        reference: centrelines, where they are given.
        photographs: pictures.
        reviewer: who decides, unless a page says otherwise.
    """

    warehouse: Warehouse
    reference: LinearReference | None = None
    photographs: Photographs = field(default_factory=Photographs)
    reviewer: str = ""

    def __post_init__(self) -> None:
        self.releases = Releases(self.warehouse)
        self.zone = time_zone(self.warehouse.store)
        self._registers, self._large = Kept[int, MapRegister](REGISTERS), Kept[int, MapRegister](1)
        self._tiles = Kept[tuple[object, ...], bytes](TILE_BYTES, size=len)
        self._details = Kept[tuple[int, str], Details](1000)
        self._kilometres = roads.kilometres(self.reference) if self.reference else None

    def register(self, release: Release) -> MapRegister:
        """The register of a release."""
        if release.rows("assets") > MANY:  # two of that size do not fit
            return self._large.get(release.number, lambda: load_register(self.warehouse, release), alone=True)
        return self._registers.get(release.number, lambda: load_register(self.warehouse, release))

    def described(self, release: Release) -> dict[str, Any]:
        """A release for a page: what there is to choose from, and where it lies."""
        register = self.register(release)
        counts = np.zeros((len(register.classes), len(STATES)), int)
        np.add.at(counts, (register.kind, register.state), 1)
        bounds = register.bounds()
        corners = None
        if bounds:
            west, north, east, south = bounds
            lon, lat = degrees(np.array([west, east]), np.array([south, north]))
            corners = [[lon[0], lat[0]], [lon[1], lat[1]]]
        return {
            "release": release.number,
            "key": self.releases.key(release),
            "created_at": release.created_at,
            "note": release.note,
            "assets": len(register),
            "bounds": corners,
            "states": STATES,
            "classes": [
                {"name": name, "color": color, "line": HIGHWAY.get(name).geometry == "line", "counts": row.tolist()}
                for name, color, row in zip(register.classes, colors_of(register.classes), counts, strict=True)
            ],
            "routes": [code for code in register.routes if code],
        }

    def opened(self) -> dict[str, Any]:
        """What a page begins with."""
        current = self.releases.current()
        return {
            "warehouse": self.warehouse.store.uri,
            "zone": self.zone,
            "reference": self.reference is not None,
            "reviewer": self.reviewer,
            "releases": self.releases.listed(),
            "view": self.described(current),
        }

    def details(self, release: Release, asset_id: str) -> Details:
        """What is known of an asset."""

        def found() -> Details:
            known = self.register(release).row_of(asset_id) is not None
            now = asset_id if known else current_id(self.warehouse, release, asset_id)
            return read_details(self.warehouse, release, [now])[0]

        return self._details.get((release.number, asset_id), found)

    def tile(self, kind: str, release: Release, place: tuple[int, int, int], wanted: Filter) -> bytes:
        """A vector tile: of ``assets``, ``drives`` or ``kilometres``."""
        if kind == "assets":
            check_tile(*place)
            make: Callable[[], bytes] = lambda: cut_tile(self.register(release), *place, wanted)  # noqa: E731
        elif kind == "drives":
            check_tile(*place, max_zoom=roads.DRIVES_TO)
            make = lambda: roads.cut_drives(self.warehouse, release, *place)  # noqa: E731
        elif kind == "kilometres" and self._kilometres:
            check_tile(*place)
            known = self._kilometres
            make = lambda: roads.cut_kilometres(known, *place)  # noqa: E731
        else:
            raise NotFound(f"tile: got {kind!r}; expected assets or drives, or kilometres where there is a reference")
        return self._tiles.get((kind, release.number, place, wanted if kind == "assets" else None), make)

    def changes(self, release: Release, since: str | None, until: str | None) -> list[dict[str, Any]]:
        """The register's changes of some days, the newest first."""
        days = read_filter({"since": [since or ""], "until": [until or ""]}, self.zone)
        span = [f"changed_at >= TIMESTAMPTZ '{days.since} 00:00:00'"] if days.since else []
        span += [f"changed_at < TIMESTAMPTZ '{days.until} 00:00:00' + INTERVAL 1 DAY"] if days.until else []
        sql = (
            "SELECT changed_at, change, class, asset_id, route_code, km_m, side, lon, lat, drive_id, state "  # noqa: S608 - dates
            f"FROM changes_since WHERE {' AND '.join(span) or 'true'} ORDER BY changed_at DESC, asset_id LIMIT {LISTED}"
        )
        return [plain(row) for row in query_release(self.warehouse, release, sql).to_pylist()]


def application(site: Site) -> Starlette:
    """The site as an ASGI application."""
    of_release = "/data/{release}"
    return Starlette(
        routes=[
            Route("/", lambda _: FileResponse(STATIC / "index.html", headers={"Cache-Control": "no-cache"})),
            Route("/data/view.json", lambda _: JSONResponse(site.opened(), headers=NOW)),
            Route("/data/now.json", lambda _: JSONResponse(site.releases.newest(), headers=NOW)),
            Route(f"{of_release}/view.json", _of_release(site, lambda r, _: _json(site.described(r)))),
            Route(f"{of_release}/assets.json", _of_release(site, lambda r, q: _listed(site, r, q))),
            Route(f"{of_release}/assets.csv", _of_release(site, lambda r, q: _download(site, r, q, "csv"))),
            Route(f"{of_release}/assets.geojson", _of_release(site, lambda r, q: _download(site, r, q, "geojson"))),
            Route(f"{of_release}/search.json", _of_release(site, lambda r, q: _search(site, r, q))),
            Route(f"{of_release}/changes.json", _of_release(site, lambda r, q: _changes(site, r, q))),
            Route(
                f"{of_release}/survey.json", _of_release(site, lambda r, _: _json(roads.survey_age(site.warehouse, r)))
            ),
            Route(f"{of_release}/asset.json", _of_release(site, lambda r, q: _asset(site, r, q))),
            Route(
                f"{of_release}/photo/{{number:int}}/{{size}}",
                _of_release(site, lambda r, q: _photo(site, r, q)),
            ),
            Route(
                f"{of_release}/tiles/{{kind}}/{{z:int}}/{{x:int}}/{{y:int}}",
                _of_release(site, lambda r, q: _tile(site, r, q)),
            ),
            Route(
                "/reviews.json", lambda _: JSONResponse(deciding.pending(site.warehouse), headers=NOW), methods=["GET"]
            ),
            Route("/reviews.json", _sent(site, _decide), methods=["POST"]),
            Route("/undo.json", _sent(site, _undo), methods=["POST"]),
            *ogc.routes(site),
            Mount("/static", StaticFiles(directory=STATIC)),
        ],
        exception_handlers=dict.fromkeys(STATUS, _told),
    )


def _told(_: Request, error: Exception) -> Response:
    """An error as JSON, for a page to show as text."""
    code = next(code for kind, code in STATUS.items() if isinstance(error, kind))
    return JSONResponse({"error": str(error)}, code, headers=NOW)


def _of_release(site: Site, answer: Callable[[Release, Request], Response]) -> Callable[[Request], Response]:
    """An endpoint whose address begins with a release; it runs in a thread, as Starlette has it of plain functions."""

    def endpoint(request: Request) -> Response:
        return answer(site.releases.of_key(request.path_params["release"]), request)

    return endpoint


def _sent(site: Site, answer: Callable[[Site, bytes], dict[str, Any]]) -> Callable[[Request], Awaitable[Response]]:
    """An endpoint that takes JSON; what it does runs in a thread."""

    async def endpoint(request: Request) -> Response:
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > MAX_SENT:
                raise ConfigError(f"got more than {MAX_SENT} bytes; expected one decision")
        return JSONResponse(await run_in_threadpool(answer, site, body), headers=NOW)

    return endpoint


def _decide(site: Site, body: bytes) -> dict[str, Any]:
    return deciding.take(site.warehouse, site.releases.current(), read_json(body, deciding.Sent))


def _undo(site: Site, body: bytes) -> dict[str, Any]:
    return deciding.take_back(site.warehouse, str(read_json(body).get("id", "")))


def _json(tree: Any) -> Response:
    return JSONResponse(tree, headers=FOREVER)


def _wanted(site: Site, request: Request) -> Filter:
    query = request.query_params
    return read_filter({name: query.getlist(name) for name in query}, site.zone)


def _listed(site: Site, release: Release, request: Request) -> Response:
    register = site.register(release)
    rows = lists.rows_passing(register, _wanted(site, request), lists.read_box(request.query_params.get("bbox")))
    choose = lists.worst_first if request.query_params.get("order") == "worst" else lists.along_roads
    shown = lists.table(register, choose(register, rows, LISTED))
    return _json({"count": len(rows), "rows": [plain(row) for row in shown.to_pylist()]})


def _download(site: Site, release: Release, request: Request, kind: str) -> Response:
    register = site.register(release)
    rows = lists.rows_passing(register, _wanted(site, request), lists.read_box(request.query_params.get("bbox")))
    rows = lists.along_roads(register, rows, len(rows))
    text: Iterable[str] = (lists.csv_lines if kind == "csv" else lists.geojson)(register, rows)
    name = f"assets-release-{release.number}.{kind}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', **NOW}
    return StreamingResponse(text, media_type="text/csv" if kind == "csv" else "application/geo+json", headers=headers)


def _search(site: Site, release: Release, request: Request) -> Response:
    return _json(find(site.register(release), request.query_params.get("q", "")[:100], site.reference))


def _changes(site: Site, release: Release, request: Request) -> Response:
    query: Mapping[str, str] = request.query_params
    return _json(site.changes(release, query.get("since"), query.get("until")))


def _asset(site: Site, release: Release, request: Request) -> Response:
    return _json(site.details(release, request.query_params.get("id", "")).to_dict())


def _photo(site: Site, release: Release, request: Request) -> Response:
    size, number = request.path_params["size"], request.path_params["number"]
    photographs = site.details(release, request.query_params.get("id", "")).photographs
    if size not in ("crop", "frame") or number >= len(photographs):
        raise NotFound(f"photo: got {number}/{size}; the asset has {len(photographs)}, each as crop and as frame")
    return Response(site.photographs.picture(photographs[number], size), media_type="image/jpeg", headers=FOREVER)


def _tile(site: Site, release: Release, request: Request) -> Response:
    place = tuple(request.path_params[name] for name in "zxy")
    data = site.tile(request.path_params["kind"], release, place, _wanted(site, request))
    return Response(data, media_type=MVT, headers=FOREVER)
