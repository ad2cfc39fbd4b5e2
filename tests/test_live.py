"""What the command line shows while a stage works: a line every tenth of the way, an epoch, a trial, a run."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest
from rich.console import Console
from support.ablations import ablate_config

from roadscan import live
from roadscan.ablate.runs import planned_runs
from roadscan.ablate.state import RunState
from roadscan.live import epoch_in_words, epoch_progress, progress, run_progress, trial_progress
from roadscan.progress import Progress
from roadscan.storage import open_store
from roadscan.tune.sweep import State, TrialRow

LOSSES = {"box_loss": 1.25, "cls_loss": 0.5, "dfl_loss": 1.0}


def row(epoch: int, **scores: float) -> dict[str, Any]:
    return {"epoch": epoch, "lr": 1e-3, "workers": 2, "seconds": 10.0, **LOSSES, **scores}


def steps(epoch: int, step: int) -> Progress:
    return Progress("train", epoch, 4, "epochs", {"step": step, "steps": 8, "losses": LOSSES})


def epochs(*rows: dict[str, Any], total: int = 4) -> Progress:
    return Progress("train", len(rows), total, "epochs", {"history": [*rows]})


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, in seconds; for the test to set."""
    now = [0.0]
    monkeypatch.setattr(live.time, "monotonic", lambda: now[0])
    return now


def test_a_log_gets_a_line_every_tenth_of_the_way(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("frames") as bar:
        for done in (1, 4, 5, 10, 39, 40):
            bar(Progress("scan", done, 40, "frames"))
    assert capsys.readouterr().out.splitlines() == [
        "1/40 frames",
        "4/40 frames",
        "10/40 frames",
        "39/40 frames",
        "40/40 frames",
    ]


def test_a_stage_that_goes_on_with_another_unit_begins_its_tenths_anew(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("drives read") as bar:
        bar(Progress("inventory", 2, 2, "drives read"))
        bar(Progress("inventory", 1, 2, "cells built"))
        bar(Progress("inventory", 2, 2, "cells built"))
    assert capsys.readouterr().out.splitlines() == ["2/2 drives read", "1/2 cells built", "2/2 cells built"]


def test_the_next_of_several_scans_begins_its_tenths_anew(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("frames") as bar:
        bar(Progress("scan", 9, 9, "frames"))
        bar(Progress("scan", 3, 6, "frames"))
    assert capsys.readouterr().out.splitlines() == ["9/9 frames", "3/6 frames"]


def test_of_nothing_to_do_there_is_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("frames") as bar:
        bar(Progress("scan", 0, 0, "frames"))
    assert capsys.readouterr().out == ""


def trial(number: int, state: State) -> TrialRow:
    return TrialRow(number, state, None, {"variant": "n"}, {1: 0.5}, None, 0.0, None, None)


def test_a_trial_is_printed_when_it_starts_and_when_it_ends(capsys: pytest.CaptureFixture[str]) -> None:
    with trial_progress() as bar:
        bar(Progress("tune", 0, 2, "trials", {"trials": [trial(0, "running")]}))
        bar(Progress("tune", 0, 2, "trials", {"trials": [trial(0, "running"), trial(1, "running")]}))
        bar(Progress("tune", 1, 2, "trials", {"trials": (ended := [trial(0, "complete"), trial(1, "running")])}))
    assert capsys.readouterr().out.splitlines() == [
        "trial   0 running  0.5000  variant=n",
        "trial   1 running  0.5000  variant=n",
        "trial   0 complete 0.5000 after 1 epochs  variant=n",
    ]
    assert bar.trials == ended


def test_an_epoch_is_one_line() -> None:
    line = epoch_in_words(row(3, map50_95=0.4123, precision=0.6, recall=0.5), 100, each_s=90)
    assert line == (
        "epoch 3/100  box 1.250 cls 0.500 dfl 1.000  mAP50-95 0.412 P 0.600 R 0.500  lr 0.001  90.0 s, 2 h 26 min left"
    )  # 97 epochs of 90 s are 8730 s
    assert epoch_in_words({**row(100), "images": 1204}, 100, each_s=4).startswith("epoch 100/100  1204 images  box")


def test_an_epoch_without_validation_and_the_last_one_say_less() -> None:
    assert epoch_in_words(row(100), 100, each_s=4) == "epoch 100/100  box 1.250 cls 0.500 dfl 1.000  lr 0.001  4.0 s"


def test_masks_have_their_own_score() -> None:
    assert "mask mAP50-95 0.300" in epoch_in_words(row(1, map50_95=0.4, mask_map50_95=0.3), 2, each_s=1)


def test_each_epoch_is_told_once(at: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with epoch_progress() as bar:
        at[0] = 50  # workers have started
        bar(steps(0, 1))
        at[0] = 56
        bar(epochs(row(1)))
        bar(steps(1, 8))
        at[0] = 66
        bar(epochs(row(1), row(2), row(3)))  # epochs may be shorter than the driver looks
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines] == ["epoch 1/4", "epoch 2/4", "epoch 3/4"]
    assert [line.split("  ")[-1] for line in lines] == ["6.0 s, 18 s left", "5.0 s, 10 s left", "5.0 s, 5 s left"]


@pytest.mark.parametrize("steps_seen", [True, False])
def test_what_a_run_had_done_before_is_not_told_again(
    steps_seen: bool, at: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with epoch_progress() as bar:
        if steps_seen:
            bar(steps(2, 1))
        bar(epochs(row(1), row(2), row(3)))
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("epoch 3/4")


def test_a_line_is_not_broken_in_a_narrow_log(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "console", Console(width=40))
    with epoch_progress() as bar:
        bar(epochs(row(3, map50_95=0.4, precision=0.6, recall=0.5), total=100))
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_quiet_keeps_what_other_programs_say_at_a_terminal() -> None:
    script = (
        "import sys; from roadscan import live; live.hush()\n"
        "with live.progress('frames'): print('another program', file=sys.stderr)"
    )
    at_a_terminal = os.environ | {"TTY_COMPATIBLE": "1", "TTY_INTERACTIVE": "1", "FORCE_COLOR": "1"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=at_a_terminal, check=True)
    assert done.stderr == "another program\n"


def test_a_run_of_an_ablation_is_printed_when_it_starts_and_when_it_ends(capsys: pytest.CaptureFixture[str]) -> None:
    one, other, third = planned_runs(ablate_config(seeds=[0]), {}, open_store("ablations"))[:3]

    def now(*states: RunState) -> Progress:
        return Progress("ablate", 1, 3, "runs", {"runs": states})

    with run_progress() as bar:
        bar(now(RunState(one, "complete", 2), RunState(other, "running", 0), RunState(third, "waiting", 0)))
        bar(now(RunState(one, "complete", 2), RunState(other, "running", 1), RunState(third, "waiting", 0)))
        bar(now(RunState(one, "complete", 2), RunState(other, "failed", 1, "diverged"), RunState(third, "running", 0)))
        bar(Progress("ablate", 1, 2, "runs scored"))
    assert capsys.readouterr().out.splitlines() == [
        "1 of 3 runs are done already",
        "running  n gfl, seed 0",
        "failed   n gfl, seed 0: diverged",
        "running  s cross-entropy, seed 0",
    ]
