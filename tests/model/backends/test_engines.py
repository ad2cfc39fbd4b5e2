"""Every backend that is installed, against PyTorch in float32, on the demo model and a segmentation model."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from roadscan.errors import ModelError
from roadscan.model.backends import onnx
from roadscan.model.backends.choose import calibration_images, open_engine
from roadscan.model.backends.engine import Backend, Precision, is_installed
from roadscan.model.bundle import load
from roadscan.model.head import SIDES, decode_head
from roadscan.model.inference import Inference

pytestmark = pytest.mark.slow

RUNS: list[tuple[Backend, Precision]] = [
    ("torch", "half"), ("openvino", "full"), ("openvino", "half"), ("onnxruntime", "full"),
]  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _engines_are_converted_once(converted: Path) -> object:
    patch = pytest.MonkeyPatch()
    patch.setenv("XDG_CACHE_HOME", str(converted))
    yield
    patch.undo()


@pytest.fixture(params=RUNS, ids=lambda run: "-".join(run))
def run(request: pytest.FixtureRequest) -> tuple[Backend, Precision]:
    if not is_installed(request.param[0]):
        pytest.skip(f"needs {request.param[0]}: pip install 'roadscan[{request.param[0]}]'")
    return request.param


def test_the_raw_output_is_torchs(run: tuple[Backend, Precision], segment_model: str) -> None:
    """One engine takes any size of image and batch; prototypes come with it."""
    bundle = load(segment_model)
    reference, engine = open_engine("torch", bundle, "cpu", "full", 1), open_engine(run[0], bundle, "cpu", run[1], 2)
    for shape in ((1, 96, 160, 3), (3, 64, 64, 3), (2, 96, 160, 3)):
        images = np.random.default_rng(0).integers(0, 255, shape, np.uint8)
        with torch.inference_mode():
            ours, theirs = engine.forward(images), reference.forward(images)
        assert ours.head_bca.dtype == torch.float32
        tolerance = 1e-3 if run[1] == "full" else 0.2
        torch.testing.assert_close(ours.head_bca, theirs.head_bca, atol=tolerance, rtol=0)
        torch.testing.assert_close(ours.prototypes, theirs.prototypes, atol=tolerance, rtol=0)


def test_boxes_are_decoded_in_float32(run: tuple[Backend, Precision]) -> None:
    """In bfloat16, centres beyond pixel 256 would lie on a grid of 2 px: equal to their own rounding."""
    bundle = load("demo")
    images = np.stack(calibration_images(bundle)[:4])
    heads = [
        open_engine(backend, bundle, "cpu", precision, 1).forward(images).head_bca
        for backend, precision in (run, ("torch", "full"))
    ]
    boxes, wanted = (decode_head(head, images.shape[1:3], 7, 0.25) for head in heads)
    far = boxes[:, :2][boxes[:, :2] > 256]
    assert len(far) > 20
    assert (far != far.bfloat16().float()).float().mean() > 0.9
    if run[1] == "full":
        torch.testing.assert_close(boxes, wanted, atol=0.02, rtol=0)


def test_several_threads_at_once_find_what_one_finds(run: tuple[Backend, Precision]) -> None:
    bundle = load("demo")
    images = np.stack(calibration_images(bundle))
    inference = Inference(open_engine(run[0], bundle, "cpu", run[1], 2), bundle.card.classes, 0.25, 0.6)
    alone = inference.infer(images)
    with ThreadPoolExecutor(4) as callers:
        for found in callers.map(inference.infer, [images] * 8):
            for one, other in zip(found, alone, strict=True):
                np.testing.assert_array_equal(one.boxes_xyxy, other.boxes_xyxy)
                assert one.classes == other.classes


def test_a_summary_says_what_computes(run: tuple[Backend, Precision]) -> None:
    engine = open_engine(run[0], load("demo"), "cpu", run[1], 2)
    assert engine.runs_on in (f"cpu, {run[0]} float32", f"cpu, {run[0]} bfloat16")
    assert engine.backend == run[0]


def test_the_head_has_the_channels_that_the_card_says(segment_model: str) -> None:
    bundle = load(segment_model)
    raw = open_engine("torch", bundle, "cpu", "full", 1).forward(np.zeros((1, 64, 96, 3), np.uint8))
    assert raw.head_bca.shape == (1, SIDES + len(bundle.card.classes) + 32, 8 * 12 + 4 * 6 + 2 * 3)
    assert raw.prototypes is not None
    assert raw.prototypes.shape == (1, 32, 16, 24)


@pytest.mark.parametrize(
    ("backend", "device", "precision", "words"),
    [
        ("onnxruntime", "cpu", "half", "no half precision on a CPU; set precision=full"),
        ("tensorrt", "cpu", "full", "does not run on cpu; set backend=torch"),
        ("openvino", "cuda", "full", "does not run on cuda; set backend=torch"),
    ],
)
def test_a_backend_that_cannot_run_there_says_so(
    backend: Backend, device: str, precision: Precision, words: str
) -> None:
    if not is_installed(backend):
        pytest.skip(f"needs {backend}")
    with pytest.raises(ModelError, match=words):
        open_engine(backend, load("demo"), device, precision, 1)


def test_tensorrt_without_its_provider_says_what_to_install() -> None:
    pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    with pytest.raises(ModelError, match=r"onnxruntime-gpu in place of onnxruntime.*roadscan\[tensorrt\]"):
        onnx.TensorRtEngine(load("demo"), "cuda", "half")


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
def test_a_backend_that_is_not_installed_says_how(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("roadscan.model.backends.engine.find_spec", lambda _: None)
    with pytest.raises(ModelError, match=rf"not installed; pip install 'roadscan\[{backend}\]', or set backend=torch"):
        open_engine(backend, load("demo"), "cpu", "full", 1)


def test_openvino_sends_no_statistics() -> None:
    """In a process of its own: here pytest may have imported anything."""
    pytest.importorskip("openvino", reason="needs openvino")
    code = """
from roadscan.model.backends.choose import open_engine
from roadscan.model.bundle import load
open_engine("openvino", load("demo"), "cpu", "full", 1)
from openvino.tools.ovc import telemetry_utils
print(telemetry_utils.tm.__name__)
"""
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert said.strip() == "openvino.tools.ovc.telemetry_stub"


def test_a_model_in_no_file_has_no_engine() -> None:
    pytest.importorskip("openvino", reason="needs openvino")
    with pytest.raises(ModelError, match="needs a model that was written to a file"):
        open_engine("openvino", replace(load("demo"), sha256=""), "cpu", "full", 1)
