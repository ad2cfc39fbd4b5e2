from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from roadscan.errors import ModelError
from roadscan.model.backends import choose
from roadscan.model.backends.choose import choose_engine, preference
from roadscan.model.backends.engine import Backend, Engine, Pixels, Precision
from roadscan.model.backends.pytorch import TorchEngine
from roadscan.model.bundle import Bundle, load
from roadscan.model.detector import Detector
from roadscan.model.head import Raw


class Converted(Engine):
    """PyTorch behind another backend's name, with logits moved by a fault."""

    def __init__(self, backend: Backend, bundle: Bundle, fault: float, folder: Path) -> None:
        self.backend, self.runs_on, self.lanes, self.folder = backend, f"cpu, {backend} paper", 1, folder
        self._torch, self._fault = TorchEngine(bundle, "cpu", "full", 1), fault
        self.passes = 0

    def forward(self, images_bhwc: Pixels) -> Raw:
        self.passes += 1
        raw = self._torch.forward(images_bhwc)
        return Raw(raw.head_bca + self._fault)


class Workshop:
    """Which backends are installed, and what is wrong with each."""

    def __init__(self, folder: Path, faults: dict[Backend, float]) -> None:
        self.folder, self.faults = folder, faults
        self.opened: list[Engine] = []

    def open(self, backend: Backend, bundle: Bundle, device: str, precision: Precision, threads: int) -> Engine:
        if backend == "torch":
            self.opened.append(TorchEngine(bundle, device, precision, threads))
        else:
            self.opened.append(Converted(backend, bundle, self.faults[backend], self.folder))
        return self.opened[-1]


@pytest.fixture
def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    made = Workshop(tmp_path, {"openvino": 0.0, "onnxruntime": 0.0})
    monkeypatch.setattr(choose, "open_engine", made.open)
    monkeypatch.setattr(choose, "is_installed", lambda backend: backend in made.faults)
    return made


def _choose(wanted: choose.Choice, bundle: Bundle | None = None, precision: Precision = "full") -> Engine:
    return choose_engine(wanted, bundle or _demo(), "cpu", precision, 1)


def _demo() -> Bundle:
    """The demo model with two of its calibration images, which are enough to tell right from wrong."""
    demo = load("demo")
    return replace(demo, calibration=demo.calibration[:2])


def test_auto_takes_the_first_that_agrees(workshop: Workshop) -> None:
    assert _choose("auto").backend == preference("cpu", "full")[0]


def test_auto_goes_past_one_that_does_not_agree(workshop: Workshop, caplog: pytest.LogCaptureFixture) -> None:
    first, second = preference("cpu", "full")[:2]
    workshop.faults[first] = 1.0  # a score of 0.5 becomes 0.73
    assert _choose("auto").backend == second


def test_auto_stays_with_torch_and_says_why(workshop: Workshop, caplog: pytest.LogCaptureFixture) -> None:
    workshop.faults = {"openvino": 1.0}
    for _ in range(2):
        engine = _choose("auto")
        assert engine.backend == "torch"
        assert "openvino is not used: it does not agree with torch float32" in engine.runs_on
    assert [record.levelno for record in caplog.records if "is not used" in record.message] == [logging.WARNING]


def test_auto_with_nothing_installed_is_torch_without_a_word(
    workshop: Workshop, caplog: pytest.LogCaptureFixture
) -> None:
    workshop.faults = {}
    assert _choose("auto").runs_on == "cpu, torch float32"
    assert not caplog.records


def test_without_calibration_images_auto_stays_with_torch(workshop: Workshop) -> None:
    engine = _choose("auto", replace(load("demo"), calibration=()))
    assert engine.backend == "torch"
    assert "no calibration images; add them with 'roadscan model calibrate'" in engine.runs_on


def test_on_a_gpu_auto_is_torch_since_nothing_else_was_measured_there() -> None:
    assert preference("cuda:1", "half") == preference("cuda", "full") == ("torch",)


def test_a_backend_asked_for_that_does_not_agree_is_an_error_with_figures(workshop: Workshop) -> None:
    workshop.faults["openvino"] = 1.0
    with pytest.raises(ModelError, match=r"backend openvino, precision full: it does not agree.*\d+ of \d+ detections"):
        _choose("openvino")


def test_a_backend_asked_for_cannot_do_without_calibration_images(workshop: Workshop) -> None:
    with pytest.raises(ModelError, match="no calibration images"):
        _choose("openvino", replace(load("demo"), calibration=()))


def test_the_verdict_is_kept_beside_the_engine(workshop: Workshop) -> None:
    for _ in range(2):
        _choose("openvino")
    first, second = (engine for engine in workshop.opened if isinstance(engine, Converted))
    assert first.passes > 0
    assert second.passes == 0
    (verdict,) = workshop.folder.iterdir()
    assert verdict.name.startswith("verdict-openvino-full-")


def test_damaged_calibration_images_are_told(workshop: Workshop) -> None:
    with pytest.raises(ModelError, match="damaged; write them again with 'roadscan model calibrate'"):
        _choose("openvino", replace(load("demo"), calibration=(b"no image",)))


@pytest.mark.slow
@pytest.mark.parametrize(("backend", "precision"), [("openvino", "half"), ("onnxruntime", "full")])
def test_the_demo_model_may_be_run_by(
    backend: Backend, precision: Precision, converted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(backend, reason=f"needs {backend}: pip install 'roadscan[{backend}]'")
    monkeypatch.setenv("XDG_CACHE_HOME", str(converted))
    detector = Detector(load("demo"), device="cpu", precision=precision, backend=backend, threads=2)
    assert detector.backend == backend
    assert backend in detector.runs_on
