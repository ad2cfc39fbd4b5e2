"""The command line itself: its options, what it prints of configs, completion in shells."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from support.commands import roadscan, sets
from support.world import commit, drive, make_world

from roadscan.manual.commented import commented_yaml
from roadscan.warehouse import Warehouse

SMALL = ["--km", "0.1", "--nights", "1", *sets(width_px=320, height_px=180, frame_spacing_m=50, workers=1)]


def test_a_jobs_config_is_printed_as_it_is_whatever_the_terminals_width(tmp_path: Path) -> None:
    done = roadscan("config", "scan", COLUMNS="40")
    assert done.returncode == 0
    assert done.stdout == commented_yaml("scan")
    assert yaml.safe_load(done.stdout)["batch_size"] == 32


def test_a_job_that_there_is_not_is_named_with_those_that_there_are() -> None:
    done = roadscan("config", "scna")
    assert done.returncode == 2
    assert "'scna'" in done.stderr
    assert "'nightly'" in done.stderr


@pytest.mark.parametrize(
    ("words", "place", "offered"),
    [
        ("roadscan s", 1, {"simulate", "scan", "score"}),
        ("roadscan config t", 2, {"train", "tune"}),
        ("roadscan query w q --f", 4, {"--format"}),
    ],
)
def test_a_shell_completes_commands_jobs_and_options(words: str, place: int, offered: set[str]) -> None:
    asked = {"_ROADSCAN_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(place)}
    done = roadscan(**asked)
    assert set(done.stdout.split()) == offered


@pytest.mark.slow
def test_quiet_leaves_results_and_verbose_adds_a_log(tmp_path: Path) -> None:
    as_always = roadscan("simulate", str(tmp_path / "a"), *SMALL)
    quiet = roadscan("-q", "simulate", str(tmp_path / "b"), *SMALL)
    assert as_always.returncode == quiet.returncode == 0, as_always.stderr + quiet.stderr
    progress = [line for line in as_always.stdout.splitlines() if line.endswith(" frames")]
    assert progress
    left = [line for line in as_always.stdout.splitlines() if line not in progress]
    assert [line.split()[0] for line in quiet.stdout.splitlines()] == [line.split()[0] for line in left]

    commit(Warehouse(str(tmp_path / "w")), drive(make_world(seed=3, length_m=200.0), 0))
    warehouse = ["--set", f"warehouse={tmp_path / 'w'}"]
    plain, loud = roadscan("inventory", *warehouse), roadscan("-v", "inventory", *warehouse)
    assert (plain.stderr, loud.returncode) == ("", 0)
    assert "INFO roadscan.inventory" in loud.stderr


def test_verbose_and_quiet_together_are_refused() -> None:
    done = roadscan("-v", "-q", "config", "scan")
    assert (done.returncode, done.stdout) == (1, "")
    assert "-v and -q: got both; expected one of them" in done.stderr
