"""How busy the scan keeps its device: the real path from files to commits around a device that is emulated.

The device is a lock, held for so many milliseconds an image, as long as a forward pass would take: all that is not
hidden behind it shows as time in which nobody holds the lock. Beside each figure are the two ceilings: what the device
alone could do, and what fetching and decoding alone do on these cores. Where decoding is the slower one, no scan can
keep the device busy, and the table says so. The peer is a loop by hand: read, decode, stack, forward.

The second table is of a node with a GPU and a single core, on a Ray cluster of this machine, which decodes for itself
(fused), or has a node of one core and no GPU decode for it (decode_on: all_nodes); beside them, what the fused actor
does with both cores. Every process is held to the cores of its node. Rates, and the processor time of all of the nodes'
processes, are of all shards but the first and the last, so that neither start nor end is in them.

    python tests/benchmarks/bench_engine.py [--frames 2000] [--rounds 3] [--milliseconds 1.0 3.5] [--large 600]
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import cv2
import numpy as np
import psutil
import ray
from support.clusters import HEAD, kill_node, start_node, wait_for_nodes, wait_for_port
from support.drives import jpeg, make_drive

from roadscan.demo.server import free_ports
from roadscan.model.bundle import Bundle, ModelCard
from roadscan.model.detector import Detections
from roadscan.scan import ledger
from roadscan.scan.config import ScanConfig
from roadscan.scan.loading import Loaded, Loader, frames_of
from roadscan.scan.placement import Placement
from roadscan.scan.ray import Decoding, ShardActor, quiet, through_stages
from roadscan.scan.shard import ShardScanner, loader_settings
from roadscan.survey.drive import Drive, read_drive
from roadscan.warehouse import Warehouse

FOUND = Detections(
    np.array([[10, 20, 60, 90], [100, 80, 140, 160]], np.float32), np.array([0.9, 0.5], np.float32),
    ("Warning Sign", "Bus Stop"),
)  # fmt: skip  # in every image: rows are made of them
SHARD = 32  # frames
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
        ledger.commit(warehouse, shard, *scanner.scan(drive, frames, shard.run_key))

    began = time.perf_counter()
    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(one, shards))
    return drive.frames.num_rows / (time.perf_counter() - began)


class EmulatedWorker:
    """A `ShardWorker` with an emulated device, held to some cores."""

    def __init__(self, folder: str, milliseconds: float, batch: int, cores: set[int]) -> None:
        os.sched_setaffinity(0, cores)
        cv2.setNumThreads(1)
        config = ScanConfig(drives=("d",), warehouse=folder, batch_size=batch)
        device, threads = EmulatedDevice(milliseconds / 1000), Placement(1, len(cores), 1.0).threads
        self._scanner, self._warehouse = ShardScanner(config, BUNDLE, device, threads), Warehouse(folder)  # type: ignore[arg-type]

    def scan(self, shard: ledger.Shard, decoded: Iterable[Loaded] | None = None) -> ledger.Scanned:
        drive, frames = frames_of(shard)
        made = ledger.commit(self._warehouse, shard, *self._scanner.scan(drive, frames, shard.run_key, decoded))
        return ledger.Scanned(shard.run_key, frames.num_rows, made.detections, "emulated", "emulated")


class EmulatedActor(ShardActor):
    """A `ShardActor` around it."""

    def __init__(self, *arguments: Any) -> None:
        self.worker = EmulatedWorker(*arguments)  # type: ignore[assignment]


@contextmanager
def cluster(folder: str, cores: Sequence[int]) -> Iterator[list[psutil.Process]]:
    """A head that computes nothing, a node with a GPU and the first core, and one with the second; the two nodes."""
    os.environ |= {"RAY_AUTH_MODE": "disabled", "RAY_num_prestart_python_workers": "0"}
    (port,) = free_ports(1)
    address, usable, nodes = f"127.0.0.1:{port}", os.sched_getaffinity(0), []
    with ExitStack() as stack:
        head = start_node(folder, "127.0.0.1", *HEAD, f"--port={port}")
        stack.callback(kill_node, head)
        wait_for_port("127.0.0.1", port)
        for host, core, gpus in (("127.0.0.2", cores[0], 1), ("127.0.0.3", cores[1], 0)):
            os.sched_setaffinity(0, {core})  # which what is started takes over
            offers = (f"--address={address}", "--num-cpus=1", f"--num-gpus={gpus}", "--object-store-memory=1000000000")
            node = start_node(folder, host, *offers)
            os.sched_setaffinity(0, usable)
            stack.callback(kill_node, node)
            nodes.append(psutil.Process(node.pid))
        wait_for_nodes(address, 3)
        ray.init(address, log_to_driver=False, logging_level="ERROR")
        stack.callback(ray.shutdown)
        yield nodes


def through_ray(
    drive: Drive, nodes: Sequence[psutil.Process], cores: set[int], decoders: int, arguments: tuple[str, float, int]
) -> tuple[float, float]:
    """Images a second, and milliseconds of processor time an image."""
    placement = Placement(1, 1, 1.0, decoders, 1 if decoders else 0)
    config = ScanConfig(drives=("d",), warehouse="w")
    settings = loader_settings(config, BUNDLE.card, placement.threads)
    decoding = Decoding(settings, arguments[0], "bench") if decoders else None
    shards = ledger.plan(drive, "bench", SHARD)
    rows = iter(through_stages(shards, EmulatedActor, (*arguments, cores), placement, decoding).iter_rows())
    next(rows)
    began, before = time.perf_counter(), processor_s(nodes)
    count = sum(next(rows)["frames"] for _ in shards[1:-1])
    seconds, processor = time.perf_counter() - began, processor_s(nodes) - before
    list(rows)  # with the last one Ray ends the actors, whose time could not be asked for any more
    return count / seconds, 1000 * processor / count


def processor_s(nodes: Sequence[psutil.Process]) -> float:
    """That all processes of some nodes have used."""
    total = 0.0
    for process in [one for node in nodes for one in (node, *node.children(recursive=True))]:
        with suppress(psutil.NoSuchProcess):
            total += sum(process.cpu_times()[:2])
    return total


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


def print_decoders(folder: str, arguments: argparse.Namespace) -> None:
    """The table of a GPU node with one core."""
    first, second = sorted(os.sched_getaffinity(0))[:2]
    large = {index: jpeg(index % 8, 3840, 2160) for index in range(arguments.large)}
    drives = {
        "640x360": read_drive(make_drive(f"{folder}/small", n=arguments.frames)),
        "3840x2160": read_drive(make_drive(f"{folder}/large", n=arguments.large, images=large)),  # type: ignore[arg-type]
    }
    layouts = {"fused": ({first}, 0), "apart": ({first}, 1), "both": ({first, second}, 0)}
    print("\n| image | ms an image | fused, 1 core, img/s (processor ms) | decoded on another node | ratio |"
          " fused, both cores |\n| --- | --- | --- | --- | --- | --- |")  # fmt: skip
    with cluster(folder, (first, second)) as nodes:
        for size, drive in drives.items():
            for milliseconds in arguments.milliseconds:
                found: dict[str, list[tuple[float, float]]] = {name: [] for name in layouts}
                for number in range(arguments.rounds):
                    for name, (cores, decoders) in layouts.items():
                        out = (f"{folder}/{size}-{milliseconds}-{name}-{number}", milliseconds, arguments.batch)
                        found[name].append(through_ray(drive, nodes, cores, decoders, out))
                rate = {name: statistics.median(one for one, _ in runs) for name, runs in found.items()}
                cost = {name: statistics.median(one for _, one in runs) for name, runs in found.items()}
                cell = {name: f"{rate[name]:.1f} ({cost[name]:.1f})" for name in layouts}
                print(f"| {size} | {milliseconds:g} | {cell['fused']} | {cell['apart']} | "
                      f"{rate['apart'] / rate['fused']:.2f} | {cell['both']} |", flush=True)  # fmt: skip


def main() -> None:
    """Measure in turn, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--large", type=int, default=600, help="images of 3840x2160, for the second table")
    parser.add_argument("--milliseconds", type=float, nargs="+", default=[1.0, 3.5, 7.0])
    arguments = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    placement = Placement(1, cores, 1.0)
    with tempfile.TemporaryDirectory(prefix="rs-", ignore_cleanup_errors=True) as folder:
        drive = read_drive(make_drive(f"{folder}/drive", n=arguments.frames))
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
        if cores < 2:
            raise SystemExit("the second table needs two CPU cores")
        quiet()
        print_decoders(folder, arguments)


if __name__ == "__main__":
    main()
