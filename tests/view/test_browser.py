"""The page in a real Chromium, which finds nothing but this server."""

from __future__ import annotations

import functools
import shutil
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from support.viewed import NIGHTS, Pages, nights, served, warehouse_of

from roadscan.inventory import InventoryConfig, update_inventory
from roadscan.view import export_site, open_site

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium: apt-get install chromium"),
]
LIMIT_MS = 120_000  # only against hanging
ARGUMENTS = [
    "--no-sandbox", "--disable-background-networking", "--no-first-run", "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
]  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[sync_api.Browser]:
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield started
        started.close()


class Shown:
    """A page that is shown; what it asked of others, and its errors."""

    def __init__(self, browser: sync_api.Browser, address: str, width: int = 1400, height: int = 900) -> None:
        self.context = browser.new_context(viewport={"width": width, "height": height})
        self.context.set_default_timeout(LIMIT_MS)
        self.page = self.context.new_page()
        self.errors: list[str] = []
        self.asked: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda said: self.errors.append(said.text) if said.type == "error" else None)
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(address)
        self.page.wait_for_selector("html[data-ready=yes]")

    def close(self, address: str, expected: str = "none is") -> None:
        """No errors but such as are expected, and no request to another host."""
        self.context.close()
        assert [error for error in self.errors if expected not in error] == []
        assert [url for url in self.asked if not url.startswith((address, "data:", "blob:"))] == []


def test_an_asset_is_found_with_its_photographs_filtered_and_seen_back_in_time(browser, pages: Pages) -> None:
    shown = Shown(browser, pages.address)
    page = shown.page
    assert page.locator("#count").inner_text().startswith(str(len(pages.site.register(pages.site.releases.current()))))
    one = next(row for row in pages.get(f"data/{pages.key}/assets.json").json()["rows"] if row["n_nights"] == NIGHTS)
    page.keyboard.press("/")
    page.keyboard.type(one["asset_id"])
    page.keyboard.press("Enter")
    page.wait_for_selector(".photographs .strip button")
    assert page.locator(".photographs .strip button").count() == NIGHTS
    page.wait_for_function(
        "() => [...document.querySelectorAll('.photographs img')].every((one) => one.naturalWidth === 512)"
    )
    assert one["asset_id"] in page.url
    first = page.locator(".caption").inner_text()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("text => document.querySelector('.caption').innerText !== text", arg=first)
    page.keyboard.press("Escape")
    page.keyboard.press("f")
    page.locator(".chip", has_text=one["class"]).click()
    same = pages.get(f"data/{pages.key}/assets.json?class={one['class'].replace(' ', '%20')}").json()["count"]
    page.wait_for_function("n => document.getElementById('count').innerText.startsWith(`${n} `)", arg=same)
    page.keyboard.press("[")
    page.wait_for_function("() => new URLSearchParams(location.hash.slice(1)).get('release')")
    before = page.locator("#time output").inner_text()
    assert "Release" in before
    address = page.url
    page.goto("about:blank")
    page.goto(address)
    page.wait_for_selector("html[data-ready=yes]")
    assert page.locator("#time output").inner_text() == before
    assert page.locator('.chip[aria-pressed="true"]', has_text=one["class"]).count() == 1
    shown.close(pages.address)


def test_a_click_on_the_map_opens_what_is_there(browser, tmp_path: Path) -> None:
    warehouse = warehouse_of(tmp_path, {"asset_id": "only", "lon": 100.5, "lat": 13.75, "evidence_uri": None})
    with served(open_site(warehouse.store.uri)) as pages:
        shown = Shown(browser, f"{pages.address}#map=17/13.75/100.5")
        shown.page.wait_for_timeout(1500)  # until tiles are drawn: MapLibre tells nobody else of it
        box = shown.page.locator("#map").bounding_box()
        shown.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        shown.page.wait_for_selector("#asset dl")
        assert shown.page.locator("#asset .head code").inner_text() == "only"
        shown.close(pages.address)


HOSTILE = (
    "<img src=x onerror=window.hurt=1>", "<script>window.hurt=1</script>", "</title><svg onload=window.hurt=1>",
    "\x1b[31mred", "../../etc/passwd", "'\"`;window.hurt=1//", "javascript:window.hurt=1",
)  # fmt: skip


def test_hostile_names_ids_and_addresses_are_text(browser, tmp_path: Path) -> None:
    rows = [
        {"asset_id": text, "class": text, "lon": 100.5 + n / 5000, "lat": 13.75, "evidence_uri": text}
        | {"evidence_box_px": [1.0, 1.0, 9.0, 9.0], "route_code": text, "km_m": n, "last_drive_id": text}
        for n, text in enumerate(HOSTILE)
    ]
    warehouse = warehouse_of(tmp_path / "<b>warehouse", *rows)
    with served(open_site(warehouse.store.uri)) as pages:
        shown = Shown(browser, pages.address)
        page = shown.page
        assert page.locator(".chip span", has_text=HOSTILE[0]).first.inner_text() == HOSTILE[0]
        page.keyboard.press("l")
        page.wait_for_function("n => document.querySelectorAll('.rows button').length === n", arg=len(HOSTILE))
        for n in range(len(HOSTILE)):
            page.locator(".rows button").nth(n).click()
            page.wait_for_function(
                "names => names.includes(document.querySelector('#asset .head code')?.textContent) && "
                "document.querySelector('#asset .gone')", arg=list(HOSTILE),
            )  # fmt: skip
        page.locator("#search input").fill("<img")
        page.wait_for_selector("#found button")
        page.locator("#found button").first.click()
        assert page.evaluate("window.hurt") is None
        assert page.locator("img[src='x'], #side script, #asset script, svg[onload]").count() == 0
        shown.close(pages.address, expected="Failed to load resource")  # images that are not there


def test_on_a_phone_the_page_is_as_wide_as_it_and_everything_is_reached(browser, pages: Pages) -> None:
    shown = Shown(browser, pages.address, width=400, height=800)
    page = shown.page
    for name in ("Filter", "List", "Changes"):
        page.locator("#tabs button", has_text=name).click()
        page.wait_for_selector("#side:not([hidden])")
        assert page.evaluate("document.documentElement.scrollWidth") == 400
        assert page.locator("#side").bounding_box()["width"] == 400
        page.locator("#tabs button", has_text=name).click()
    page.locator("#tabs button", has_text="List").click()
    page.locator(".rows button").first.click()
    page.wait_for_selector("#asset dl")
    assert page.evaluate("document.documentElement.scrollWidth") == 400
    shown.close(pages.address)


def test_a_server_that_ended_is_told_and_the_page_stays(browser, tmp_path: Path) -> None:
    warehouse = warehouse_of(tmp_path, {"asset_id": "only", "lon": 100.5, "lat": 13.75})
    with served(open_site(warehouse.store.uri)) as pages:
        shown = Shown(browser, pages.address)
        shown.page.keyboard.press("l")
        shown.page.wait_for_selector(".rows button")
    shown.page.locator(".rows button").first.click()
    shown.page.wait_for_selector("#asset .failed")
    assert shown.page.locator(".rows button").count() == 1
    shown.context.close()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def test_an_exported_register_needs_no_server_of_ours(browser, pages: Pages, tmp_path: Path) -> None:
    made = export_site(pages.site, str(tmp_path / "out"))
    assert made.assets == len(pages.site.register(pages.site.releases.current()))
    assert made.photographs > made.assets
    assert made.shortfall is None
    plain = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(tmp_path / "out")))
    threading.Thread(target=plain.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{plain.server_port}/"
    shown = Shown(browser, address)
    page = shown.page
    assert page.locator("#count").inner_text() == f"{made.assets} assets"
    page.keyboard.press("l")
    page.locator(".rows button").first.click()
    page.wait_for_function("() => document.querySelector('.photographs img')?.naturalWidth === 512")
    page.keyboard.press("f")
    page.locator(".chip", has_text="Warning Sign").click()
    expected = pages.get(f"data/{pages.key}/assets.json?class=Warning%20Sign").json()["count"]
    page.wait_for_function("n => document.getElementById('count').innerText.startsWith(`${n} `)", arg=expected)
    assert page.locator("#tabs button", has_text="Review").count() == 0
    shown.close(address)
    plain.shutdown()
    plain.server_close()


def test_crops_are_judged_with_keys_taken_back_and_stick(browser, tmp_path: Path) -> None:
    warehouse = nights(tmp_path, count=2, length_m=300.0)
    with served(open_site(warehouse.store.uri, reviewer="somchai")) as pages:
        shown = Shown(browser, pages.address)
        page = shown.page
        page.keyboard.press("v")
        page.wait_for_selector(".judge .large img")
        page.wait_for_function("() => document.querySelector('.judge .large img').complete")
        order = [row["asset_id"] for row in pages.get(f"data/{pages.key}/assets.json?order=worst").json()["rows"]]
        assert page.locator("#review > code").inner_text() == order[0]
        for n, key in enumerate("raad"):
            page.wait_for_function("id => document.querySelector('#review > code').textContent === id", arg=order[n])
            page.keyboard.press(key)
        page.wait_for_function("id => document.querySelector('#review > code').textContent === id", arg=order[4])
        page.keyboard.press("n")
        page.keyboard.type("a shadow, <b>not</b> a sign")
        page.keyboard.press("Escape")
        page.keyboard.press("r")
        page.wait_for_function("() => document.body.dataset.unsent === '0'")
        page.wait_for_function("id => document.querySelector('#review > code').textContent === id", arg=order[5])
        decided = pages.get("reviews.json").json()
        assert [(one["asset_id"], one["action"]) for one in decided] == list(
            zip(order[:5], ["reject", "accept", "accept", "damaged", "reject"], strict=True)
        )
        assert decided[4]["note"] == "a shadow, <b>not</b> a sign"
        assert {one["reviewer"] for one in decided} == {"somchai"}
        page.keyboard.press("u")
        page.wait_for_function("id => document.querySelector('#review > code').textContent === id", arg=order[4])
        assert [one["asset_id"] for one in pages.get("reviews.json").json()] == order[:4]
        update_inventory(InventoryConfig(warehouse=warehouse.store.uri))
        details = pages.get(f"data/{pages.key}/asset.json?id={order[0]}").json()
        assert details["asset"]["state"] == "rejected"
        shown.close(pages.address)
