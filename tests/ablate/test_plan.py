from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support import labelled
from support.ablations import ablate_config

from roadscan.ablate.config import AblateConfig
from roadscan.ablate.plan import check_ablation
from roadscan.errors import ConfigError, ModelError, StorageError


def config(folder: Path, **fields: Any) -> AblateConfig:
    labelled.draw_dataset(folder / "data", {"train": 3, "val": 1})
    made = ablate_config(ablations=str(folder / "ablations"), **{"variants": ["n"], **fields})
    return made.model_copy(update={"train": made.train.model_copy(update={"data": str(folder / "data")})})


def test_an_ablation_that_can_start_has_all_its_runs_and_their_weights(tmp_path: Path) -> None:
    checked = check_ablation(config(tmp_path, by_variant={"n": {"initial": "demo"}}))
    assert len(checked.runs) == 4
    assert [*checked.initials] == ["demo"]
    assert {run.train.data for run in checked.runs} == {str(tmp_path / "data")}
    assert not (tmp_path / "ablations").exists()


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        (
            {"variants": ["n", "s"], "by_variant": {"s": {"initial": "demo"}}},
            ModelError,
            r"variant s: .*; by_variant\.s\.initial sets other weights, or none",
        ),
        ({"losses": {"a": {"alpha": {"tree": 0.5}}}}, ConfigError, r"loss\.alpha: got values for tree"),
        (
            {"by_loss": {"gfl": {"repeat_threshold": 0.01}}},
            ConfigError,
            r"repeat_threshold: got 0\.01, which repeats no",
        ),
        ({"ablations": "gs://bucket"}, StorageError, r"scheme 'gs' is not supported"),
    ],
)
def test_what_cannot_be_trained_is_refused(
    fields: dict[str, Any], error: type[Exception], message: str, tmp_path: Path
) -> None:
    made = config(tmp_path, **{k: v for k, v in fields.items() if k != "ablations"})
    with pytest.raises(error, match=message):
        check_ablation(made.model_copy(update={k: v for k, v in fields.items() if k == "ablations"}))


def test_an_ablation_of_pixels_is_refused_with_what_to_do(tmp_path: Path) -> None:
    labelled.draw_dataset(tmp_path / "pixels", {"train": 2, "val": 1}, task="semantic")
    made = config(tmp_path)
    of_pixels = made.train.model_copy(update={"data": str(tmp_path / "pixels")})
    with pytest.raises(ConfigError, match="is of task semantic, and an ablation's tables are of objects; train each"):
        check_ablation(made.model_copy(update={"train": of_pixels}))
