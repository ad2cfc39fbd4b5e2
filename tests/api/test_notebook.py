"""The notebook that an analyst opens first, run from its first cell to its last.

Its cells are Python, so a process of its own runs them as a kernel would; Jupyter and its packages would add nothing.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).resolve().parents[2] / "jobs/analyst.ipynb"

#: Runs each cell in one namespace and shows what a cell's last line gives, as a kernel does.
KERNEL = """
import ast, json, sys

namespace = {}
for cell in json.load(open(sys.argv[1]))["cells"]:
    if cell["cell_type"] == "code":
        exec(compile(ast.Interactive(ast.parse("".join(cell["source"])).body), cell["id"], "single"), namespace)
(axes,) = namespace["figure"].axes
print("drawn:", sum(len(drawn.get_offsets()) for drawn in axes.collections), len(namespace["frames"]))
"""


@pytest.fixture(scope="module")
def notebook() -> dict:
    return json.loads(NOTEBOOK.read_text(encoding="utf-8"))


def test_it_is_a_notebook_that_keeps_no_outputs(notebook: dict) -> None:
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(ids) == len(set(ids)) >= 8
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"]) == ([], None)


@pytest.mark.slow
def test_every_cell_runs_and_the_map_is_drawn(surveyed: Path, tmp_path: Path) -> None:
    (tmp_path / "jobs").mkdir()
    (tmp_path / "demo-out").mkdir()
    (tmp_path / "demo-out/warehouse").symlink_to(surveyed)
    done = subprocess.run(
        [sys.executable, "-c", KERNEL, str(NOTEBOOK)],
        cwd=tmp_path / "jobs",
        env={**os.environ, "MPLBACKEND": "agg", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for shown in ("created_at", "confirmed", "after the first night", "pos_sigma_m"):
        assert shown in done.stdout
    drawn, frames = map(int, done.stdout.split("drawn: ")[1].split())
    assert drawn > frames == 180
