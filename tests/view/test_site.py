"""Requests to a real server, of a register of three nights."""

from __future__ import annotations

import io
import json
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from support.viewed import NIGHTS, Pages, nights, served, warehouse_of
from support.world import commit, drive, make_world

from roadscan.errors import ConfigError, RoadscanError, WarehouseError
from roadscan.inventory import InventoryConfig, update_inventory
from roadscan.inventory.query import query
from roadscan.view import open_site, prepare
from roadscan.view.details import Photograph
from roadscan.view.photographs import Photographs
from roadscan.warehouse import Warehouse


def rows_of(pages: Pages, query_: str = "") -> list[dict]:
    return pages.get(f"data/{pages.key}/assets.json{query_}").json()["rows"]


def test_a_page_begins_with_the_newest_release_and_knows_those_whose_register_differed(pages: Pages) -> None:
    opened = pages.get("data/view.json").json()
    counted = query(pages.site.warehouse.store.uri, "SELECT class, count(*) AS n FROM assets GROUP BY ALL").to_pylist()
    assert {one["name"]: sum(one["counts"]) for one in opened["view"]["classes"]} == {
        one["class"]: one["n"] for one in counted
    }
    assert len(opened["releases"]) == NIGHTS
    assert opened["releases"][-1]["release"] == opened["view"]["release"]
    assert len({one["color"] for one in opened["view"]["classes"]}) == len(opened["view"]["classes"])


def test_an_earlier_release_has_the_assets_that_it_had_then(pages: Pages) -> None:
    first = pages.get("data/view.json").json()["releases"][0]
    shown = pages.get(f"data/{first['key']}/assets.json").json()
    warehouse = pages.site.warehouse
    release = next(one for one in warehouse.history() if one.number == first["release"])
    assert shown["count"] == release.rows("assets") == len(shown["rows"])
    assert sorted(one["asset_id"] for one in shown["rows"]) == sorted(
        warehouse.read(release, "assets")["asset_id"].to_pylist()
    )


def test_an_asset_has_a_photograph_of_each_night_that_saw_it(pages: Pages) -> None:
    one = max(rows_of(pages), key=lambda row: row["n_nights"])
    details = pages.get(f"data/{pages.key}/asset.json?id={one['asset_id']}").json()
    seen = [drive["drive_id"] for drive in details["drives"] if drive["seen"]]
    assert len(seen) == one["n_nights"] == NIGHTS
    assert [shown["drive_id"] for shown in details["photographs"]] == seen  # both the newest first
    uris = {
        row["image_uri"]
        for row in query(
            pages.site.warehouse.store.uri,
            f"SELECT image_uri FROM asset_observations WHERE asset_id = '{one['asset_id']}'",
        ).to_pylist()
    }
    assert {shown["uri"] for shown in details["photographs"]} <= uris
    for number in range(len(seen)):
        picture = pages.get(f"data/{pages.key}/photo/{number}/crop?id={one['asset_id']}")
        assert picture.headers["content-type"] == "image/jpeg"
        assert Image.open(io.BytesIO(picture.body)).size == (512, 512)
    assert Image.open(io.BytesIO(pages.get(f"data/{pages.key}/photo/0/frame?id={one['asset_id']}").body)).size == (
        1280,
        720,
    )


def test_an_asset_that_a_drive_missed_shows_where_that_drive_looked(pages: Pages) -> None:
    absent = [row for row in rows_of(pages) if row["state"] in ("suspect", "missing")]
    assert absent
    details = pages.get(f"data/{pages.key}/asset.json?id={absent[0]['asset_id']}").json()
    without = [one for one in details["photographs"] if one["box_px"] is None]
    unseen = {drive["drive_id"] for drive in details["drives"] if not drive["seen"]}
    assert without
    assert {one["drive_id"] for one in without} <= unseen


def test_a_crop_shows_what_lies_around_the_box_in_its_middle(tmp_path: Path) -> None:
    image = np.zeros((400, 600, 3), np.uint8)
    image[150:250, 280:320] = (0, 0, 255)  # 40 wide, 100 high
    cv2.imwrite(str(tmp_path / "a.png"), image)
    shown = Photograph(str(tmp_path / "a.png"), (280.0, 150.0, 320.0, 250.0), {})
    picture = np.asarray(Image.open(io.BytesIO(Photographs().picture(shown, "crop"))).convert("RGB")).astype(int)
    red = picture[..., 0] - picture[..., 2] > 120
    rows, columns = np.flatnonzero(red.any(axis=1)), np.flatnonzero(red.any(axis=0))
    # 512 px show 100 px and 0.75 times as much on both sides: 2.048 px a pixel, so 205 high and 82 wide, in the middle.
    assert (rows[0] + rows[-1]) / 2 == pytest.approx(255.5, abs=2)
    assert len(rows) == pytest.approx(204.8, abs=4)
    assert len(columns) == pytest.approx(81.9, abs=4)


def test_moved_images_are_read_where_they_are_now(tmp_path: Path) -> None:
    (tmp_path / "now").mkdir()
    cv2.imwrite(str(tmp_path / "now" / "a.png"), np.zeros((40, 60, 3), np.uint8))
    shown = Photograph("s3://raw/2026/a.png", None, {})
    moved = Photographs({"s3://raw/": "s3://nowhere/", "s3://raw/2026": str(tmp_path / "now")})
    assert Image.open(io.BytesIO(moved.picture(shown, "frame"))).size == (60, 40)


def test_an_image_that_is_gone_or_none_is_said_and_nothing_of_a_file_is_shown(tmp_path: Path) -> None:
    secret = tmp_path / "passwords.txt"
    secret.write_text("root:secret")
    here = {"lon": 100.5, "lat": 13.7, "evidence_box_px": [1.0, 1.0, 30.0, 30.0]}
    warehouse = warehouse_of(
        tmp_path / "w",
        here | {"asset_id": "gone", "evidence_uri": str(tmp_path / "gone.jpg")},
        here | {"asset_id": "other", "evidence_uri": str(secret)},
        here | {"asset_id": "device", "evidence_uri": "/dev/zero"},
        here | {"asset_id": "endless", "evidence_box_px": [float("nan"), 1.0, 30.0, 30.0]},
    )
    with served(open_site(warehouse.store.uri)) as pages:
        answers = {one: pages.get(f"data/{pages.key}/photo/0/crop?id={one}") for one in ("gone", "other", "device")}
        assert answers["gone"].status == 404
        assert answers["other"].status == 422
        assert answers["device"].status == 404  # it is no regular file
        for answer in answers.values():
            assert b"secret" not in answer.body
            assert answer.json()["error"]
        assert pages.get(f"data/{pages.key}/asset.json?id=endless").json()["photographs"][0]["box_px"] is None


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("data/{key}/asset.json?id=nobody", 404),
        ("data/{key}/asset.json?id=' OR 1=1 --", 404),
        ("data/{key}/photo/0/crop?id=nobody", 404),
        ("data/{key}/photo/99/crop?id={id}", 404),
        ("data/{key}/photo/0/whole?id={id}", 404),
        ("data/{key}/photo/0/..%2F..%2Fetc%2Fpasswd?id={id}", 404),
        ("data/{key}/tiles/assets/30/0/0", 400),
        ("data/{key}/tiles/other/3/0/0", 404),
        ("data/{key}/tiles/kilometres/3/0/0", 404),
        ("data/{key}/assets.json?km=x", 400),
        ("data/{key}/changes.json?since=x", 400),
        ("data/99-0000000000/view.json", 404),
        ("data/1-0000000000/view.json", 404),
        ("data/..%2f..%2f/view.json", 404),
        ("static/..%2f..%2f..%2fpyproject.toml", 404),
        ("static/../site.py", 404),
    ],
)
def test_what_is_not_there_is_said_in_a_line(pages: Pages, path: str, status: int) -> None:
    path = path.format(key=pages.key, id=rows_of(pages)[0]["asset_id"]).replace(" ", "%20").replace("'", "%27")
    answer = pages.get(path)
    assert answer.status == status
    assert b"Traceback" not in answer.body


def test_places_are_found_by_id_coordinates_and_kilometre(tmp_path: Path) -> None:
    here = {"lon": 100.5, "lat": 13.7}
    warehouse = warehouse_of(
        tmp_path,
        here | {"asset_id": "01ABC", "route_code": "0002", "km_m": 2400},
        here | {"asset_id": "01ABD", "route_code": "0035", "km_m": 2440, "lon": 100.6},
    )
    with served(open_site(str(warehouse.store.uri))) as pages:

        def found(text: str) -> list[tuple]:
            rows = pages.get(f"data/{pages.key}/search.json?q={text.replace('+', '%2B').replace(' ', '%20')}").json()
            return [(one["kind"], one.get("id"), one["lon"], one["lat"]) for one in rows]

        assert found("01abc") == [("asset", "01ABC", pytest.approx(100.5), pytest.approx(13.7))]
        assert [one[1] for one in found("01AB")] == ["01ABC", "01ABD"]
        assert [one[1] for one in found("2+430")] == ["01ABD", "01ABC"]  # 10 m and 30 m away
        assert [one[1] for one in found("2 2+430")] == ["01ABC"]
        assert found("99+000") == found("") == found("<script>") == []
        assert found("13.75, 100.5") == [("place", None, 100.5, 13.75)]
        assert found("100.5 13.75") == [("place", None, 100.5, 13.75)]


def test_a_release_that_is_published_meanwhile_is_told_and_the_one_on_the_page_stays(tmp_path: Path) -> None:
    warehouse = nights(tmp_path, count=1, length_m=250.0)
    with served(open_site(warehouse.store.uri)) as pages:
        key, before = pages.key, pages.get("data/now.json").json()["release"]
        rows = pages.get(f"data/{key}/assets.json").json()
        commit(warehouse, drive(make_world(seed=3, length_m=250.0), 1))
        update_inventory(InventoryConfig(warehouse=warehouse.store.uri))
        assert pages.get("data/now.json").json()["release"] == before + 2  # the drive, and the register
        assert pages.get(f"data/{key}/assets.json").json() == rows


def test_another_hosts_name_is_not_answered_on_loopback(pages: Pages) -> None:
    assert pages.get("data/view.json", {"Host": "evil.example"}).status == 421
    assert pages.get("data/view.json", {"Host": "127.0.0.1.evil.example:80"}).status == 421
    assert pages.get("data/view.json", {"Host": "localhost:1234"}).status == 200
    assert pages.get("data/view.json", {"Host": "[::1]:8765"}).status == 200


def test_every_answer_forbids_what_a_page_does_not_need(pages: Pages) -> None:
    for path in ("", "data/view.json", "static/app.js", "nothing"):
        headers = {name.lower(): value for name, value in pages.get(path).headers.items()}
        assert "default-src 'self'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


def test_an_address_that_others_reach_demands_a_token(pages: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROADSCAN_VIEW_TOKEN", "long-and-secret")
    with served(pages.site, host="0.0.0.0") as open_pages:
        assert open_pages.get("data/view.json").status == 401
        assert open_pages.get("data/view.json?token=wrong").status == 401
        assert open_pages.get("data/view.json", {"Cookie": "roadscan=wrong"}).status == 401
        assert open_pages.get("data/view.json", {"Cookie": "roadscan=long-and-secret"}).status == 200
        assert open_pages.get("", {"Host": "roads.example", "Cookie": "roadscan=long-and-secret"}).status == 200


def test_without_a_token_of_ones_own_one_is_made_and_printed(pages: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ROADSCAN_VIEW_TOKEN", raising=False)
    addresses = set()
    for _ in range(2):
        made = prepare(pages.site, "0.0.0.0", 0)
        made.listening.close()
        addresses.add(made.address.partition("token=")[2])
    assert all(len(token) >= 32 for token in addresses)
    assert len(addresses) == 2


def test_a_port_that_is_taken_is_an_error_that_says_so(pages: Pages) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(RoadscanError, match=f"port: {taken.getsockname()[1]} is taken"):
            prepare(pages.site, port=taken.getsockname()[1])
    with pytest.raises(RoadscanError, match=r"host: got 203\.0\.113\.7"):
        prepare(pages.site, "203.0.113.7", 0)


def test_a_warehouse_without_a_register_is_one_line_and_exit_code_1(here, tmp_path: Path) -> None:
    done = here("view", str(tmp_path / "nothing"))
    assert (done.returncode, done.stdout) == (1, "")
    assert "no warehouse here" in done.stderr
    Warehouse(str(tmp_path / "empty")).publish(
        lambda release: Warehouse(str(tmp_path / "empty")).replacement(release, [], "nothing", ["runs"])
    )
    with pytest.raises(WarehouseError, match="no register there; run roadscan inventory"):
        open_site(str(tmp_path / "empty"))
    with pytest.raises(ConfigError, match="images: got 's3://raw'; expected FROM=TO"):
        open_site(str(tmp_path / "empty"), images=["s3://raw"])


def test_the_command_serves_until_it_is_interrupted_and_that_is_no_error(pages: Pages) -> None:
    command = [sys.executable, "-c", "from roadscan.cli import main; main()", "view", pages.site.warehouse.store.uri]
    with subprocess.Popen(
        [*command, "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as started:
        assert started.stdout is not None
        address = started.stdout.readline().split()[0]
        assert address.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(f"{address}data/now.json") as answer:
            assert json.load(answer)["key"] == pages.key
        started.send_signal(signal.SIGINT)
        _, errors = started.communicate(timeout=120)
    assert (started.returncode, errors) == (0, "")
