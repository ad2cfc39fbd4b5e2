"""Training against the stock single-process trainer: seconds an optimiser step, on the same images, in the same run.

Rounds alternate, each in a process of its own with all cores: ultralytics' trainer; our loop alone; our loop in a Ray
Train worker; the same with the focal loss; and with bfloat16, which the stock trainer does not use on a CPU. All
but the last compute in float32, with the same batch, input, optimiser and no mosaic. A figure is the median over a
round's steps, then over rounds.

    python tests/benchmarks/bench_train.py [--steps 12] [--rounds 3] [--size 320] [--batch 8]
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
from itertools import pairwise
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from support import labelled

PLAIN = {"mosaic": 0.0, "scale": 0.5, "translate": 0.1, "fliplr": 0.5}
OURS: dict[str, dict[str, Any]] = {
    "roadscan, loop alone": {"alone": True},
    "roadscan, Ray Train": {},
    "roadscan, Ray Train, focal loss": {"loss": {"gamma": 2.0, "alpha": 0.25}},
    "roadscan, Ray Train, bfloat16": {"precision": "bf16"},
}
STOCK = "ultralytics' trainer"


def stock(data: str, size: int, batch: int) -> float:
    """Median seconds a step of ultralytics' own trainer."""
    from ultralytics import YOLO

    from roadscan.model import yolo  # noqa: F401 - prepares the environment for the import below

    ends: list[float] = []
    model = YOLO("yolov8n.yaml", task="detect")
    model.add_callback("on_train_batch_end", lambda _: ends.append(time.perf_counter()))
    with tempfile.TemporaryDirectory() as folder:
        model.train(
            data=f"{data}/data.yaml", epochs=1, imgsz=size, batch=batch, nbs=batch, optimizer="AdamW", lr0=1e-3,
            device="cpu", workers=0, project=folder, plots=False, val=False, amp=False, warmup_epochs=0, **PLAIN,
        )  # fmt: skip
    return statistics.median(b - a for a, b in pairwise(ends))  # with the loading between steps


def ours(data: str, size: int, batch: int, fields: dict[str, Any]) -> float:
    """Median seconds a step of ours."""
    from roadscan.dataset.staging import stage
    from roadscan.train.config import TrainConfig
    from roadscan.train.loop import train
    from roadscan.train.ranks import SingleProcess
    from roadscan.train.run import run_train

    alone = fields.pop("alone", False)
    with tempfile.TemporaryDirectory() as folder:
        config = TrainConfig.model_validate(
            {
                "data": data, "out": f"{folder}/model.zip", "runs": folder, "epochs": 1, "batch": batch,
                "image_size_px": size, "precision": "full", "augment": PLAIN,
                "optimiser": {"warmup_epochs": 0}, "execution": {"workers": 1, "gpu": False},
            } | fields
        )  # fmt: skip
        if alone:
            torch.set_num_threads(os.cpu_count() or 1)
            dataset = stage(data, Path(folder))
            return float(
                train(config, dataset, None, SingleProcess(Path(folder), torch.device("cpu"))).history[0][
                    "step_seconds"
                ]
            )
        run_train(config)
        history = json.loads((Path(folder) / "train" / "history.json").read_text())
        return float(history[0]["step_seconds"])


def measure(kind: str, data: str, size: int, batch: int) -> float:
    """One round of one kind, in a process of its own."""
    command = [sys.executable, __file__, "--one", kind, data, "--size", str(size), "--batch", str(batch)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(os.cpu_count() or 1)}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return float(done.stdout.strip().splitlines()[-1])


def main() -> None:
    """Measure in turn, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=int, default=320)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--one", nargs=2, metavar=("KIND", "DATA"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    size, batch = arguments.size, arguments.batch
    if arguments.one:
        kind, data = arguments.one
        print(stock(data, size, batch) if kind == STOCK else ours(data, size, batch, dict(OURS[kind])))
        return
    seconds: dict[str, list[float]] = {kind: [] for kind in (STOCK, *OURS)}
    with tempfile.TemporaryDirectory() as data:
        counts = {"train": arguments.steps * batch, "val": 2}
        labelled.draw_dataset(Path(data), counts, size_hw=(size, size))
        for number in range(arguments.rounds):
            for kind, figures in seconds.items():
                figures.append(measure(kind, data, size, batch))
                print(f"round {number + 1}: {kind}: {figures[-1]:.3f} s a step", flush=True)
    middle = {kind: statistics.median(figures) for kind, figures in seconds.items()}
    print(
        f"\n| YOLOv8n, {size} px, batch {batch}, {os.cpu_count()} CPU cores | s a step | ratio |\n| --- | --- | --- |"
    )
    for kind, value in middle.items():
        print(f"| {kind} | {value:.3f} | {value / middle[STOCK]:.2f} |")
    focal, entropy = middle["roadscan, Ray Train, focal loss"], middle["roadscan, Ray Train"]
    print(f"\ngeneralized focal loss against cross-entropy: {focal / entropy:.3f}")


if __name__ == "__main__":
    main()
