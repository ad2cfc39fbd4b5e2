"""Two nights as cron runs them, from S3 to S3, each killed once; and two runs at one time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from support.commands import PROGRAM, ROOT, roadscan
from support.staging import commits
from support.training import wait_until

from roadscan.cli import run
from roadscan.config import load_config
from roadscan.demo.server import S3Server
from roadscan.nightly.config import NightlyConfig
from roadscan.nightly.run import nightly_lease
from roadscan.simulate import SimulationConfig, simulate
from roadscan.storage import Store
from roadscan.survey.drive import find_drives, read_drive
from roadscan.warehouse import Warehouse

pytestmark = [pytest.mark.s3, pytest.mark.ray, pytest.mark.slow]

NIGHTS = ("2026-11-01", "2026-11-02")
ROADS = SimulationConfig(length_km=0.3, nights=len(NIGHTS), width_px=640, height_px=360)
LENGTH_S = 12  # of the lease, in seconds


@pytest.fixture(scope="module")
def survey(s3: S3Server) -> str:
    """Two simulated drives, one a night."""
    simulate("s3://raw/nights", ROADS)
    return "s3://raw/nights/drives"


@pytest.fixture
def config(survey: str, tmp_path: Path) -> Path:
    """What cron's line names."""
    tree = {
        "warehouse": f"s3://warehouse/{tmp_path.name}",
        "time_zone": "Asia/Bangkok",
        "scan": {"drives": [survey], "shard_frames": 2, "actors": 1},
        "lease": {"length_s": LENGTH_S, "skew_s": 1},
    }  # fmt: skip
    path = tmp_path / "nightly.yaml"
    path.write_text(yaml.safe_dump(tree))
    return path


def warehouse_of(config: Path) -> Warehouse:
    return Warehouse(yaml.safe_load(config.read_text())["warehouse"])


def start(config: Path, night: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [PROGRAM, "nightly", str(config), "--date", night],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "COLUMNS": "200"},
    )  # fmt: skip


def wait_for_a_commit(process: subprocess.Popen[str], store: Store, before: set[str]) -> None:
    def there_is_one() -> bool:
        assert process.poll() is None, process.communicate()[0]
        return len(commits(store)) > len(before)

    wait_until(there_is_one, lambda: "no commit")


def kill_after_the_first_commit(config: Path, night: str) -> None:
    store = warehouse_of(config).store
    before = commits(store)
    process = start(config, night)
    wait_for_a_commit(process, store, before)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert json.loads(store.read(f"nights/{night}.json"))["release"] is None


def as_cron_tries_again(config: Path, night: str) -> subprocess.CompletedProcess[str]:
    """At once, when the run that was killed may still hold the lease, and after its lease."""
    done = roadscan("nightly", str(config), "--date", night)
    if done.returncode == 4:
        lease = nightly_lease(load_config(NightlyConfig, config))
        wait_until(lambda: lease.holder() is None, lambda: "the lease does not end")
        done = roadscan("nightly", str(config), "--date", night)
    return done


def ids(config: Path, as_of: str) -> list[tuple[str, str]]:
    sql = "SELECT drive_id, frame_id FROM frames ORDER BY ALL"
    done = roadscan("query", warehouse_of(config).store.uri, sql, "--format", "json", "--as-of", as_of)
    assert done.returncode == 0, done.stderr
    return [(row["drive_id"], row["frame_id"]) for row in json.loads(done.stdout)]


def test_nights_that_were_each_killed_once_are_complete_releases(config: Path, survey: str) -> None:
    store = warehouse_of(config).store
    drives = [read_drive(uri) for uri in find_drives(survey)]
    records = []
    for night in NIGHTS:
        kill_after_the_first_commit(config, night)
        again = as_cron_tries_again(config, night)
        assert again.returncode == 0, again.stdout + again.stderr
        records.append(json.loads(store.read(f"nights/{night}.json")))
    assert [record["night"] for record in records] == list(NIGHTS)
    assert sorted({record["release"] for record in records}) == [record["release"] for record in records]

    for number, record in enumerate(records, start=1):
        expected = [(d.drive_id, name) for d in drives[:number] for name in d.frames["frame_id"].to_pylist()]
        assert ids(config, record["as_of"]) == sorted(expected)  # frames in, frames out, none twice
        released = warehouse_of(config).as_of(datetime.fromisoformat(record["as_of"]).replace(tzinfo=UTC))
        assert (released.number, released.note) == (record["release"], f"night {record['night']}")

    summaries = [json.loads(store.read(key)) for key in store.keys("logs/nightly-")]
    assert [one["night"] for one in summaries] == list(NIGHTS)  # a run that was killed says nothing
    for one, drive in zip(summaries, drives, strict=True):
        assert (one["outcome"], one["frames"]) == ("complete", drive.frames.num_rows)
        assert one["frames_ok"] + one["frames_quarantined"] == one["frames"]
        assert one["missing"] == {}

    before = warehouse_of(config).current().number
    back_fill = roadscan("nightly", str(config), "--from", NIGHTS[0], "--to", NIGHTS[-1])
    assert back_fill.returncode == 0, back_fill.stderr
    assert back_fill.stdout.count("complete already") == len(NIGHTS)
    assert warehouse_of(config).current().number == before


def test_of_two_runs_at_a_time_one_works_and_a_dry_run_starts_nothing(config: Path) -> None:
    store = warehouse_of(config).store
    dry = roadscan("nightly", str(config), "--from", NIGHTS[0], "--to", NIGHTS[-1], "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert all(night in dry.stdout for night in NIGHTS)
    assert "time_zone: Asia/Bangkok" in dry.stdout
    assert list(store.keys()) == []

    first = start(config, NIGHTS[0])
    wait_until(lambda: store.exists("leases/nightly.json"), lambda: "no lease")
    second = roadscan("nightly", str(config), "--date", NIGHTS[1])
    assert second.returncode == 4, second.stdout + second.stderr
    assert "error: another run is under way on" in second.stderr
    assert "Traceback" not in second.stderr
    out, _ = first.communicate()
    assert first.returncode == 0, out
    assert not store.exists(f"nights/{NIGHTS[1]}.json")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--date", "yesterday"], 2, "yesterday"),
        (["--date", "2026-11-01", "--from", "2026-11-01"], 1, "expected one night or a range"),
        (["--date", "2999-01-01"], 1, "2999-01-01 has not come"),
        (["--set", "scan.warehouse=elsewhere"], 1, "have the night's warehouse"),
    ],
)
def test_a_users_mistake_gives_a_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, words: str
) -> None:
    config = str(ROOT / "jobs/configs/nightly.yaml")
    assert run(["nightly", config, "--set", f"warehouse={tmp_path}", *arguments]) == code
    assert words in " ".join(capsys.readouterr().err.split())
