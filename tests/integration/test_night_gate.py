"""A model that is worse on labelled images, in nights by the command that cron runs, and as someone passes the gate."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from support.commands import Command
from support.drives import START, make_drive
from support.once import made_once

from roadscan.model.bundle import load, save
from roadscan.simulate import SimulationConfig, write_yolo_dataset
from roadscan.warehouse import Warehouse

pytestmark = pytest.mark.slow

ROADS = SimulationConfig(seed=25, density=3.0, width_px=640, height_px=360, conditions=("day",), workers=1)


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Six labelled images of three drives to test on."""

    def film(folder: Path) -> None:
        write_yolo_dataset(folder, ROADS, "detect", 8, shares=(1 / 8, 1 / 8, 6 / 8))
        rows = pq.read_table(folder / "frames.parquet").to_pylist()
        named = [{**row, "drive_id": f"{row['split']}-{number % 3}"} for number, row in enumerate(rows)]
        pq.write_table(pa.Table.from_pylist(named), folder / "frames.parquet")

    return str(made_once(tmp_path_factory, "gate", film))


@pytest.fixture(scope="module")
def worse(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The demo model with noise on its weights."""
    demo, path = load("demo"), tmp_path_factory.mktemp("models") / "worse.zip"
    torch.manual_seed(0)
    noise = {
        name: 1 + 0.3 * torch.randn_like(one) for name, one in demo.weights.items() if name.endswith("conv.weight")
    }
    save(path, demo.card, {name: one * noise.get(name, 1) for name, one in demo.weights.items()})
    return str(path)


def test_a_worse_model_scans_nothing_until_someone_says_why(
    here: Command, tmp_path: Path, labelled: str, worse: str
) -> None:
    def night(number: int, model: str, *more: str) -> tuple[int, str]:
        tree = {
            "warehouse": str(tmp_path / "warehouse"),
            "scan": {"drives": [str(tmp_path / "drives")], "model": model, "actors": 1, "backend": "torch"},
            "health": {"labelled": labelled},
        }
        (tmp_path / "nightly.yaml").write_text(yaml.safe_dump(tree))
        done = here("nightly", str(tmp_path / "nightly.yaml"), "--date", f"2026-11-0{number}", *more)
        return done.returncode, done.stdout + done.stderr

    def drive(number: int) -> None:
        day = {i: {"captured_at": START.replace(day=number, second=i)} for i in range(3)}
        make_drive(str(tmp_path / f"drives/d{number}"), f"d{number}", n=3, replace=day)

    drive(1)
    code, told = night(1, "demo", "--force", " ")
    assert (code, "--force: got no reason" in told) == (1, True)
    code, told = night(1, "demo")
    assert code == 0, told
    drive(2)
    code, told = night(2, worse)
    assert code == 6, told
    assert "no release: the model is worse: map50_95 of box, model " in told
    warehouse = Warehouse(str(tmp_path / "warehouse"))
    assert warehouse.read(warehouse.current(), "runs")["drive_id"].to_pylist() == ["d1"]

    code, told = night(2, worse, "--force", "a new camera")
    assert code == 0, told
    assert "forced: a new camera" in told
    assert warehouse.current().note == "night 2026-11-02, forced: a new camera"
    newest = json.loads(here("releases", "list", str(tmp_path / "warehouse"), "--json").stdout)[0]["release"]
    shown = here("releases", "show", str(tmp_path / "warehouse"), str(newest)).stdout
    assert "night 2026-11-02, forced: a new camera" in shown

    drive(3)
    code, told = night(3, worse)  # it is the current one by now
    assert code == 0, told
