from __future__ import annotations

import io
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from support.ablations import ablate_config, ablation, found

from roadscan.ablate.results import Ablation, RunResult
from roadscan.ablate.tables import differences_rows, result_tables, runs_table, variants_table
from roadscan.config import load_config
from roadscan.evaluate.detection import score
from roadscan.evaluate.detection.tables import Cell, ScoreTable
from roadscan.schemas import ABLATION_RUNS
from roadscan.storage import parquet_bytes
from roadscan.train.config import TrainConfig
from roadscan.train.placement import Placement
from roadscan.tune.placement import SweepPlan

PLAN = SweepPlan({variant: Placement(1, 1, 0) for variant in "ns"}, {}, None, 1)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Ablation:
    return ablation(tmp_path_factory.mktemp("ablation"))


def text(cell: Cell | str) -> str:
    return cell if isinstance(cell, str) else cell.text


def cells(table: ScoreTable) -> dict[tuple[str, ...], dict[str, str]]:
    """Rows by their first words, as text by column."""
    return {tuple(map(text, row[:2])): dict(zip(table.header, map(text, row), strict=True)) for row in table.rows}


def test_a_variants_row_is_the_mean_of_its_seeds(made: Ablation) -> None:
    table = variants_table(made, "gfl", "box", wide=True)
    (row,) = [dict(zip(table.header, map(text, row), strict=True)) for row in table.rows if row[0] == "s"]
    names = made.tested.split.names
    scores = [score(found(made.tested, 0.9, seed), names) for seed in (0, 1)]
    for metric, column in (("map50", "mAP50"), ("map50_95", "mAP50-95"), ("precision", "P"), ("f1_of_means", "F1")):
        values = [100 * getattr(one, metric) for one in scores]
        assert row[column] == f"{np.mean(values):.2f} ± {np.std(values, ddof=1):.2f}"
    assert (row["parameters"], row["ms an image"], row["core h"]) == ("11.13 M", "9.5", "0.04")


def test_no_gain_is_said_where_the_interval_holds_zero(tmp_path: Path) -> None:
    same = ablate_config(losses={"cross-entropy": {"gamma": 0}, "gfl": {"gamma": 1.5}})
    made = ablation(tmp_path, same)
    equal = {
        run.name: replace(made.results[other.name], run=run)
        for run in made.runs
        for other in made.runs
        if (other.loss, other.variant, other.seed) == ("cross-entropy", run.variant, run.seed)
    }
    table = next(t for t in result_tables(replace(made, results=equal)) if "difference" in t.title)
    assert {row["verdict"] for row in cells(table).values()} == {"no gain"}
    assert cells(table)["gfl", "all"]["mAP50"] == "+0.00 ± 0.00"


def test_a_loss_that_finds_more_gains(made: Ablation) -> None:
    table = next(t for t in result_tables(made) if "difference" in t.title)
    assert list(cells(table)) == [("gfl", "n"), ("gfl", "s"), ("gfl", "all")]
    assert all(row["mAP50-95"].startswith("+") for row in cells(table).values())


def test_parts_are_classes_sizes_frequencies_and_conditions_with_their_objects(made: Ablation) -> None:
    table = next(t for t in result_tables(made, wide=True) if "by part" in t.title)
    counts = {row[0]: row[1] for row in table.rows}
    assert [*counts] == [
        "class square", "class disc", "class bar", "size small", "size medium", "size large", "frequency head",
        "frequency tail", "condition day", "condition night",
    ]  # fmt: skip
    classes = np.concatenate([image.classes for image in made.tested.split.images])
    assert [counts[f"class {name}"] for name in made.tested.split.names] == [
        str((classes == i).sum()) for i in range(3)
    ]
    assert int(str(counts["condition day"])) + int(str(counts["condition night"])) == len(classes)
    assert table.header == ["part", "objects", "n", "s", "all", "verdict"]


def test_narrow_tables_fit_eighty_columns(made: Ablation) -> None:
    from rich.console import Console

    for table in result_tables(made):
        console = Console(file=io.StringIO(), width=80)
        console.print(table.rich())
        assert "…" not in console.file.getvalue()  # type: ignore[attr-defined]


def test_the_table_of_runs_has_every_run_with_the_line_that_replays_it(made: Ablation) -> None:
    data = parquet_bytes(runs_table(made, PLAN))
    table = pq.read_table(io.BytesIO(data))
    assert table.schema.field("latency_ms").metadata[b"unit"] == b"ms"
    assert table.schema.remove_metadata().equals(ABLATION_RUNS.remove_metadata())
    for run, row in zip(made.runs, table.to_pylist(), strict=True):
        program, command, *options = shlex.split(row["replay"])
        replayed = load_config(TrainConfig, None, options[1::2])
        assert (program, command, replayed.identity()) == ("roadscan", "train", run.train.identity())
        assert (row["state"], row["model_sha256"]) == ("complete", f"sha-{run.name}")
        assert row["map50"] == pytest.approx(
            score(found(made.tested, 0.9 if run.loss == "gfl" else 0.5, run.seed), made.tested.split.names).map50
        )


def test_differences_are_rows_to_query(made: Ablation) -> None:
    rows = differences_rows(made).to_pylist()
    assert {(row["loss"], row["baseline"], row["variant"]) for row in rows} == {
        ("gfl", "cross-entropy", variant) for variant in ("n", "s", "all")
    }
    by_variant = {row["variant"]: row["difference"] for row in rows if row["of"] == "map50_95"}
    assert by_variant["all"] == pytest.approx((by_variant["n"] + by_variant["s"]) / 2)


def test_that_nothing_was_learnt_is_told(made: Ablation) -> None:
    def blind(result: RunResult) -> RunResult:
        scored = {
            k: replace(s, measured=replace(s.measured, values=0 * s.measured.values)) for k, s in result.scored.items()
        }
        return replace(result, scored=scored)

    nothing = replace(made, results={name: blind(result) for name, result in made.results.items()})
    assert [note for note in nothing.notes if note not in made.notes] == [
        "no run reaches an mAP50 of 1 %: so short a training tells nothing of losses or variants"
    ]


def test_a_failed_run_stands_in_the_table_and_the_notes(tmp_path: Path) -> None:
    made = ablation(tmp_path, failed=1)
    *others, last = runs_table(made, PLAN).to_pylist()
    assert (last["state"], last["failure"], last["map50"]) == ("failed", "diverged in epoch 1", None)
    assert {row["state"] for row in others} == {"complete"}
    assert "s, gfl, seed 1 failed: diverged in epoch 1" in made.notes
    table = next(t for t in result_tables(made) if "difference" in t.title)
    assert "±" not in cells(table)["gfl", "s"]["mAP50-95"]  # of one seed


def test_a_variant_without_a_run_of_the_loss_is_unknown_and_so_is_the_mean(tmp_path: Path) -> None:
    made = ablation(tmp_path, ablate_config(seeds=[0]), failed=1)
    tables = result_tables(made)
    rows = cells(next(t for t in tables if "difference" in t.title))
    assert [rows["gfl", variant]["verdict"] == "unknown" for variant in ("n", "s", "all")] == [False, True, True]
    assert not [t for t in tables if "by part" in t.title]
    assert [t for t in result_tables(made, wide=True) if "by part" in t.title]
