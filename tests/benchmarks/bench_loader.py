"""What images cost a training in processor time: a mosaic sample, and a validated image, of 8 megapixel files.

Rounds alternate, each figure in a process of its own. A sample is one call of the dataset and its share of `collate`:
ultralytics' own `YOLODataset` with the same augmentations, without a cache and with all images in memory, against ours
from the originals and from the small copies. A validated image is everything from the file to the metrics, with a
network of few epochs, whose many overlapping boxes are what suppression takes longest for: as `roadscan evaluate`
measures (originals, masks in their pixels) against what a training does after each epoch. The network's own pass is in
both, and beside them: on a GPU it costs no processor time.

    python tests/benchmarks/bench_loader.py [--images 24] [--samples 160] [--rounds 3] [--preload torchvision]
"""

from __future__ import annotations

import argparse
import importlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import cv2
import numpy as np
import torch
from support import labelled

SIZE_HW, INPUT_PX, BATCH = (2160, 3840), 640, 8
STOCK, IN_MEMORY, ORIGINALS, OURS = (
    "ultralytics, no cache",
    "ultralytics, cache=ram",
    "roadscan, originals",
    "roadscan, small copies",
)
SAMPLES = (STOCK, IN_MEMORY, ORIGINALS, OURS)
AS_EVALUATED, AS_TRAINED = "originals, masks in their pixels", "as after an epoch"
VALIDATIONS = tuple((task, how) for task in ("detect", "segment") for how in (AS_EVALUATED, AS_TRAINED))


def draw(root: Path, task: str, images: int) -> None:
    """Pictures of 8 megapixels as soft as photographs, which take as long to decode."""
    labelled.draw_dataset(root, {"train": images, "val": images}, size_hw=SIZE_HW, task=task)
    grain = np.random.default_rng(0).integers(0, 8, (*SIZE_HW, 3), np.uint8)
    for path in (root / "images").rglob("*.jpg"):
        soft = cv2.resize(cv2.imread(str(path)), None, fx=1 / 8, fy=1 / 8, interpolation=cv2.INTER_AREA)
        large = cv2.resize(soft, SIZE_HW[::-1], interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(path), cv2.add(large, grain), [cv2.IMWRITE_JPEG_QUALITY, 90])


def read(root: Path) -> Any:
    """The dataset."""
    from roadscan.dataset.staging import stage

    return stage(str(root), root / "cache")


def small(root: Path) -> Any:
    """Its small copies."""
    from roadscan.dataset.shrunk import shrink
    from roadscan.train.dataloader import images_to_shrink

    return shrink(root, images_to_shrink(read(root), INPUT_PX), root / "cache")


def sample(kind: str, root: Path, samples: int) -> float:
    """CPU milliseconds a mosaic sample."""
    from roadscan.model import yolo

    if kind in (STOCK, IN_MEMORY):
        from ultralytics.cfg import get_cfg
        from ultralytics.data.dataset import YOLODataset

        images = YOLODataset(
            img_path=str(root / "images" / "train"), imgsz=INPUT_PX, cache="ram" if kind == IN_MEMORY else False,
            augment=True, hyp=get_cfg(), data={"names": dict(enumerate(labelled.NAMES)), "channels": 3}, task="detect",
        )  # fmt: skip
        count, get = len(images), images.__getitem__
    else:
        ours = yolo.TrainingImages(
            root, read(root).splits["train"], task="detect", config=yolo.AugmentConfig(), image_size_px=INPUT_PX,
            input_hw=(INPUT_PX, INPUT_PX), seed=0, mosaic_epochs=10**6, shrunk=small(root) if kind == OURS else None,
        )  # fmt: skip
        count = len(ours)
        places = iter(range(10**9))

        def get(index: int) -> Any:
            return ours[yolo.Item(0, next(places), index)]

    order = np.resize(np.random.default_rng(0).permutation(count), samples + 2 * BATCH)
    yolo.collate([get(int(index)) for index in order[: 2 * BATCH]])  # imports, and files into memory
    began = time.process_time()
    for start in range(2 * BATCH, len(order), BATCH):
        yolo.collate([get(int(index)) for index in order[start : start + BATCH]])
    return (time.process_time() - began) / samples * 1e3


def validation(task: str, how: str, root: Path) -> tuple[float, float]:
    """CPU milliseconds a validated image, and of these the network's own pass."""
    from roadscan.evaluate.detection.predict import measuring_detector, predict
    from roadscan.model.bundle import Bundle, ModelCard
    from roadscan.train import validate
    from roadscan.train.config import TrainConfig
    from roadscan.train.ranks import SingleProcess

    dataset = read(root)
    config = TrainConfig(data=str(root), image_size_px=INPUT_PX)
    weights = torch.load(root / "weights.pt", weights_only=True)
    count, truths = len(dataset.splits["val"]), {}
    card = ModelCard(task=task, variant="n", classes=dataset.names, image_size_px=INPUT_PX)
    detector = measuring_detector(Bundle(card, weights, ""), precision="half")

    def evaluated() -> None:
        found = predict(detector, root, dataset.splits["val"], dataset.names, image_size_px=INPUT_PX)
        validate.metrics_of(list(found), dataset)

    def trained() -> None:
        validate.validate(weights, dataset, config, SingleProcess(root, torch.device("cpu")), small(root), truths)

    pixels_bhwc = np.zeros((4, 384, INPUT_PX, 3), np.uint8)
    passes = -(-count // len(pixels_bhwc))

    def passed() -> None:
        with torch.inference_mode():
            for _ in range(passes):
                detector.engine.forward(pixels_bhwc)

    whole = cpu_ms(evaluated if how == AS_EVALUATED else trained, count)
    return whole, cpu_ms(passed, passes * len(pixels_bhwc))


def cpu_ms(function: Callable[[], None], count: int) -> float:
    """CPU milliseconds of each of so many, the second time."""
    function()
    began = time.process_time()
    function()
    return (time.process_time() - began) / count * 1e3


def train_a_little(root: Path, task: str) -> None:
    """weights.pt: of a network after a few epochs on small pictures."""
    from roadscan.train.config import TrainConfig
    from roadscan.train.loop import train
    from roadscan.train.ranks import SingleProcess

    dataset = labelled.draw_dataset(root / "young", {"train": 32, "val": 2}, size_hw=(180, 320), task=task)
    config = TrainConfig.model_validate(
        {
            "data": str(root), "epochs": 6, "batch": 4, "image_size_px": 320, "aspect": "dataset",
            "validate_every": 6, "ema_decay": 0.9, "optimiser": {"lr": 3e-3}, "augment": {"mosaic": 0.0},
        }
    )  # fmt: skip
    state = train(config, dataset, None, SingleProcess(root / "run", torch.device("cpu")))
    torch.save({name: tensor.float() if tensor.is_floating_point() else tensor
                for name, tensor in state.ema.weights.items()}, root / "weights.pt")  # fmt: skip


def measure(arguments: argparse.Namespace, *one: str) -> list[float]:
    """One figure, in a process of its own."""
    command = [sys.executable, __file__, "--samples", str(arguments.samples), "--preload", arguments.preload]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*command, "--one", *one], capture_output=True, text=True, check=True, env=environment)
    return [float(value) for value in done.stdout.strip().splitlines()[-1].split()]


def main() -> None:
    """Measure in turn, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--samples", type=int, default=160)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--preload", default="", help="a module to import first")
    parser.add_argument("--one", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.preload:
        importlib.import_module(arguments.preload)
    if arguments.one:
        kind, folder, *how = arguments.one
        figures = validation(kind, how[0], Path(folder)) if how else [sample(kind, Path(folder), arguments.samples)]
        print(*figures)
        return
    samples: dict[str, list[float]] = {kind: [] for kind in SAMPLES}
    validated: dict[tuple[str, str], list[tuple[float, float]]] = {one: [] for one in VALIDATIONS}
    with tempfile.TemporaryDirectory() as folder:
        for task in ("detect", "segment"):
            draw(Path(folder, task), task, arguments.images)
            train_a_little(Path(folder, task), task)
            began = time.process_time()
            path = small(Path(folder, task)).path
            took_ms = (time.process_time() - began) / (2 * arguments.images) * 1e3
        size_kb = path.stat().st_size / (2 * arguments.images) / 1e3
        print(f"small copies, made once a node: {took_ms:.0f} CPU ms and {size_kb:.0f} kB an image")
        for _ in range(arguments.rounds):
            for kind, figures in samples.items():
                figures += measure(arguments, kind, f"{folder}/detect")
            for (task, how), pairs in validated.items():
                whole, passed = measure(arguments, task, f"{folder}/{task}", how)
                pairs.append((whole, passed))
    show(samples, validated)


def show(samples: dict[str, list[float]], validated: dict[tuple[str, str], list[tuple[float, float]]]) -> None:
    """The two tables; medians over rounds."""
    middle = {kind: statistics.median(figures) for kind, figures in samples.items()}
    print(f"\n| mosaic sample, {INPUT_PX} px, 8 MP files | CPU ms | samples a core, ratio |\n| --- | --- | --- |")
    for kind, value in middle.items():
        print(f"| {kind} | {value:.1f} | {middle[STOCK] / value:.2f} |")
    print(
        "\n| validated image | CPU ms | ratio | without the network's pass | ratio |\n| --- | --- | --- | --- | --- |"
    )
    for (task, how), pairs in validated.items():
        whole = statistics.median(pair[0] for pair in pairs)
        rest = statistics.median(pair[0] - pair[1] for pair in pairs)
        before = validated[task, AS_EVALUATED]
        base = statistics.median(pair[0] for pair in before), statistics.median(pair[0] - pair[1] for pair in before)
        print(f"| {task}, {how} | {whole:.0f} | {whole / base[0]:.2f} | {rest:.0f} | {rest / base[1]:.2f} |")


if __name__ == "__main__":
    main()
