"""Which metrics go with which labels."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import labelled

from roadscan.errors import ConfigError
from roadscan.tune.config import TuneConfig
from roadscan.tune.plan import check_sweep


def sweep(root: Path, task: str, metric: str, **loss: object) -> TuneConfig:
    labelled.draw_dataset(root / "data", {"train": 2, "val": 1}, task=task)
    train = {"data": str(root / "data"), "image_size_px": 160, "loss": loss}
    space = {"loss.gamma": [0, 2]}
    return TuneConfig.model_validate({"train": train, "sweeps": str(root), "space": space, "metric": metric})


@pytest.mark.parametrize(
    ("task", "metric"),
    [("semantic", "map50_95"), ("segment", "miou"), ("detect", "boundary_f1"), ("detect", "mask_map50")],
)
def test_a_metric_of_other_labels_is_refused(task: str, metric: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"metric: got {metric}, but .* is labelled for {task}"):
        check_sweep(sweep(tmp_path, task, metric))


def test_a_sweep_of_pixels_is_taken_and_its_alpha_is_looked_at(tmp_path: Path) -> None:
    assert check_sweep(sweep(tmp_path / "a", "semantic", "miou")) == {}
    with pytest.raises(ConfigError, match=r"loss\.alpha: .* \(missing: background\)"):
        check_sweep(sweep(tmp_path / "b", "semantic", "miou", alpha=dict.fromkeys(labelled.NAMES, 0.5)))
