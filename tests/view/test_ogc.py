"""OGC API - Features, asked by hand, by Debian's and pyogrio's GDAL, and by QGIS where it is installed."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from support.qgis import in_qgis, needs_qgis
from support.viewed import Pages, served, warehouse_of

from roadscan.inventory.query import query
from roadscan.view import open_site
from roadscan.view.ogc import MOST, USUAL

HOSTILE = "<script>alert(1)</script>'\"/../%2e"
LOOK = """
layer = QgsVectorLayer(f"url='{sys.argv[1]}' typename='{name}'", name, "OAPIF")
assert layer.isValid(), layer.error().message()
found[name] = [layer.geometryType(), sorted(one["asset_id"] for one in layer.getFeatures())]
"""
READ = """
import json, pyogrio, sys
every = pyogrio.read_dataframe(sys.argv[1], layer="assets", PAGE_SIZE="5")
suspect = pyogrio.read_dataframe(sys.argv[1], layer="assets", where="state = 'suspect'")
print(json.dumps([list(every["asset_id"]), list(suspect["asset_id"])]))
"""
ogrinfo = pytest.mark.skipif(shutil.which("ogrinfo") is None, reason="needs ogrinfo, of Debian's gdal-bin")


@pytest.fixture(scope="module")
def ogc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pages]:
    """Twelve points 0.01 degrees apart and two rails, one across the 180th meridian's neighbourhood."""
    points = [{"asset_id": f"p{n:02d}", "lon": 100.5 + n / 100, "lat": 13.75, "state": "missing"} for n in range(12)]
    points[3] |= {"asset_id": HOSTILE, "class": HOSTILE, "state": "suspect", "route_code": "0002", "side": "left"}
    points[4] |= {"asset_id": "east", "lon": 179.9, "lat": -16.0}
    points[5] |= {"asset_id": "west", "lon": -179.9, "lat": -16.0}
    rails = [{"asset_id": f"r{n}", "line": [(100.5, 13.0 + n), (100.6, 13.0 + n)]} for n in range(2)]
    with served(open_site(warehouse_of(tmp_path_factory.mktemp("ogc"), *points, *rails).store.uri)) as pages:
        yield pages


def ids(ogc: Pages, query_: str, name: str = "assets") -> set[str]:
    answer = ogc.get(f"ogc/collections/{name}/items?{query_}")
    assert answer.status == 200, answer.body
    told = answer.json()
    assert told["numberMatched"] == told["numberReturned"] == len(told["features"])
    return {one["id"] for one in told["features"]}


def test_from_the_landing_page_everything_is_found_by_its_links(ogc: Pages) -> None:
    landing = ogc.get("ogc").json()
    rel = {link["rel"]: link["href"].removeprefix(ogc.address) for link in landing["links"]}
    assert {"self", "service-desc", "conformance", "data"} == rel.keys()
    conforms = ogc.get(rel["conformance"]).json()["conformsTo"]
    assert "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core" in conforms
    described = ogc.get(rel["service-desc"])
    assert described.headers["content-type"] == "application/vnd.oai.openapi+json;version=3.0"
    assert described.json()["components"]["parameters"]["limit"]["schema"]["maximum"] == MOST
    collections = ogc.get(rel["data"]).json()["collections"]
    assert [one["id"] for one in collections] == ["assets", "assets_lines"]
    for one in collections:
        of = {link["rel"]: link["href"].removeprefix(ogc.address) for link in one["links"]}
        alone = ogc.get(of["self"]).json()
        assert alone == one
        items = ogc.get(of["items"])
        assert items.headers["content-type"] == "application/geo+json"
        assert items.json()["type"] == "FeatureCollection"
    west, south, east, north = collections[1]["extent"]["spatial"]["bbox"][0]
    # Whole rails, to the 9 mm that the map has: 40,075 km / 2**32.
    assert (west, south, east, north) == pytest.approx((100.5, 13.0, 100.6, 14.0), abs=1e-6)


def test_figures_are_those_of_the_query(ogc: Pages) -> None:
    uri = ogc.site.warehouse.store.uri
    for name, condition in (("assets", "length_m IS NULL"), ("assets_lines", "length_m IS NOT NULL")):
        (row,) = query(uri, f"SELECT count(*) AS n FROM assets WHERE {condition}").to_pylist()
        assert ogc.get(f"ogc/collections/{name}/items?limit=1").json()["numberMatched"] == row["n"] > 1


def test_pages_follow_each_other_to_the_last_and_have_everything_once(ogc: Pages) -> None:
    path, seen, pages = "ogc/collections/assets/items?limit=5&state=missing&state=suspect", list[str](), 0
    while path:
        told = ogc.get(path).json()
        seen += [one["id"] for one in told["features"]]
        pages += 1
        following = [link["href"] for link in told["links"] if link["rel"] == "next"]
        path = following[0].removeprefix(ogc.address) if following else ""
    assert (pages, len(seen), len(set(seen))) == (3, 12, 12)  # 5 and 5 and 2
    assert ogc.get("ogc/collections/assets/items?limit=12").json()["links"][-1]["rel"] != "next"
    assert ogc.get(f"ogc/collections/assets/items?limit={MOST * 100}").json()["numberReturned"] == 12
    assert ogc.get("ogc/collections/assets/items?offset=99").json()["features"] == []
    assert USUAL > 12


def test_a_box_a_time_and_properties_choose(ogc: Pages) -> None:
    assert ids(ogc, "bbox=100.495,13.7,100.515,13.8") == {"p00", "p01"}
    assert ids(ogc, "bbox=100.495,13.7,-9,100.515,13.8,9") == {"p00", "p01"}
    assert ids(ogc, "bbox=179,-20,-179,0") == {"east", "west"}  # across the 180th meridian
    # A rail from 100.5 to 100.6 has its middle at 100.55, outside of a box about its end.
    assert ids(ogc, "bbox=100.59,12.9,100.7,13.1", "assets_lines") == {"r0"}
    assert ids(ogc, "state=suspect") == ids(ogc, f"class={quote(HOSTILE)}") == {HOSTILE}
    assert ids(ogc, "route_code=2&side=left") == {HOSTILE}
    assert ids(ogc, "asset_id=p01") == {"p01"}
    assert ids(ogc, "asset_id=nobody") == set()
    row = query(ogc.site.warehouse.store.uri, "SELECT any_value(first_seen) AS t FROM assets").to_pylist()[0]["t"]
    seen = row.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert len(ids(ogc, f"datetime={seen}")) == len(ids(ogc, f"datetime={row.date()}")) == 12
    assert len(ids(ogc, f"datetime=../{seen}")) == len(ids(ogc, f"datetime={seen}/..")) == 12
    assert ids(ogc, "datetime=1990-01-01/1990-12-31") == set()


def test_a_feature_is_found_by_its_id_whatever_it_is_called(ogc: Pages) -> None:
    one = ogc.get(f"ogc/collections/assets/items/{quote(HOSTILE, safe='')}")
    assert one.status == 200
    assert one.headers["content-type"] == "application/geo+json"
    assert one.json()["properties"]["class"] == one.json()["id"] == HOSTILE
    assert one.json()["geometry"]["type"] == "Point"
    assert one.json()["geometry"]["coordinates"] == pytest.approx([100.53, 13.75], abs=1e-6)
    assert ogc.get("ogc/collections/assets_lines/items/r1").json()["geometry"]["type"] == "LineString"
    assert ogc.get("ogc/collections/assets/items/r1").status == 404


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("ogc/collections/nothing", 404),
        ("ogc/collections/nothing/items", 404),
        ("ogc/collections/assets/items/nobody", 404),
        ("ogc/collections/assets/items?limit=0", 400),
        ("ogc/collections/assets/items?limit=-1", 400),
        ("ogc/collections/assets/items?limit=%D9%A3", 400),
        ("ogc/collections/assets/items?offset=x", 400),
        ("ogc/collections/assets/items?bbox=1,2,3", 400),
        ("ogc/collections/assets/items?bbox=1,2,3,nan", 400),
        ("ogc/collections/assets/items?bbox=9,2,3,x", 400),
        ("ogc/collections/assets/items?datetime=yesterday", 400),
        ("ogc/collections/assets/items?datetime=2026-13-01", 400),
        ("ogc/collections/assets/items?datetime=2026-02-01/2026-01-01", 400),
        ("ogc/collections/assets/items?datetime=../..", 400),
        ("ogc/collections/assets/items?clas=x", 400),  # part 1, 7.15.1: an unknown parameter is refused
        ("ogc/collections/assets/items?release=1-0000000000", 404),
        ("ogc/x", 404),
    ],
)
def test_what_is_wrong_is_said_in_a_line(ogc: Pages, path: str, status: int) -> None:
    answer = ogc.get(path)
    assert answer.status == status
    assert b"Traceback" not in answer.body


def test_it_is_guarded_as_the_pages_are(ogc: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ogc.get("ogc", {"Host": "evil.example"}).status == 421
    assert "default-src 'self'" in ogc.get("ogc").headers["content-security-policy"]
    assert "access-control-allow-origin" not in ogc.get("ogc").headers
    monkeypatch.setenv("ROADSCAN_VIEW_TOKEN", "long-and-secret")
    with served(ogc.site, host="0.0.0.0") as others:
        assert others.get("ogc/collections").status == 401
        basic = base64.b64encode(b"anybody:long-and-secret").decode()
        wrong = base64.b64encode(b"long-and-secret:anybody").decode()
        assert others.get("ogc/collections", {"Authorization": "Bearer long-and-secret"}).status == 200
        assert others.get("ogc/collections", {"Authorization": f"Basic {basic}"}).status == 200
        assert others.get("ogc/collections", {"Authorization": f"Basic {wrong}"}).status == 401
        assert others.get("ogc/collections", {"Authorization": "Bearer wrong"}).status == 401
        assert "www-authenticate" not in others.get("ogc/collections").headers  # a browser would keep and send it


def test_gdal_of_pyogrio_reads_every_feature(ogc: Pages) -> None:
    done = subprocess.run(  # a process of its own: GDAL waits with the lock of the interpreter that has to answer
        [sys.executable, "-c", READ, f"OAPIF:{ogc.address}ogc"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout, done.stderr
    every, suspect = json.loads(done.stdout)
    assert (set(every), len(every), suspect) == (ids(ogc, ""), 12, [HOSTILE])


@ogrinfo
def test_debians_ogrinfo_opens_it(ogc: Pages) -> None:
    done = subprocess.run(
        ["ogrinfo", "-ro", "-so", "-al", f"OAPIF:{ogc.address}ogc"],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stderr == ""
    told = [line for line in done.stdout.splitlines() if line.startswith(("Layer name", "Geometry:", "Feature Count"))]
    assert told == [
        "Layer name: assets", "Geometry: Point", "Feature Count: 12",
        "Layer name: assets_lines", "Geometry: Line String", "Feature Count: 2",
    ]  # fmt: skip


@pytest.mark.slow
@needs_qgis
def test_qgis_connects_and_has_every_feature(ogc: Pages, tmp_path: Path) -> None:
    found = in_qgis(LOOK, f"{ogc.address}ogc", tmp_path)
    assert found == {"assets": [0, sorted(ids(ogc, ""))], "assets_lines": [1, ["r0", "r1"]]}
