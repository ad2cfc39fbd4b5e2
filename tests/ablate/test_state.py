from __future__ import annotations

import json
from pathlib import Path

from support.ablations import ablate_config

from roadscan.ablate.runs import Run, planned_runs
from roadscan.ablate.state import drop_checkpoints, folder_of, history_of, is_complete
from roadscan.storage import open_store


def first_run(folder: Path) -> Run:
    return planned_runs(ablate_config(), {}, open_store(folder))[0]


def test_a_run_is_complete_once_its_summary_is_there(tmp_path: Path) -> None:
    run = first_run(tmp_path)
    assert (is_complete(run), history_of(run)) == (False, [])
    folder_of(run).write("history.json", json.dumps([{"epoch": 1}]).encode())
    assert (is_complete(run), history_of(run)) == (False, [{"epoch": 1}])
    folder_of(run).write("summary.json", b"{}")
    assert is_complete(run)


def test_of_a_complete_run_the_checkpoints_go_and_all_else_stays(tmp_path: Path) -> None:
    run = first_run(tmp_path)
    kept = ["curves.png", "history.json", "model.zip", "summary.json", "tensorboard/events"]
    for key in [*kept, "checkpoint_manager_snapshot.json", "checkpoint_2026/state.pt", "checkpoint_2027/state.pt"]:
        folder_of(run).write(key, b"1")
    drop_checkpoints(run)
    assert sorted(folder_of(run).keys()) == kept
    drop_checkpoints(run)  # again, as after a death between
