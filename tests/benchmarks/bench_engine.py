"""How busy the scan keeps its device: the real path from files to commits around a device that is emulated.

The device is a lock, held for so many milliseconds an image, as long as a forward pass would take: all that is not
hidden behind it shows as time in which nobody holds the lock. Beside each figure are the two ceilings: what the device
alone could do, and what fetching and decoding alone do on these cores. Where decoding is the slower one, no scan can
keep the device busy, and the table says so. The peer is a loop by hand: read, decode, stack, forward.

    python tests/benchmarks/bench_engine.py [--frames 2000] [--rounds 3] [--milliseconds 1.0 3.5]
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from support.drives import make_drive

from roadscan.model.bundle import Bundle, ModelCard
from roadscan.model.detector import Detections
from roadscan.scan import ledger
from roadscan.scan.config import ScanConfig
from roadscan.scan.loading import Loader
from roadscan.scan.placement import Placement
from roadscan.scan.shard import ShardScanner
from roadscan.survey.drive import Drive, read_drive
from roadscan.warehouse import Warehouse

FOUND = Detections(
    np.array([[10, 20, 60, 90], [100, 80, 140, 160]], np.float32), np.array([0.9, 0.5], np.float32),
    ("Warning Sign", "Bus Stop"),
)  # fmt: skip  # in every image: rows are made of them
BUNDLE = Bundle(ModelCard(task="detect", variant="n", classes=("Warning Sign", "Bus Stop")), {}, "0" * 64)


class EmulatedDevice:
    """A device that takes so many seconds an image, one batch at a time.

    Attributes:
        busy_s: for which it worked.
        span_s: from its first batch to the end of its last.
    """

    def __init__(self, seconds_an_image: float) -> None:
        self._each_s, self._lock = seconds_an_image, Lock()
        self.busy_s, self._first, self._last = 0.0, 0.0, 0.0

    @property
    def span_s(self) -> float:
        """From the first batch's start to the last one's end."""
        return self._last - self._first

    def infer(self, images_bhwc: np.ndarray[Any, Any]) -> list[Detections]:
        with self._lock:
            began = time.perf_counter()
            time.sleep(self._each_s * len(images_bhwc))
            self._last = time.perf_counter()
            self.busy_s += self._last - began
            self._first = self._first or began
        return [FOUND] * len(images_bhwc)


def scanned(drive: Drive, device: EmulatedDevice, threads: int, at_once: int, batch: int, folder: str) -> float:
    """Images a second of the scan, its commits included."""
    config = ScanConfig(drives=("d",), warehouse=folder, batch_size=batch)
    scanner, warehouse = ShardScanner(config, BUNDLE, device, threads), Warehouse(folder)  # type: ignore[arg-type]
    shards = ledger.plan(drive, "bench", 256)

    def one(shard: ledger.Shard) -> None:
        frames = drive.frames.slice(shard.start, shard.stop - shard.start)
        ledger.commit(warehouse, shard, drive, *scanner.scan(drive, frames, shard.run_key))

    began = time.perf_counter()
    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(one, shards))
    return drive.frames.num_rows / (time.perf_counter() - began)


def by_hand(drive: Drive, device: EmulatedDevice, batch: int) -> float:
    """Images a second of a loop that one would write."""
    from roadscan.model.decode import decode, plan_letterbox

    rows = drive.frames.to_pylist()
    began = time.perf_counter()
    for part in _parts(rows, batch):
        read = [Path(drive.image_root, row["image_uri"]).read_bytes() for row in part]
        device.infer(np.stack([decode(data, plan_letterbox((360, 640), 640, 32)) for data in read]))
    return len(rows) / (time.perf_counter() - began)


def decoded(drive: Drive, threads: int) -> float:
    """Images a second of fetching and decoding alone."""
    loader = Loader(threads=threads, side_px=640, stride_px=32, decode="full", max_megapixels=64)
    rows = drive.frames.to_pylist()
    began = time.perf_counter()
    for _ in loader.load(drive, rows, 64):
        pass
    return len(rows) / (time.perf_counter() - began)


def _parts(rows: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (rows[start : start + size] for start in range(0, len(rows), size))


def main() -> None:
    """Measure in turn, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--milliseconds", type=float, nargs="+", default=[1.0, 3.5, 7.0])
    arguments = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    placement = Placement(1, cores, 1.0)
    with tempfile.TemporaryDirectory() as folder:
        drive = read_drive(make_drive(folder, n=arguments.frames))
        print(f"{arguments.frames} images of 640x360 on disk, {cores} CPU cores, batch {arguments.batch}, "
              f"median of {arguments.rounds} rounds")  # fmt: skip
        print(
            "| ms an image | device alone, img/s | decoding alone | scan | device busy | of the lower one | by hand |"
        )
        print("| --- | --- | --- | --- | --- | --- | --- |")
        for milliseconds in arguments.milliseconds:
            figures = []
            for number in range(arguments.rounds):
                device = EmulatedDevice(milliseconds / 1000)
                out = f"{folder}/warehouse-{milliseconds}-{number}"
                rate = scanned(drive, device, placement.threads, placement.shards_at_once, arguments.batch, out)
                ceiling = decoded(drive, placement.threads)
                hand = by_hand(drive, EmulatedDevice(milliseconds / 1000), arguments.batch)
                figures.append((ceiling, rate, device.busy_s / device.span_s, hand))
            ceiling, rate, busy, hand = (statistics.median(column) for column in zip(*figures, strict=True))
            alone = 1000 / milliseconds
            print(f"| {milliseconds:g} | {alone:.0f} | {ceiling:.0f} | {rate:.0f} | {busy:.1%} | "
                  f"{rate / min(alone, ceiling):.2f} | {hand:.0f} |", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
