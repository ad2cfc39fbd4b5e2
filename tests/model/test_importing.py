from __future__ import annotations

from pathlib import Path

import pytest
from safetensors.torch import save_file
from support.commands import Command

from roadscan.errors import ModelError
from roadscan.model.bundle import load
from roadscan.model.importing import import_weights


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """The demo model's weights as a state dict, and a folder of the images that it was calibrated with."""
    demo = load("demo")
    save_file(demo.weights, tmp_path / "w.safetensors")
    (tmp_path / "images").mkdir()
    for number, image in enumerate(demo.calibration[:3]):
        (tmp_path / "images" / f"{number}.jpg").write_bytes(image)
    return tmp_path / "w.safetensors"


@pytest.mark.slow
def test_imported_weights_may_bring_calibration_images(here: Command, weights: Path, tmp_path: Path) -> None:
    classes = ",".join(load("demo").card.classes)
    arguments = "--classes", classes, "--calibrate", str(tmp_path / "images")
    done = here("model", "import", str(weights), str(tmp_path / "m.zip"), *arguments)
    assert done.returncode == 0, done.stderr
    made = load(str(tmp_path / "m.zip"))
    assert len(made.calibration) == 3
    assert made.sha256 in done.stdout


def test_without_images_there_are_none(weights: Path, tmp_path: Path) -> None:
    names = ",".join(load("demo").card.classes)
    import_weights(
        weights, tmp_path / "m.zip", task="detect", variant="n", classes=names, run_pickle=False
    )  # fmt: skip
    assert load(str(tmp_path / "m.zip")).calibration == ()


@pytest.mark.slow
def test_a_model_gets_other_calibration_images_and_keeps_its_weights(
    here: Command, weights: Path, tmp_path: Path
) -> None:
    out = str(tmp_path / "m.zip")
    done = here("model", "calibrate", "demo", str(tmp_path / "images"), out)
    assert done.returncode == 0, done.stderr
    made, demo = load(out), load("demo")
    assert len(made.calibration) == 3
    assert made.card == demo.card
    assert all((made.weights[name] == tensor).all() for name, tensor in demo.weights.items())
    refused = here("model", "calibrate", "demo", str(tmp_path / "none"), out)
    assert refused.returncode == 1
    assert refused.stderr.startswith("error: calibration images")


def test_a_pickle_is_read_only_on_request(tmp_path: Path) -> None:
    (tmp_path / "w.pt").write_bytes(b"")
    with pytest.raises(ModelError, match="add --run-pickle if you trust it"):
        import_weights(
            tmp_path / "w.pt", tmp_path / "m.zip", task="detect", variant="n", classes="coco", run_pickle=False
        )  # fmt: skip
