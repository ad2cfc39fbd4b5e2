"""Ways from a JPEG to the network's input, side by side: processor time, pixels, and what the model finds.

Simulated roads with exact labels. Every way decodes the same files in the same run; the model, its thresholds and the
scoring are those of `roadscan evaluate`. The first way is what the others are compared with.

    python tests/benchmarks/bench_decode.py [--images 240] [--sizes 1920x1080 3840x2160] [--keep FOLDER] [--all]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from unittest import mock

import cv2
import numpy as np
import torch

from roadscan.evaluate.detection.bootstrap import intervals, paired_deltas
from roadscan.evaluate.detection.matching import Matches, match
from roadscan.evaluate.detection.operating_point import operating_point
from roadscan.evaluate.detection.predict import measuring_detector, predict
from roadscan.evaluate.detection.split import Split, open_split
from roadscan.model import bundle
from roadscan.model.decode import PADDING_GREY, REDUCED, Letterbox, Pixels, decode
from roadscan.model.detector import Detector
from roadscan.simulate import SimulationConfig
from roadscan.simulate.training_set import write_yolo_dataset

Way = Callable[[bytes, Letterbox], Pixels]
CONFIDENCE = 0.25  # of the detections that are counted


def plain(by: int, interpolation: int, data: bytes, letterbox: Letterbox) -> Pixels:
    """Decoded to 1 / by by the JPEG decoder, then resized: without any of the program's checks."""
    image = cv2.imdecode(np.frombuffer(data, np.uint8), REDUCED.get(by, cv2.IMREAD_COLOR))
    (height, width), top, left = letterbox.inner_hw, letterbox.top, letterbox.left
    pixels = np.full((*letterbox.input_hw, 3), PADDING_GREY, np.uint8)
    pixels[top : top + height, left : left + width] = cv2.resize(image, (width, height), interpolation=interpolation)
    return pixels


WAYS: dict[str, Way] = {"decode=full": decode, "decode=scaled": partial(decode, mode="scaled")}
OTHERS: dict[str, Way] = {
    f"1/{by}, {name}": partial(plain, by, interpolation)
    for by in (1, 2, 4)
    for name, interpolation in (
        ("linear", cv2.INTER_LINEAR),
        ("area", cv2.INTER_AREA),
        ("cubic", cv2.INTER_CUBIC),
        ("Lanczos", cv2.INTER_LANCZOS4),
    )
    if (by, name) != (1, "linear")  # decode=full
}


@contextmanager
def taken(way: Way) -> Iterator[tuple[list[float], list[Pixels]]]:
    """Makes evaluation decode in a way; gives the milliseconds and the pixels of each image."""
    spent: list[float] = []
    made: list[Pixels] = []

    def timed(data: bytes, letterbox: Letterbox) -> Pixels:
        started = time.thread_time()
        made.append(way(data, letterbox))
        spent.append((time.thread_time() - started) * 1e3)
        return made[-1]

    with mock.patch("roadscan.evaluate.detection.predict.decode", timed):
        yield spent, made


def mean_average_precision(matches: Matches) -> float:
    """mAP50-95, in percent."""
    return intervals([matches], resamples=1).metrics["map50_95"].value * 100


def compare(split: Split, detector: Detector, side_px: int, ways: dict[str, Way]) -> None:
    """Print a line a way."""
    first: tuple[Matches, list[Pixels]] | None = None
    for name, way in ways.items():
        with taken(way) as (spent, made):
            results = list(predict(detector, split.root, split.images, split.names, image_size_px=side_px))
        matches = match(results, split.names)
        point = operating_point(matches, CONFIDENCE)
        first = first or (matches, made)
        error = [np.mean((a.astype(float) - b) ** 2) for a, b in zip(made, first[1], strict=True)]
        ratio = 10 * np.log10(255**2 / max(float(np.median(error)), 1e-9))
        delta = paired_deltas([first[0]], [matches]).metrics["map50_95"]
        print(
            f"{name:16s} {np.mean(spent):6.2f} ms {ratio:6.1f} dB {point.right.sum():6d} right "
            f"{point.wrong.sum():4d} wrong {point.missed.sum():4d} missed, "
            f"mAP50-95 {mean_average_precision(matches):.2f}, "
            f"{delta.value * 100:+.2f} ({delta.low * 100:+.2f} to {delta.high * 100:+.2f})",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=240)
    parser.add_argument("--sizes", nargs="+", default=["1920x1080", "3840x2160"])
    parser.add_argument("--keep", type=Path, help="folder for the images, used again where they are there")
    parser.add_argument("--all", action="store_true", help="other scales and filters too")
    parser.add_argument("--ways", nargs="+", help="names of ways; the first is what the others are compared with")
    arguments = parser.parse_args()
    cv2.setNumThreads(1), torch.set_num_threads(1)
    model = bundle.load("demo")
    detector = measuring_detector(model, device="cpu")
    ways = WAYS | OTHERS if arguments.all else WAYS
    if arguments.ways:
        ways = {name: (WAYS | OTHERS)[name] for name in arguments.ways}
    with tempfile.TemporaryDirectory() as scratch:
        for size in arguments.sizes:
            folder = (arguments.keep or Path(scratch)) / size
            width, height = (int(side) for side in size.split("x"))
            if not (folder / "data.yaml").exists():
                road = SimulationConfig(seed=79, width_px=width, height_px=height, density=2.0)
                one = 1 / arguments.images  # a dataset must have a train and a val split
                write_yolo_dataset(folder, road, "detect", arguments.images, shares=(one, one, 1 - 2 * one))
            split = open_split(str(folder))
            print(f"{len(split.images)} images of {size}; processor time is of one thread")
            compare(split, detector, model.card.image_size_px, ways)


if __name__ == "__main__":
    main()
