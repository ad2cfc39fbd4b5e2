from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, get_ident

import numpy as np
import pytest
import torch

from roadscan.errors import ModelError
from roadscan.model.backends.engine import Engine, Pixels
from roadscan.model.bundle import ModelCard, load
from roadscan.model.detector import Detections, Detector
from roadscan.model.head import SIDES, Raw
from roadscan.model.inference import Inference

HW = (32, 64)
ANCHORS = 4 * 8 + 2 * 4 + 1 * 2


class OneBoxEngine(Engine):
    """Finds one object an image, whose score tells the image by its first pixel; notes who called with how many."""

    backend = "torch"
    runs_on = "paper"

    def __init__(self, lanes: int, together: int = 1) -> None:
        self.lanes = lanes
        self.calls: list[tuple[int, int, int]] = []
        self._together = Barrier(together, timeout=30)

    def forward(self, images_bhwc: Pixels) -> Raw:
        self._together.wait()
        self.calls.append((get_ident(), len(images_bhwc), torch.get_num_threads()))
        head = torch.full((len(images_bhwc), SIDES + 1, ANCHORS), -20.0)
        head[:, SIDES, 0] = torch.from_numpy(images_bhwc[:, 0, 0, 0].astype(np.float32)) / 100
        return Raw(head)


def _images(count: int, first: int = 0) -> Pixels:
    images = np.zeros((count, *HW, 3), np.uint8)
    images[:, 0, 0, 0] = np.arange(first, first + count)
    return images


def _scores(found: list[Detections]) -> list[float]:
    return [float(one.scores[0]) for one in found]


def _expected(first: int, count: int) -> list[float]:
    return [1 / (1 + np.exp(-number / 100)) for number in range(first, first + count)]


@pytest.mark.parametrize("count", [1, 2, 3, 5, 16])
@pytest.mark.parametrize("lanes", [0, 1, 2, 3])
def test_images_keep_their_order_whatever_computes_them(count: int, lanes: int) -> None:
    engine = OneBoxEngine(lanes)
    found = Inference(engine, ("sign",), 0.3, 0.6).infer(_images(count))
    assert _scores(found) == pytest.approx(_expected(0, count))
    assert sum(size for _, size, _ in engine.calls) == count


def test_every_core_computes_alone_on_images_of_its_own() -> None:
    before = torch.get_num_threads()
    engine = OneBoxEngine(2, together=2)  # passes only where two parts are computed at once
    Inference(engine, ("sign",), 0.3, 0.6).infer(_images(8))
    assert {threads for _, _, threads in engine.calls} == {1}
    assert len({thread for thread, _, _ in engine.calls}) == 2
    assert torch.get_num_threads() == before


def test_without_lanes_the_engine_gets_the_whole_batch_in_the_callers_thread() -> None:
    engine = OneBoxEngine(0)
    Inference(engine, ("sign",), 0.3, 0.6).infer(_images(8))
    assert [(thread, size) for thread, size, _ in engine.calls] == [(get_ident(), 8)]


def test_callers_share_the_cores_and_each_gets_its_own_images() -> None:
    engine = OneBoxEngine(2)
    inference = Inference(engine, ("sign",), 0.3, 0.6)
    with ThreadPoolExecutor(6) as callers:
        results = list(callers.map(lambda first: inference.infer(_images(5, first)), range(0, 60, 5)))
    assert [score for found in results for score in _scores(found)] == pytest.approx(_expected(0, 60))
    assert len({thread for thread, _, _ in engine.calls}) == 2


def test_an_engines_error_reaches_the_caller() -> None:
    class Broken(OneBoxEngine):
        def forward(self, images_bhwc: Pixels) -> Raw:
            raise MemoryError("no room")

    with pytest.raises(MemoryError, match="no room"):
        Inference(Broken(2), ("sign",), 0.3, 0.6).infer(_images(4))


@pytest.mark.parametrize("precision", ["full", "half"])
def test_a_batch_and_its_images_one_by_one_are_found_alike(precision: str, detect_model: str) -> None:
    detector = Detector(load(detect_model), device="cpu", precision=precision, confidence=0.4, threads=2)  # type: ignore[arg-type]
    images = np.random.default_rng(1).integers(0, 255, (6, 96, 160, 3), np.uint8)
    for together, alone in zip(detector.infer(images), [detector.infer(one[None])[0] for one in images], strict=True):
        assert together.classes == alone.classes
        np.testing.assert_allclose(together.boxes_xyxy, alone.boxes_xyxy, atol=0.01)


class TwoClassesEngine(OneBoxEngine):
    """Finds one object of each of two classes an image, far from each other, with the score 0.5."""

    def forward(self, images_bhwc: Pixels) -> Raw:
        head = torch.full((len(images_bhwc), SIDES + 2, ANCHORS), -20.0)
        head[:, SIDES, 0] = head[:, SIDES + 1, 31] = 0.0
        return Raw(head)


@pytest.mark.parametrize(
    ("confidence", "classes"),
    [
        (0.4, {"sign", "pole"}),
        (0.6, set()),
        ((0.4, 0.6), {"sign"}),
        ((0.6, 0.4), {"pole"}),
        ((0.3, 0.4), {"sign", "pole"}),
        ((0.6, 0.7), set()),
    ],
)
@pytest.mark.parametrize("every_class", [False, True])
def test_each_class_has_its_lowest_score(
    confidence: float | tuple[float, ...], classes: set[str], every_class: bool
) -> None:
    inference = Inference(TwoClassesEngine(0), ("sign", "pole"), confidence, 0.6, every_class=every_class)
    (found,) = inference.infer(_images(1))
    assert set(found.classes) == classes
    assert len(found.scores) == len(found.boxes_xyxy) == len(classes)


def test_classes_without_a_score_of_their_own_have_the_models() -> None:
    card = ModelCard(task="detect", variant="n", classes=("sign", "pole"), confidence=0.3)
    assert card.confidences(None) == (0.3, 0.3)
    assert card.confidences(0.5) == (0.5, 0.5)
    assert card.confidences({"pole": 0.1}) == (0.3, 0.1)
    with pytest.raises(
        ModelError, match=r"confidence: got a score for 'tree'; expected classes of the model: sign, pole"
    ):
        card.confidences({"tree": 0.1})


class BrokenEngine(OneBoxEngine):
    """Its network gives one number that is none, where nothing would be found anyway."""

    def __init__(self, value: float, channel: int) -> None:
        super().__init__(lanes=0)
        self._value, self._channel = value, channel

    def forward(self, images_bhwc: Pixels) -> Raw:
        raw = super().forward(images_bhwc)
        raw.head_bca[-1, self._channel, -1] = self._value
        return raw


@pytest.mark.parametrize("channel", [0, SIDES])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_outputs_that_are_no_numbers_are_an_error_and_not_an_empty_road(value: float, channel: int) -> None:
    with pytest.raises(ModelError, match="outputs are NaN or infinite"):
        Inference(BrokenEngine(value, channel), ("sign",), 0.3, 0.6).infer(_images(2))
