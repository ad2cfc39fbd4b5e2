from __future__ import annotations

import re
from pathlib import Path

import pytest
from rich.console import Console
from support.commands import Command, roadscan

from roadscan.model.backends.agreement import Agreement
from roadscan.model.backends.engine import is_installed
from roadscan.model.bench import Row
from roadscan.terminal import console, print_backends


@pytest.mark.slow
def test_all_backends_are_shown_side_by_side(converted: Path) -> None:
    done = roadscan("model", "bench", "demo", "--images", "2", "--threads", "1", XDG_CACHE_HOME=str(converted))
    assert done.returncode == 0, done.stderr
    for name in ("torch, full", "torch, half", "openvino, full", "openvino, half", "onnxruntime, full"):
        (line,) = (line for line in done.stdout.splitlines() if line.strip().startswith(name))
        if is_installed(name.split(",")[0]):  # type: ignore[arg-type]
            assert re.search(r"(\d+\.\d+ +){5}yes +\d+\.\d *$", line), line
        else:
            assert re.search(r"-( +-){6}", line), line
    assert "note: backend tensorrt: " in done.stdout


@pytest.mark.slow
def test_a_model_without_calibration_images_is_told_how_to_get_some(here: Command, detect_model: str) -> None:
    done = here("model", "bench", detect_model)
    assert done.returncode == 1
    assert "add them with 'roadscan model calibrate'" in done.stderr


def test_the_table_fits_a_narrow_terminal() -> None:
    agreed = Agreement(8, 45, 0, 0.9, 0.99, 0.0358, 12.34)
    row = Row("onnxruntime", "half", "cpu", 1234.5, 1234.5, agreed, 12.3)
    narrow = Console(width=80)
    with pytest.MonkeyPatch.context() as patch, narrow.capture() as shown:
        patch.setattr("roadscan.terminal.console", narrow)
        print_backends([row])
    assert "12.3\n" in shown.get().replace(" \n", "\n")
    assert "…" not in shown.get()


def test_why_a_backend_does_not_run_is_under_the_table_once() -> None:
    missing = "backend openvino: not installed; pip install 'roadscan[openvino]', or set backend=torch"
    with console.capture() as shown:
        print_backends([Row("openvino", "full", objection=missing), Row("openvino", "half", objection=missing)])
    assert shown.get().count(missing) == 1
