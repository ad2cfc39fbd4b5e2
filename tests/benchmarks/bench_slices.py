"""Small objects: the whole image alone, a larger input, slices, slices of the far rows, and SAHI with the same model.

A detector of four kinds of traffic sign is trained on windows of 320 px, cut from GTSDB's training images at their own
resolution; then every way looks at the same whole photographs of 1360x800. SAHI is given the same network, so what
differs is how images are cut, passed on, and put together again.

    pip install sahi
    python tests/benchmarks/bench_slices.py OUT --data GTSDB --initial yolov8n-coco.safetensors
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.windows import WINDOW_PX, cut_windows

from roadscan.dataset.read import read_dataset
from roadscan.evaluate.detection.matching import Matches, match
from roadscan.evaluate.detection.predict import predict
from roadscan.evaluate.detection.results import ImageResult, Objects
from roadscan.evaluate.detection.scores import score
from roadscan.evaluate.detection.split import Split, open_split
from roadscan.model.bundle import Bundle, load
from roadscan.model.decode import plan_letterbox
from roadscan.model.detector import Detector
from roadscan.model.image_detections import detect_images
from roadscan.model.image_input import prepare_pixels
from roadscan.model.slices import SliceConfig
from roadscan.storage import open_store
from roadscan.train.config import TrainConfig
from roadscan.train.initial import read_initial
from roadscan.train.loop import train
from roadscan.train.ranks import SingleProcess
from roadscan.train.result import MODEL, write_result

CONFIDENCE = 0.25  # what counts as found
LOWEST, IOU = 0.01, 0.7
SMALL = 1  # the second of COCO's area ranges: below 32² px
Way = Callable[[Split], Iterator[ImageResult]]


def train_model(arguments: argparse.Namespace, out: Path) -> Path:
    """A detector of the windows' objects; the same folder goes on with it."""
    windows, folder = out / "windows", out / "run"
    if not (windows / "data.yaml").exists():
        cut_windows(arguments.data, windows)
    config = TrainConfig.model_validate(
        {
            "data": str(windows), "initial": arguments.initial, "image_size_px": WINDOW_PX, "batch": 16,
            "epochs": arguments.epochs, "loss": {"kind": "bce"}, "validate_every": arguments.epochs,
            "augment": {"mosaic": 0, "fliplr": 0, "scale": 0.5}, "optimiser": {"lr": 1e-3, "warmup_epochs": 0.5},
        }
    )  # fmt: skip
    store = open_store(str(folder))
    if not store.exists(MODEL):
        initial = read_initial(arguments.initial) if arguments.initial else None
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        dataset = read_dataset(str(windows))
        state = train(config, dataset, initial, SingleProcess(folder, device))
        write_result(state, dataset, config, initial.origin if initial else "scratch", store, device)
    return folder / MODEL


def ours(bundle: Bundle, side_px: int, slices: SliceConfig | None) -> Way:
    """Our own way, as `roadscan evaluate` runs it."""
    detector = Detector(bundle, confidence=LOWEST, iou=IOU)

    def run(split: Split) -> Iterator[ImageResult]:
        return predict(detector, split.root, split.images, split.names, image_size_px=side_px, slices=slices)

    return run


def sahis(bundle: Bundle, side_px: int, slices: SliceConfig) -> Way:
    """SAHI with its defaults: greedy non-maximum merging by the intersection over the smaller box."""
    from sahi.models.base import DetectionModel
    from sahi.predict import get_sliced_prediction
    from sahi.prediction import ObjectPrediction

    class Model(DetectionModel):  # type: ignore[misc]
        def check_dependencies(self, *_: object) -> None:
            """Nothing beside roadscan."""

        def load_model(self) -> None:
            self.model = Detector(bundle, confidence=LOWEST, iou=IOU)
            self.category_mapping = {str(i): name for i, name in enumerate(bundle.card.classes)}

        def perform_inference(self, image: np.ndarray) -> None:
            letterbox = plan_letterbox(image.shape[:2], side_px, 32)
            shown = prepare_pixels(np.ascontiguousarray(image[..., ::-1]), letterbox, None)
            self._original_predictions = list(detect_images(self.model, [shown], batch=1))

        def _create_object_prediction_list_from_original_predictions(
            self, shift_amount_list: list[list[int]], full_shape_list: list[list[int]] | None = None
        ) -> None:
            (found,) = self._original_predictions
            shift = shift_amount_list[0] if isinstance(shift_amount_list[0], list) else shift_amount_list
            shape = full_shape_list[0] if full_shape_list and isinstance(full_shape_list[0], list) else full_shape_list
            self._object_prediction_list_per_image = [[
                ObjectPrediction(
                    bbox=box.tolist(), category_id=bundle.card.classes.index(name), category_name=name,
                    score=float(value), shift_amount=shift, full_shape=shape,
                )
                for box, value, name in zip(found.boxes_xyxy, found.scores, found.classes, strict=True)
            ]]  # fmt: skip

    model = Model(confidence_threshold=LOWEST, device="cpu")
    share = slices.overlap_px / slices.size_px

    def run(split: Split) -> Iterator[ImageResult]:
        for image in split.images:
            made = get_sliced_prediction(
                str(split.root / image.key), model, slice_height=slices.size_px, slice_width=slices.size_px,
                overlap_height_ratio=share, overlap_width_ratio=share, verbose=0,
            )  # fmt: skip
            rows = sorted(made.object_prediction_list, key=lambda one: -one.score.value)
            found = Objects(
                np.array([one.bbox.to_xyxy() for one in rows], np.float32).reshape(-1, 4),
                np.array([split.names.index(one.category.name) for one in rows], np.int64),
                np.array([one.score.value for one in rows], np.float32),
            )
            yield ImageResult(image.key, Objects(image.boxes_xyxy, image.classes), found)

    return run


def recall_of_small(matches: Matches) -> tuple[float, int]:
    """The share of objects below 32² px that are found at the confidence, and how many there are."""
    found = (matches.right[SMALL] & 1).astype(bool) & (matches.scores >= CONFIDENCE)
    truths = int(matches.truths[..., SMALL].sum())
    return float(found.sum() / truths), truths


def main() -> None:
    """Train, look in every way, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", help="folder for the windows and the training")
    parser.add_argument("--data", required=True, help="GTSDB, labelled")
    parser.add_argument("--initial", help="weights to start from")
    parser.add_argument("--epochs", type=int, default=14)
    parser.add_argument("--model", help="a detector that is there already")
    parser.add_argument("--images", type=int, default=300, help="photographs to look at")
    parser.add_argument("--without-sahi", action="store_true")
    arguments = parser.parse_args()
    model = Path(arguments.model) if arguments.model else train_model(arguments, Path(arguments.out))
    bundle, split = load(str(model)), open_split(arguments.data, "val")
    split = split.of_classes(bundle.card.classes, whose=str(model))
    split = replace(split, images=split.images[: arguments.images])
    slices = SliceConfig(size_px=640, overlap_px=128)
    ways: dict[str, Way] = {
        "whole, 640": ours(bundle, 640, None),
        "whole, 1344": ours(bundle, 1344, None),
        "slices": ours(bundle, 640, slices),
        "slices of rows .3 to .7": ours(bundle, 640, slices.model_copy(update={"rows": (0.3, 0.7)})),
    }
    if not arguments.without_sahi:
        ways["SAHI"] = sahis(bundle, 640, slices)
    print(f"{len(split.images)} photographs, {bundle.card.variant}, {torch.get_num_threads()} threads")
    print("| | recall below 32² px | precision of all | mAP50 | mAP50-95 | AP small | images a CPU second | cost |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    first = None
    for name, way in ways.items():
        list(way(replace(split, images=split.images[:2])))  # warm
        began = time.process_time()
        results = sorted(way(split), key=lambda result: result.key)
        seconds = time.process_time() - began
        first = first or seconds
        matches = match(results, split.names)
        scores = score(results, split.names, matches=matches)
        recall, truths = recall_of_small(matches)
        print(
            f"| {name} | {recall:.3f} of {truths} | {precision(matches):.3f} | {100 * scores.map50:.1f} | "
            f"{100 * scores.map50_95:.1f} | {100 * scores.ap_small:.1f} | {len(results) / seconds:.2f} | "
            f"{seconds / first:.2f} |",
            flush=True,
        )


def precision(matches: Matches) -> float:
    """The share of detections at the confidence that are right."""
    sure = matches.scores >= CONFIDENCE
    return float(((matches.right[0] & 1).astype(bool) & sure).sum() / max(sure.sum(), 1))


if __name__ == "__main__":
    main()
