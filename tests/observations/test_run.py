from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from support.observation_tables import RANGES, committed, csv, other, row, world_table
from support.world import World

from roadscan.cli import run
from roadscan.inventory import query
from roadscan.warehouse import Warehouse


def test_the_command_commits_and_builds(tmp_path: Path, world: World, capsys: pytest.CaptureFixture[str]) -> None:
    pq.write_table(world_table(world, 1, RANGES), tmp_path / "o.parquet")
    arguments = ["inventory", "--observations", str(tmp_path / "o.parquet"), "--out", str(tmp_path / "w")]
    assert run([*arguments, "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "Warning Sign" in shown
    assert "warehouse:" in shown
    assert not (tmp_path / "w").exists()
    assert run(arguments) == 0
    assert "night-01" in query(str(tmp_path / "w"), "SELECT drive_id FROM runs")["drive_id"].to_pylist()
    number = Warehouse(str(tmp_path / "w")).current().number
    assert number == 2  # the observations, the register
    capsys.readouterr()
    assert run([*arguments, "--set", "tracking.min_score=0.25"]) == 0
    assert "0 drives to commit, 1 already there" in capsys.readouterr().out
    assert Warehouse(str(tmp_path / "w")).current().number == number


def test_the_command_shows_what_it_rejects(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = csv(tmp_path / "o.csv", row(), other(1, score=5), other(2))
    assert run(["inventory", "--observations", path, "--out", str(tmp_path / "w"), "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "rejected: 1 bad_score (expected 0 to 1)" in shown
    assert not (tmp_path / "w").exists()


def test_a_dry_run_tells_that_replace_is_needed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    committed(csv(tmp_path / "1.csv", row()), str(tmp_path / "w"))
    arguments = ["inventory", "--observations", csv(tmp_path / "2.csv", row(score=0.1)), "--out", str(tmp_path / "w")]
    assert run([*arguments, "--dry-run"]) == 1
    assert "give --replace" in capsys.readouterr().err
    assert run([*arguments, "--dry-run", "--replace"]) == 0
    assert "1 drives to commit" in capsys.readouterr().out
    assert Warehouse(str(tmp_path / "w")).current().number == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--frames", "f.csv", "--out", "w"], "--frames and --replace go with --observations"),
        (["--replace", "--out", "w"], "--frames and --replace go with --observations"),
        (["--observations", "o.csv"], "warehouse: required"),
        (["--observations", "no.csv", "--out", "w"], "does not exist"),
    ],
)
def test_wrong_arguments_are_explained(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["inventory", *arguments]) == 1
    assert words in capsys.readouterr().err
