"""`roadscan ablate` as a user runs it, killed in the middle, and again."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from support import labelled
from support.training import SETTINGS, Training, wait_until

from roadscan.evaluate.detection.evaluation import evaluate

pytestmark = [pytest.mark.ray, pytest.mark.slow]

TRAIN = {name: value for name, value in SETTINGS.items() if name != "loss"} | {
    "epochs": 1, "initial": "demo", "execution": {"workers": 1, "gpu": False, "cpus_per_worker": 1},
}  # fmt: skip


class Ablating(Training):
    """`roadscan ablate ablate.yaml` in a folder."""

    COMMAND = ("ablate", "ablate.yaml")


def test_an_ablation_that_is_killed_goes_on_and_ends_with_every_run_once(tmp_path: Path) -> None:
    labelled.draw_dataset(tmp_path / "data", {"train": 8, "val": 2, "test": 4})
    losses = {"cross-entropy": {"gamma": 0}, "gfl": {"gamma": 1.5}}
    tree = {"train": TRAIN, "variants": ["n"], "losses": losses, "seeds": [0], "max_concurrent": 1, "resamples": 20}
    (tmp_path / "ablate.yaml").write_text(yaml.safe_dump(tree))
    folder = tmp_path / "ablations" / "ablation"

    def summaries() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in folder.glob("runs/*/summary.json")}

    with Ablating(tmp_path) as first:
        wait_until(lambda: "running  n gfl" in first.out or first.process.poll() is not None, lambda: first.out)
        assert first.process.poll() is None, first.err
        before = summaries()
        assert len(before) == 1
        first.process.kill()
        first.process.wait()
        first.wait_until_nothing_runs()
    with Ablating(tmp_path) as second:
        assert second.end() == 0, second.err
    assert "1 of 2 runs are done already" in second.out
    assert "running  n cross-entropy" not in second.out
    assert before.items() < summaries().items()

    rows = pq.read_table(folder / "runs.parquet").to_pylist()
    assert [(row["loss"], row["state"]) for row in rows] == [("cross-entropy", "complete"), ("gfl", "complete")]
    assert {path.parent.name for path in summaries()} == {row["run"] for row in rows}
    for row in rows:
        history = json.loads((folder / "runs" / row["run"] / "history.json").read_text())
        assert [one["epoch"] for one in history] == [1]
        scores = evaluate(f"{row['run_uri']}/model.zip", str(tmp_path / "data"), resamples=0).measured["box"].scores
        assert row["map50_95"] == pytest.approx(scores.map50_95, abs=1e-9)
        assert row["f1"] == pytest.approx(scores.f1_of_means, abs=1e-9)
    differences = pq.read_table(folder / "differences.parquet").to_pylist()
    assert {row["part"] for row in differences} >= {"all", "class", "size"}
    assert {row["verdict"] for row in differences} <= {"gain", "loss", "no gain", "unknown"}
    assert "difference to cross-entropy" in second.out
    assert "<h2>What each variant sees</h2>" in (folder / "ablation.html").read_text()
