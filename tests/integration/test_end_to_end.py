"""The demonstration, small, as the wheel runs it where there is no repository; and what a user does around it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.commands import Command, roadscan, sets
from support.wheel import Installed

from roadscan.cli import run

pytestmark = [pytest.mark.s3, pytest.mark.ray, pytest.mark.slow]


@pytest.fixture(scope="module")
def demo(installed: Installed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    out, roads = folder / "out", {"roads.length_km": 0.4, "roads.seed": 9, "roads.conditions": "[day]"}
    done = installed.run(folder, "roadscan", "demo", "out", *sets(**roads))
    assert done.returncode == 0, done.stdout + done.stderr
    (out / "told.txt").write_text(done.stdout)
    return out


def answer(here: Command, demo: Path, sql: str) -> list[dict[str, object]]:
    done = here("query", str(demo / "warehouse"), sql, "--format", "json")
    assert done.returncode == 0, done.stderr
    rows: list[dict[str, object]] = json.loads(done.stdout)
    return rows


def test_the_demo_ends_with_an_inventory_and_a_report(demo: Path) -> None:
    told = (demo / "told.txt").read_text()
    (counts,) = [line for line in told.splitlines() if line.startswith("frames in")]
    frames_in, frames_out = (int(part.split()[-1]) for part in counts.split(","))
    assert frames_in == frames_out > 100
    assert "point assets, one to one within 5 m (overhead 10 m): precision" in told
    assert (demo / "inventory.png").read_bytes().startswith(b"\x89PNG")
    assert "data:image/png" in (demo / "report.html").read_text()


def test_the_demo_leaves_a_map_as_files_and_the_line_that_serves_it(here: Command, demo: Path) -> None:
    last = (demo / "told.txt").read_text().replace("\n", " ").split("map:")[1].split()
    assert last == ["roadscan", "view", "out/warehouse", "--images", "s3://raw/survey=out/images"]
    assets = answer(here, demo, "SELECT count(*) AS n FROM assets")[0]["n"]
    assert json.loads((demo / "view/data/view.json").read_text())["view"]["assets"] == assets
    done = here(
        "view", str(demo / "warehouse"), "--images", f"s3://raw/survey={demo}/images", "--export", str(demo / "again")
    )
    assert done.returncode == 0, done.stderr  # every photograph is found where the line says
    names = {path.name for path in (demo / "view/data/photo").iterdir()}
    assert names == {path.name for path in (demo / "again/data/photo").iterdir()}
    assert len(names) >= assets


def test_the_wheels_own_python_reads_what_its_demo_left(installed: Installed, demo: Path) -> None:
    told = (demo / "told.txt").read_text()
    program = "import roadscan; print(len(roadscan.open_warehouse('out/warehouse').table('frames')))"
    asked = installed.run(demo.parent, "python", "-c", program)
    assert f"frames out {asked.stdout.strip()}\n" in told, asked.stderr


def test_the_copied_warehouse_answers_after_the_server_is_gone(here: Command, demo: Path) -> None:
    (row,) = answer(here, demo, "SELECT count(*) AS frames, count(DISTINCT drive_id) AS drives FROM frames")
    assert row["drives"] == 3
    (twice,) = answer(here, demo, "SELECT count(*) - count(DISTINCT observation_id) AS n FROM observations")
    assert twice["n"] == 0
    found = answer(here, demo, "SELECT class, count(*) AS n FROM assets_current GROUP BY class")
    assert sum(int(str(row["n"])) for row in found) >= 5


def test_the_demo_refuses_a_folder_that_is_in_use(demo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["demo", str(demo)]) == 1
    assert "no empty folder" in " ".join(capsys.readouterr().err.split())


def test_a_report_without_truth_and_without_a_register(
    demo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # The images are gone with the S3 server, so only the map can be drawn.
    none = sets(frames=0, crops=0)
    done = roadscan("report", str(demo / "warehouse"), "--out", str(tmp_path / "report"), *none)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "report/report.html").exists()
    assert run(["report", str(tmp_path / "nothing"), "--out", str(tmp_path / "other")]) == 1
    assert "no warehouse here" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("arguments", "words", "code"),
    [
        (["query", "{wh}", "SELECT * FROM nowhere"], "assets_current", 1),
        (["query", "{wh}", "DROP TABLE assets"], "only reads", 1),
        (["query", "{wh}", "FROM assets", "--as-of", "2020-01-01"], "nothing was published", 1),
        (["query", "{wh}", "FROM assets", "--format", "xml"], "xml", 2),
        (["query"], "Missing argument", 2),
        (["nonsense"], "No such command", 2),
    ],
)
def test_a_wrong_question_gets_a_message(
    demo: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str, code: int
) -> None:
    assert run([word.format(wh=demo / "warehouse") for word in arguments]) == code
    assert words in " ".join(capsys.readouterr().err.split())


def test_an_error_of_the_program_itself_is_a_message_and_no_traceback(demo: Path) -> None:
    done = roadscan("query", str(demo / "warehouse"), "SELEC 1")
    assert done.returncode == 1
    assert "syntax error" in done.stderr
    assert "Traceback" not in done.stderr
