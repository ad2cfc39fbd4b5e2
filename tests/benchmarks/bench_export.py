"""How long a register of a million assets takes to each format, and with how much memory.

    python tests/benchmarks/bench_views.py --assets 1e6 --keep /tmp/views --only none   # writes the register
    python tests/benchmarks/bench_export.py /tmp/views

`roadscan export` runs as a process of its own for each; beside it, what `COPY … TO 'assets.csv'` of DuckDB takes of the
same files. Memory is the most that the process has had at a time; features are counted in the file, by GDAL.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyogrio

ENDINGS = ("gpkg", "geojson", "geojsonl", "fgb", "csv", "shp.zip", "pmtiles")
COMMAND = "from roadscan.cli import main; main()"
PEER = """
import duckdb, glob, sys
files = glob.glob(sys.argv[1] + "/assets/**/*.parquet", recursive=True)
duckdb.sql(f"COPY (FROM read_parquet({files}, union_by_name=true)) TO '{sys.argv[2]}'")
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("warehouse", type=Path)
    parser.add_argument("--only", default="", help="endings, separated by commas")
    arguments = parser.parse_args()
    print("| | features | wall s | CPU s | peak MB | file MB |\n| --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for ending in arguments.only.split(",") if arguments.only else ENDINGS:
            out = Path(folder) / f"a.{ending}"
            figures = timed([sys.executable, "-c", COMMAND, "-q", "export", str(arguments.warehouse), str(out)])
            show(f"`.{ending}`", f"{features(out):,}", *figures, f"{out.stat().st_size / 1e6:.0f}")
            out.unlink()
        out = Path(folder) / "peer.csv"
        figures = timed([sys.executable, "-c", PEER, str(arguments.warehouse), str(out)])
        show("DuckDB's CSV", "", *figures, f"{out.stat().st_size / 1e6:.0f}")


def show(*cells: str) -> None:
    """A row, as soon as it is known."""
    print(f"| {' | '.join(cells)} |", flush=True)


def timed(command: list[str]) -> list[str]:
    """Seconds by the clock and of the processors, and the peak of memory, of a command."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    if code := os.waitstatus_to_exitcode(status):
        print(f"exit code {code}: {' '.join(command[-3:])}", file=sys.stderr)
    return [f"{wall:.0f}", f"{used.ru_utime + used.ru_stime:.0f}", f"{used.ru_maxrss / 1e3:.0f}"]


def features(path: Path) -> int:
    """How many features GDAL finds in all layers with a geometry."""
    kinds = pyogrio.list_layers(path)
    return sum(
        pyogrio.read_info(path, layer=name, force_feature_count=True)["features"] for name, kind in kinds if kind
    )


if __name__ == "__main__":
    main()
