"""The scan against what one would write by hand: `YOLO.predict(stream=True)` on the same files, with the same model.

Rounds alternate, each in a process of its own, and only steady work is timed: the peer's with its model loaded and one
image seen, the scan's from its first commit on, without the first shard of each actor. The scan's time holds the fetch,
the decoding, the forward pass, the tables and the commits, and the wait for the last actor.

    python tests/benchmarks/bench_scan.py [--frames 300] [--rounds 3] [--width 1920 --height 1080]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CONFIDENCE, IOU = 0.25, 0.6


def peer(images: str, model: str, batch: str) -> tuple[int, float, int]:
    """Images, seconds and detections of `YOLO.predict(stream=True)`."""
    from ultralytics import YOLO

    from roadscan.model import bundle, yolo

    loaded = bundle.load(model)
    card = loaded.card
    network = YOLO(f"yolov8{card.variant}.yaml", task="detect")
    network.model = yolo.build("detect", card.variant, len(card.classes))
    network.model.load_state_dict(loaded.weights)
    settings = {"imgsz": card.image_size_px, "conf": CONFIDENCE, "iou": IOU, "stream": True, "verbose": False}
    first = next(iter(sorted(Path(images).iterdir())))
    list(network.predict(str(first), **settings))
    started = time.perf_counter()
    counts = [len(result.boxes) for result in network.predict(images, batch=int(batch), **settings)]
    return len(counts), time.perf_counter() - started, sum(counts)


def ours(drive: str, model: str, decode: str, precision: str) -> tuple[int, float, int]:
    """Images, seconds and detections of the scan, from its first commit; every actor's first shard is not counted."""
    from roadscan.scan.config import ScanConfig
    from roadscan.scan.plan import plan_scan
    from roadscan.scan.run import run_scan

    with tempfile.TemporaryDirectory() as warehouse:
        settings = {"confidence": CONFIDENCE, "iou": IOU, "decode": decode, "precision": precision, "shard_frames": 30}
        fields = {"drives": (drive,), "warehouse": warehouse, "model": model, **settings}
        config = ScanConfig.model_validate(fields)
        summary = run_scan(config, plan_scan(config))
        commits = sorted(Path(warehouse).glob("commits/*/*.json"), key=lambda path: path.stat().st_mtime_ns)
        counted = commits[os.cpu_count() or 1 :]
        seconds = (commits[-1].stat().st_mtime_ns - commits[0].stat().st_mtime_ns) / 1e9
        return sum(json.loads(path.read_text())["ok"] for path in counted), seconds, summary.detections


def measure(kind: str, *arguments: str, threads: int | None = None) -> tuple[int, float, int]:
    environment = {**os.environ, **({"OMP_NUM_THREADS": str(threads)} if threads else {})}
    command = [sys.executable, __file__, "--one", kind, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise SystemExit(done.stderr)
    images, seconds, detections = json.loads(done.stdout.splitlines()[-1])
    return images, seconds, detections


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--width", type=int, default=1920)
    parser.add_argument("--height", type=int, default=1080)
    parser.add_argument("--model", default="demo")
    parser.add_argument("--one", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        kind, *rest = arguments.one
        print(json.dumps({"peer": peer, "ours": ours}[kind](*rest)))
        return
    from roadscan.survey.simulate import SimulationConfig, simulate

    cores = os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as folder:
        road = SimulationConfig(
            seed=3, nights=1, length_km=arguments.frames / 100, width_px=arguments.width, height_px=arguments.height
        )
        (drive_id,) = simulate(folder, road).drive_ids
        drive = f"{folder}/drives/{drive_id}"
        contenders = {
            "YOLO.predict(stream=True)": lambda: measure("peer", f"{drive}/images", arguments.model, "1"),
            f"YOLO.predict(stream=True, batch=16), {cores} threads": lambda: measure(
                "peer", f"{drive}/images", arguments.model, "16", threads=cores
            ),
            "roadscan scan": lambda: measure("ours", drive, arguments.model, "full", "full"),
            "roadscan scan, precision=half": lambda: measure("ours", drive, arguments.model, "full", "half"),
            "roadscan scan, precision=half, decode=scaled": lambda: measure(
                "ours", drive, arguments.model, "scaled", "half"
            ),
        }
        rates: dict[str, list[float]] = {name: [] for name in contenders}
        found: dict[str, int] = {}
        for _ in range(arguments.rounds):
            for name, run in contenders.items():
                images, seconds, found[name] = run()
                rates[name].append(images / seconds)
    base = statistics.median(rates["YOLO.predict(stream=True)"])
    size = f"{arguments.width}x{arguments.height}"
    print(f"images of {size}, {cores} CPU cores, median of {arguments.rounds} rounds")
    for name, values in rates.items():
        rate = statistics.median(values)
        print(f"{name:50s} {rate:7.2f} img/s  ratio {rate / base:5.2f}  {found[name]} detections")


if __name__ == "__main__":
    main()
