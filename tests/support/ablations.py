"""Ablations without trainings: results made of drawn detections, as `roadscan.ablate` takes them from runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from roadscan.ablate.config import AblateConfig
from roadscan.ablate.latency import Latency, network_of
from roadscan.ablate.measures import measure, split_by_frequency
from roadscan.ablate.results import Ablation, RunResult, Scored, Tested, count_truths
from roadscan.ablate.runs import Run, planned_runs
from roadscan.evaluate.detection import ImageResult, Objects, calibration, match
from roadscan.evaluate.detection.predict import true_objects
from roadscan.evaluate.detection.split import Split
from roadscan.storage import open_store
from roadscan.train.result import TrainSummary
from support import labelled

LOSSES = {"cross-entropy": {"gamma": 0}, "gfl": {"gamma": 1.5}}


def ablate_config(**fields: Any) -> AblateConfig:
    """Two losses, two variants, two seeds of a training of two epochs."""
    train = {"data": "data", "epochs": 2, "image_size_px": 96, "execution": {"gpu": False, "cpus_per_worker": 1}}
    tree = {"train": train, "variants": ["n", "s"], "losses": LOSSES, "seeds": [0, 1], "resamples": 50}
    return AblateConfig.model_validate(tree | fields)


def drawn_images(root: Path, task: str) -> Tested:
    """Drawn images, every two of one drive, by day and by night."""
    dataset = labelled.draw_dataset(root, {"test": 8}, task=task)
    drawn = dataset.splits["test"]
    split = Split(
        uri=str(root), digest="s" * 64, root=root, task=dataset.task, name="test", names=dataset.names, left_out=(),
        images=tuple(
            replace(one, drive_id=f"drive-{i // 2}", conditions=(("day", "night")[i % 2],))
            for i, one in enumerate(drawn)
        ),
        notes=(),
    )  # fmt: skip
    frequency = split_by_frequency({"square": 80, "disc": 15, "bar": 5}, 0.8)
    return Tested(split, ("box",) if task == "detect" else ("box", "mask"), "d" * 64, frequency)


def found(tested: Tested, share: float, seed: int) -> list[ImageResult]:
    """About that share of the true objects, with boxes a little off, and some that are none."""
    rng, results = np.random.default_rng(seed), []
    for image in tested.split.images:
        truth = true_objects(image)
        kept = np.flatnonzero(rng.random(len(truth.classes)) < share)
        boxes = truth.boxes_xyxy[kept] + rng.normal(0, 1, (len(kept), 4)).astype(np.float32)
        false = np.array([[5, 5, 15, 15]], np.float32)
        masks = truth.masks and tuple(truth.masks[row] for row in [*kept, 0])
        objects = Objects(
            np.concatenate([boxes, false]), np.append(truth.classes[kept], 0),
            rng.uniform(0.1, 0.9, len(kept) + 1).astype(np.float32), masks,
        )  # fmt: skip
        results.append(ImageResult(image.key, truth, objects, image.drive_id, image.conditions))
    return results


def result(run: Run, tested: Tested, share: float, resamples: int = 50) -> RunResult:
    """A run that finds that share of the objects."""
    results = found(tested, share, run.seed)
    scored = {}
    for kind in tested.kinds:
        matches = match(results, tested.split.names, kind=kind)
        measured = measure(matches, tested.frequency, resamples=resamples)
        scored[kind] = Scored(measured, 0.5, calibration(matches))
    history = [
        {"epoch": epoch, "box_loss": 3.0 / epoch, "map50_95": 0.1 * epoch * share, "seconds": 36.0, "workers": 1,
         "cpus_per_worker": 2}
        for epoch in (1, 2)
    ]  # fmt: skip
    summary = TrainSummary(run.name, 2, 1, f"sha-{run.name}", {}, "cpu", "gloo")
    return RunResult(run, summary, history, scored, 0.0, 0.04, tuple(results))


def ablation(root: Path, config: AblateConfig | None = None, task: str = "detect", failed: int = 0) -> Ablation:
    """An ablation whose gfl finds nine objects of ten where cross-entropy finds half; its last runs failed."""
    config = config or ablate_config()
    of = drawn_images(root / "data", task)
    runs = planned_runs(config, {}, open_store(root / "ablation"))
    failures = {run.name: "diverged in epoch 1" for run in runs[len(runs) - failed :]}
    results = {
        run.name: result(run, of, 0.5 if run.loss == "cross-entropy" else 0.9, config.resamples)
        for run in runs
        if run.name not in failures
    }
    truths = count_truths(match(found(of, 1, 0), of.split.names), of.frequency)
    networks = [network_of(run.train) for run in runs]
    latencies = {name: Latency(4.0 if name.startswith("n") else 9.5, "cpu, 1 core") for name in networks}
    parameters = {name: 3_010_000 if name.startswith("n") else 11_130_000 for name in networks}
    return Ablation(config, runs, results, failures, of, truths, latencies, parameters)
