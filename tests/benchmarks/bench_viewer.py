"""How fast the map's server answers over a register of four million assets, and with how much memory.

    python tests/benchmarks/bench_views.py --keep /tmp/views --only none   # writes the register: 2 GB on disk
    python tests/benchmarks/bench_viewer.py /tmp/views
    python tests/benchmarks/bench_viewer.py /tmp/views --browser           # first paint in Debian's Chromium

`roadscan view` runs as a process of its own; each answer is timed from the request to its last byte over the loopback
address. Tiles are around assets chosen by chance at each zoom from 4 to 18, a third of them filtered; none is asked for
twice. The processor's time is of the whole server, for each tile.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from urllib.parse import quote

import numpy as np
import psutil
from rich.console import Console
from rich.table import Table

from roadscan.parsing import read_json
from roadscan.view.mercator import project

FILTERS = ("", "state=missing", f"class={quote('Bus Stop')}&since=2026-01-01")
ROUNDS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("warehouse", type=Path)
    parser.add_argument("--browser", action="store_true", help="also time the first paint in Chromium")
    arguments = parser.parse_args()
    started = time.perf_counter()
    command = [
        sys.executable,
        "-c",
        "from roadscan.cli import main; main()",
        "view",
        str(arguments.warehouse),
        "--port",
        "0",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            address = server.stdout.readline().split()[0]
            ready = time.perf_counter() - started
            measure(address, psutil.Process(server.pid), ready, browser=arguments.browser)
        finally:
            server.terminate()


def measure(address: str, process: psutil.Process, ready_s: float, *, browser: bool) -> None:
    """Ask, and print what it took."""
    console, opened = Console(width=110), read_json(get(f"{address}data/view.json")[0])
    key, rng = opened["view"]["key"], np.random.default_rng(0)
    console.print(f"{opened['view']['assets']:,} assets; ready after {ready_s:.1f} s, {cpu_s(process):.1f} CPU s")
    shown = read_json(get(f"{address}data/{key}/assets.json?order=worst&side=left")[0])["rows"]
    places = [(row["lon"], row["lat"], row["asset_id"]) for row in shown]
    table = Table("what", "n", "p50 ms", "p95 ms", "most ms", "CPU ms each", "largest KB")
    for column in table.columns[1:]:
        column.justify = "right"
    for low, high in ((4, 8), (9, 13), (14, 18)):
        asked = []
        for zoom in range(low, high + 1):
            for n in rng.choice(len(places), 4 * ROUNDS, replace=False).tolist():
                x, y = (int(value[0]) >> (32 - zoom) for value in project(*(np.array([v]) for v in places[n][:2])))
                asked.append(f"{address}data/{key}/tiles/assets/{zoom}/{x}/{y}?{FILTERS[n % 3]}")
        table.add_row(f"tiles, zoom {low} to {high}", *timed(list(dict.fromkeys(asked)), process))
    some = [places[n][2] for n in rng.choice(len(places), 2 * ROUNDS, replace=False).tolist()]
    table.add_row("an asset's details", *timed([f"{address}data/{key}/asset.json?id={one}" for one in some], process))
    table.add_row("search by id", *timed([f"{address}data/{key}/search.json?q={one[:20]}" for one in some], process))
    filters = [f"{address}data/{key}/assets.json?order=worst&{one}" for one in FILTERS]
    table.add_row("500 of a filtered list", *timed(filters, process))
    console.print(table)
    peak = read_status(process.pid)
    console.print(f"memory: {process.memory_info().rss / 1e9:.2f} GB now, {peak / 1e9:.2f} GB at most")
    if browser:
        console.print(f"first paint: {first_paint(address):.1f} s from the address to drawn assets")


def timed(addresses: list[str], process: psutil.Process) -> list[str]:
    """Times of requests one after another: how many, p50, p95 and the longest, CPU of each; and the largest answer."""
    times, sizes, cpu = [], [], cpu_s(process)
    for one in addresses:
        data, seconds = get(one)
        times.append(1000 * seconds)
        sizes.append(len(data))
    cpu = 1000 * (cpu_s(process) - cpu) / len(addresses)
    figures = (*np.percentile(times, [50, 95, 100]), cpu, max(sizes) / 1000)
    return [str(len(times)), *(f"{figure:.0f}" for figure in figures)]


def get(address: str) -> tuple[bytes, float]:
    started = time.perf_counter()
    with urllib.request.urlopen(address) as answer:
        data = answer.read()
    return data, time.perf_counter() - started


def cpu_s(process: psutil.Process) -> float:
    used = process.cpu_times()
    return used.user + used.system


def read_status(pid: int) -> int:
    """The most memory that a process has had, in bytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def first_paint(address: str) -> float:
    """Seconds from opening an address to a drawn map, in a browser that has just started."""
    from playwright.sync_api import sync_playwright

    arguments = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
        page = browser.new_page()
        page.set_default_timeout(300_000)
        started = time.perf_counter()
        page.goto(address)
        page.wait_for_selector("html[data-ready=yes]")
        seconds = time.perf_counter() - started
        browser.close()
    return seconds


if __name__ == "__main__":
    main()
