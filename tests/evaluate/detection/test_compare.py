from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from support.commands import Command

from roadscan.cli import run
from roadscan.errors import ConfigError, ModelError
from roadscan.evaluate.detection.compare import Candidate, Comparison, compare, compare_matches, read_candidates
from roadscan.evaluate.detection.evaluation import evaluate
from roadscan.evaluate.detection.matching import match
from roadscan.evaluate.detection.results import ImageResult, Objects
from roadscan.evaluate.detection.tables import comparison_tables

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def comparison(roads: Path, seeds: list[str]) -> Comparison:
    seen: list[tuple[int, int]] = []
    candidates = read_candidates([f"demo={seeds[0]},{seeds[1]}", seeds[2]])
    made = compare(candidates, str(roads), resamples=200, on_progress=lambda now: seen.append((now.done, now.total)))
    assert seen == [(n, 27) for n in range(1, 28)]
    return made


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["a.zip", "runs/b.zip"], [("a", "a.zip"), ("b", "runs/b.zip")]),
        (["bce=a.zip,b.zip", "gfl=s3://m/c.zip"], [("bce", "a.zip", "b.zip"), ("gfl", "s3://m/c.zip")]),
        (["demo", "s3://m/day=7/c.zip"], [("demo", "demo"), ("c", "s3://m/day=7/c.zip")]),
    ],
)
def test_candidates_are_read(arguments: list[str], expected: list[tuple[str, ...]]) -> None:
    assert [(one.name, *one.files) for one in read_candidates(arguments)] == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "got 0; expected at least two"),
        (["a.zip"], "got 1; expected at least two"),
        (["a=", "b.zip"], "model 'a=': expected NAME=FILE"),
        (["a=x.zip,,y.zip", "b.zip"], "expected NAME=FILE"),
        (["=x.zip", "b.zip"], "expected NAME=FILE"),
        (["one/model.zip", "two/model.zip"], "name 'model' is there twice"),
        (["a=x.zip,x.zip", "b.zip"], "file 'x.zip' is there twice"),
    ],
)
def test_candidates_that_make_no_sense_are_refused(arguments: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_candidates(arguments)


def test_scores_are_means_over_the_seeds(comparison: Comparison, roads: Path, seeds: list[str]) -> None:
    alone = [evaluate(file, str(roads), resamples=0).measured["box"].scores.map50 for file in seeds[:2]]
    first = comparison.rows["box"][0].intervals.metrics["map50"]
    assert first.value == pytest.approx(np.mean(alone))
    assert first.between_runs == pytest.approx(np.std(alone, ddof=1))
    assert first.low <= first.value <= first.high
    assert np.isnan(comparison.rows["box"][1].intervals.metrics["map50"].between_runs)


def test_a_worse_model_is_worse(comparison: Comparison) -> None:
    baseline, worse = comparison.rows["box"]
    assert baseline.deltas is None
    assert worse.deltas is not None
    delta = worse.deltas.metrics["map50_95"]
    difference = worse.intervals.metrics["map50_95"].value - baseline.intervals.metrics["map50_95"].value
    assert delta.value == pytest.approx(difference)
    assert delta.high < 0


def test_tables_for_a_terminal_and_for_a_readme(comparison: Comparison) -> None:
    scores, deltas, by_part = comparison_tables(comparison)
    lines = scores.markdown().splitlines()
    assert lines[2] == "| model | mAP50 | mAP50-95 | P | R | F1 |"
    assert lines[4].startswith("| demo | ")
    assert " ± " in lines[4]
    assert " ± " not in lines[5]
    assert "95% interval over 3 drives (200 resamples)" in lines[-1]
    assert [row[0] for row in deltas.rows] == ["seed2"]
    assert "| **−" in deltas.markdown()
    conditions = ["condition day", "condition rain", "condition traffic"]
    occlusions = ["occlusion not occluded", "occlusion partly occluded", "occlusion heavily occluded"]
    assert [row[0] for row in by_part.rows] == [*conditions, *occlusions]
    assert by_part.title.startswith("boxes: seed2 against demo by condition and occlusion")
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(scores.rich(), deltas.rich())
    text = console.export_text()
    assert text.count("seed2") == 2
    assert "difference to demo, in percentage points" in text


def test_a_comparison_is_json_and_keeps_results_for_pictures(comparison: Comparison, seeds: list[str]) -> None:
    tree = json.loads(json.dumps(comparison.to_dict(), allow_nan=False))
    assert tree["baseline"] == "demo"
    assert [run["file"] for run in tree["models"]["demo"]] == seeds[:2]
    assert tree["boxes"]["demo"]["to_baseline"] is None
    assert tree["boxes"]["seed2"]["to_baseline"]["metrics"]["map50"]["value"] < 0
    assert {name: len(results) for name, results in comparison.results.items()} == {"demo": 9, "seed2": 9}


def test_files_after_one_name_must_be_seeds_of_one_network(
    roads: Path, seeds: list[str], detect_model: str, segment_model: str, tmp_path: Path
) -> None:
    other = Candidate("b", (seeds[1],))
    with pytest.raises(ConfigError, match=r"model a: .* has image_size_px 320, .* has 640; .* seed alone"):
        compare([Candidate("a", (seeds[0], detect_model)), other], str(roads))
    with pytest.raises(ConfigError, match=r"has task segment, .* has detect"):
        compare([Candidate("a", (seeds[0], segment_model)), other], str(roads))
    copy = tmp_path / "copy.zip"
    copy.write_bytes(Path(seeds[0]).read_bytes())
    with pytest.raises(ConfigError, match="model a: two of its files are the same model"):
        compare([Candidate("a", (seeds[0], str(copy))), other], str(roads))
    with pytest.raises(ModelError, match="no such file"):
        compare([Candidate("a", ("none.zip",)), other], str(roads))


def test_a_model_against_itself_differs_by_nothing(roads: Path, seeds: list[str], segment_model: str) -> None:
    candidates = [Candidate("a", (seeds[0],)), Candidate("b", (seeds[0],)), Candidate("masks", (segment_model,))]
    made = compare(candidates, str(roads), split="val", resamples=50)
    same = made.rows["box"][1].deltas
    assert same is not None
    assert {(one.value, one.low, one.high) for one in same.metrics.values()} == {(0.0, 0.0, 0.0)}
    assert made.split.left_out == ("Single-Arm Pole", "Bus Stop")  # which the last model does not know
    assert [*made.rows] == ["box"]
    assert any("masks are not scored" in note for note in made.notes)


def results(*keys: str) -> list[ImageResult]:
    box, one = np.array([[0, 0, 9, 9]], np.float32), np.zeros(1, np.int64)
    return [ImageResult(key, Objects(box, one), Objects(box, one, np.ones(1, np.float32)), key) for key in keys]


def test_models_on_different_images_cannot_be_compared() -> None:
    first, second = match(results("a", "b"), ["pole"]), match(results("a", "c"), ["pole"])
    with pytest.raises(ConfigError, match="image b is not in all of them; expected the same images in every run"):
        compare_matches({"x": [first], "y": [second]}, resamples=10)


def test_the_command_prints_markdown(here: Command, roads: Path, seeds: list[str], tmp_path: Path) -> None:
    done = here(
        "compare", f"bce={seeds[0]}", f"gfl={seeds[2]}", "--data", str(roads), "--resamples", "100", "--markdown",
        "--out", str(tmp_path),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("**boxes: test split, 9 images, 3 drives**\n\n| model | mAP50 |")
    assert "| gfl | " in done.stdout
    assert (tmp_path / "samples.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((tmp_path / "comparison.json").read_text())["baseline"] == "bce"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["demo"], "models: got 1; expected at least two to compare"),
        (["demo", "b=none.zip"], "model none.zip: no such file"),
        (["demo", "b=c.zip", "--json", "--markdown"], "--json and --markdown: got both; expected one of them"),
    ],
)
def test_a_mistake_gives_one_line(
    arguments: list[str], expected: str, roads: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["compare", *arguments, "--data", str(roads)]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"error: {expected}")
    assert printed.err.count("\n") == 1


def test_models_without_data_are_wrong_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["compare", "demo", "a.zip"]) == 2
    assert "Missing option '--data'" in capsys.readouterr().err
