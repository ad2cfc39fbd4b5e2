"""Generalized focal loss against cross-entropy: same network, images, order, budget; several seeds; intervals.

First every candidate is trained on two thirds of the training split and scored on the last third; the best of the
focal ones is the one that is compared. Then it and cross-entropy are trained on the whole split, once a seed, and
scored on the validation split at their last epoch, so that nothing was chosen by what is scored. Trainings run side by
side, each resumable: the same command goes on where it stopped.

    python tests/benchmarks/bench_losses.py OUT --data DATASET --initial yolov8n-coco.safetensors
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from roadscan.dataset.read import read_dataset
from roadscan.dataset.records import Dataset
from roadscan.evaluate.detection.compare import compare, read_candidates
from roadscan.evaluate.detection.tables import comparison_tables
from roadscan.storage import open_store
from roadscan.train.config import TrainConfig
from roadscan.train.initial import read_initial
from roadscan.train.loop import train
from roadscan.train.ranks import SingleProcess
from roadscan.train.result import MODEL, TrainSummary, write_result

BASELINE = "cross-entropy"
CANDIDATES: dict[str, dict[str, Any]] = {
    BASELINE: {"kind": "bce", "cls_gain": 0.5},
    "gamma 1 gain 1": {"gamma": 1.0, "cls_gain": 1.0},
    "gamma 1 alpha .25 gain 2": {"gamma": 1.0, "alpha": 0.25, "cls_gain": 2.0},
    "gamma 2 gain 4": {"gamma": 2.0, "cls_gain": 4.0},
}


def train_one(arguments: argparse.Namespace, name: str, seed: int, *, tuning: bool) -> TrainSummary:
    """One training in this process; its folder is named by what it is."""
    config = TrainConfig.model_validate(
        {
            "data": arguments.data, "initial": arguments.initial, "epochs": arguments.epochs, "batch": 8, "seed": seed,
            "aspect": "dataset", "loss": CANDIDATES[name], "validate_every": arguments.epochs,
            "augment": {"mosaic": 0.0, "fliplr": 0.0, "scale": 0.3},  # a mirrored sign is another sign
            "optimiser": {"lr": 1e-3, "warmup_epochs": 0.5},
        }
    )  # fmt: skip
    dataset = read_dataset(arguments.data)
    if tuning:
        dataset = _two_thirds(dataset)
    store = open_store(folder_of(arguments, name, seed, tuning=tuning))
    if not store.exists(MODEL):
        initial = read_initial(arguments.initial) if arguments.initial else None
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        state = train(config, dataset, initial, SingleProcess(Path(store.uri), device))
        write_result(state, dataset, config, initial.origin if initial else "scratch", store, device)
    return TrainSummary.read(store)


def folder_of(arguments: argparse.Namespace, name: str, seed: int, *, tuning: bool) -> Path:
    """Where a training keeps its files."""
    return Path(arguments.out) / ("tuning" if tuning else "final") / f"{name.replace(' ', '-')}-{seed}"


def _two_thirds(dataset: Dataset) -> Dataset:
    images = dataset.splits["train"]
    order = np.random.default_rng(7).permutation(len(images))
    parts = (order[: len(images) * 2 // 3], order[len(images) * 2 // 3 :])
    train_, val = (tuple(images[i] for i in sorted(part)) for part in parts)
    return replace(dataset, splits={"train": train_, "val": val})


def run_all(
    jobs: list[tuple[str, int]], arguments: argparse.Namespace, *, tuning: bool
) -> dict[str, list[TrainSummary]]:
    """Train side by side, in processes of their own; summaries by name."""
    threads = max((os.cpu_count() or 1) // arguments.jobs, 1)
    # Threads that spin while they wait take the cores of the training beside them.
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"}
    waiting, running = list(jobs), []
    while waiting or running:
        while waiting and len(running) < arguments.jobs:
            name, seed = waiting.pop(0)
            one = json.dumps([name, seed, tuning])
            running.append(subprocess.Popen([sys.executable, *sys.argv, "--one", one], env=environment))
            print(f"started: {name}, seed {seed}", flush=True)
        if running.pop(0).wait():
            raise SystemExit("a training failed; its message is above")
    found: dict[str, list[TrainSummary]] = {}
    for name, seed in jobs:
        found.setdefault(name, []).append(
            TrainSummary.read(open_store(folder_of(arguments, name, seed, tuning=tuning)))
        )
    return found


def main() -> None:
    """Tune, train, compare, and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", help="folder for the trainings")
    parser.add_argument("--data", required=True)
    parser.add_argument("--initial")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2, help="trainings side by side")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        name, seed, tuning = json.loads(arguments.one)
        train_one(arguments, name, seed, tuning=tuning)
        return
    tuned = run_all([(name, 0) for name in CANDIDATES], arguments, tuning=True)
    print("\n| on a third of the training split | mAP50 | mAP50-95 |\n| --- | --- | --- |")
    score = {name: one[0].metrics["val"] for name, one in tuned.items()}
    for name, columns in score.items():
        print(f"| {name} | {100 * columns['map50']:.1f} | {100 * columns['map50_95']:.1f} |")
    focal = max((name for name in CANDIDATES if name != BASELINE), key=lambda name: score[name]["map50_95"])
    jobs = [(name, seed) for seed in range(arguments.seeds) for name in (BASELINE, focal)]
    run_all(jobs, arguments, tuning=False)
    files = {
        name: ",".join(str(folder_of(arguments, name, seed, tuning=False) / MODEL) for seed in range(arguments.seeds))
        for name in (BASELINE, focal)
    }
    made = compare(read_candidates([f"{name}={paths}" for name, paths in files.items()]), arguments.data, split="val")
    print("\n" + "\n".join(table.markdown() for table in comparison_tables(made)))


if __name__ == "__main__":
    main()
