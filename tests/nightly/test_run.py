"""Nights over a warehouse on disk, with a scan that needs no Ray."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.commands import ROOT, Command, sets
from support.nights import FIRST, NOW, Scan, config_of, drive_of_night, run
from support.services import Service
from support.staging import commits
from support.training import wait_until

from roadscan.errors import (
    AccessDenied,
    ConfigError,
    LeaseHeld,
    OutputError,
    StorageError,
    SurveyError,
    Unreachable,
    in_words,
)
from roadscan.inventory import query
from roadscan.nightly.config import NightlyConfig
from roadscan.nightly.dates import nights_of
from roadscan.nightly.plan import frames_left, plan_nights
from roadscan.nightly.run import nightly_lease, run_nightly
from roadscan.nightly.summary import NightSummary
from roadscan.progress import OnProgress
from roadscan.scan.config import ScanConfig
from roadscan.scan.plan import ScanPlan
from roadscan.scan.run import ScanSummary
from roadscan.storage import DiskStore, open_store
from roadscan.survey.drive import Drive, read_drive
from roadscan.warehouse import Warehouse


def logs(config: NightlyConfig) -> list[dict[str, object]]:
    store = open_store(config.warehouse)
    return [json.loads(store.read(key)) for key in store.keys("logs/") if "nightly" in key]


def objects(config: NightlyConfig) -> dict[str, bytes]:
    store = open_store(config.warehouse)
    return {key: store.read(key) for key in store.keys("")}


def drives_at(config: NightlyConfig, as_of: str | None) -> list[str]:
    assert as_of is not None
    moment = datetime.fromisoformat(as_of).replace(tzinfo=UTC)
    return query(config.warehouse, "SELECT DISTINCT drive_id FROM frames ORDER BY 1", as_of=moment)[0].to_pylist()


def record(config: NightlyConfig, night: int) -> dict[str, object]:
    return json.loads(open_store(config.warehouse).read(f"nights/{FIRST + timedelta(days=night - 1)}.json"))


def test_a_night_ends_in_one_release_and_one_summary(tmp_path: Path, detect_model: str) -> None:
    drive_of_night(tmp_path, 1)
    config = config_of(tmp_path, detect_model)
    code, (told,) = run(config, Scan(), one=1)
    assert (code, told.outcome, told.drives) == (0, "complete", ("d1",))
    assert (told.frames, told.frames_ok, told.frames_lost, told.missing) == (3, 3, 0, {})
    current = Warehouse(config.warehouse).current()
    assert (current.number, current.note) == (told.release, "night 2026-11-01")
    assert record(config, 1)["release"] == told.release
    (log,) = logs(config)
    assert log == json.loads(json.dumps(told.to_dict()))
    assert (log["exit_code"], log["night"]) == (0, "2026-11-01")


def test_a_night_tells_how_many_frames_were_dark(tmp_path: Path, detect_model: str) -> None:
    drive_of_night(tmp_path, 1)
    config = config_of(tmp_path, detect_model)
    _, (told,) = run(config, Scan(dark=("000000", "000002")), one=1)
    assert (told.frames_dark, told.frames_blurred) == (2, 0)
    assert "hard to see: 2 dark, of 3 frames" in told.text().splitlines()


def test_a_complete_night_run_again_changes_nothing(tmp_path: Path, detect_model: str) -> None:
    drive_of_night(tmp_path, 1)
    config, scan = config_of(tmp_path, detect_model), Scan()
    _, (first,) = run(config, scan, one=1)
    before = objects(config)
    code, (again,) = run(config, scan, one=1)
    after = objects(config)
    assert (code, again.outcome, again.release, again.frames_ok) == (0, "complete already", first.release, 3)
    changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    assert changed == {"leases/nightly.json"}
    assert len(scan.scanned) == 3


@pytest.mark.slow
def test_a_back_fill_makes_a_release_of_each_date(tmp_path: Path, detect_model: str) -> None:
    for night in (1, 2, 4):
        drive_of_night(tmp_path, night)
    config = config_of(tmp_path, detect_model)
    code, told = run(config, Scan(), first=2, last=6)
    assert code == 0
    assert [(one.night, one.drives) for one in told] == [("2026-11-02", ("d2",)), ("2026-11-04", ("d4",))]
    time.sleep(1.1)  # --as-of knows whole seconds
    run(config, Scan(), one=1)
    assert drives_at(config, told[1].as_of) == ["d2", "d4"]
    code, (late,) = run(config, Scan(), one=5)
    assert (code, late.drives, late.outcome) == (0, (), "complete")


def test_a_late_drive_comes_with_the_next_night_that_is_run(tmp_path: Path, detect_model: str) -> None:
    drive_of_night(tmp_path, 2)
    drive_of_night(tmp_path, 1, drive_id="late")
    drive_of_night(tmp_path, 5)
    drive_of_night(tmp_path, 1, drive_id="timeless", captured_at=None)
    config = config_of(tmp_path, detect_model)
    _, (told,) = run(config, Scan(), one=2)
    assert told.drives == ("d2", "late", "timeless")
    drive_of_night(tmp_path, 2, drive_id="later")  # a night that is complete takes one more
    _, (told,) = run(config, Scan(), one=2)
    assert (told.outcome, told.drives, told.frames) == ("complete", ("d2", "late", "later", "timeless"), 12)


def test_the_date_is_that_of_the_time_zone(tmp_path: Path, detect_model: str) -> None:
    """The drive begins at 13:00 UTC: the next day in Kiritimati, fourteen hours ahead."""
    drive_of_night(tmp_path, 1)
    config = config_of(tmp_path, detect_model, time_zone="Pacific/Kiritimati")
    assert run(config, Scan(), first=1, last=1) == (0, [])
    assert run(config, Scan(), first=2, last=2)[1][0].drives == ("d1",)


def test_failed_frames_leave_the_night_open_until_they_are_there(tmp_path: Path, detect_model: str) -> None:
    drive_of_night(tmp_path, 1)
    config = config_of(tmp_path, detect_model)
    code, (told,) = run(config, Scan(failing={"000001"}), one=1)
    assert (code, told.outcome, told.frames_failed, told.missing, told.release) == (3, "incomplete", 1, {"d1": 1}, None)
    assert told.reasons == {"unreachable": 1}
    assert record(config, 1)["release"] is None
    code, (told,) = run(config, Scan(), one=1)
    assert (code, told.outcome, told.frames_ok) == (0, "complete", 3)


def test_lost_frames_are_counted_in_the_release_and_not_in_what_the_scan_says(
    tmp_path: Path, detect_model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scan that leaves a shard out and says that all is well."""
    from roadscan.scan import ledger

    drive_of_night(tmp_path, 1, n=5)
    collect = ledger.collect

    def forgetful(warehouse, drive, shards, model_sha256):  # type: ignore[no-untyped-def]
        result = collect(warehouse, drive, shards, model_sha256)
        return replace(result, files=result.files[:-2])

    monkeypatch.setattr(ledger, "collect", forgetful)
    code, (told,) = run(config_of(tmp_path, detect_model), Scan(), one=1)
    assert (code, told.outcome, told.frames, told.frames_ok, told.frames_lost) == (3, "incomplete", 5, 4, 1)


def test_a_drive_that_cannot_be_read_keeps_no_other_back(tmp_path: Path, detect_model: str) -> None:
    drive_of_night(tmp_path, 1)
    (tmp_path / "drives/broken").mkdir()
    (tmp_path / "drives/broken/drive.json").write_text("{")
    drive_of_night(tmp_path, 60, drive_id="future")
    taken = drive_of_night(tmp_path, 1, drive_id="z")
    text = (Path(taken) / "drive.json").read_text()
    (Path(taken) / "drive.json").write_text(text.replace('"drive_id": "z"', '"drive_id": "d1"'))
    code, (told,) = run(config_of(tmp_path, detect_model), Scan(), one=1)
    assert (code, told.outcome, told.drives) == (3, "complete", ("d1",))
    reasons = {Path(uri).name: reason for uri, reason in told.left_out.items()}
    assert set(reasons) == {"broken", "future", "z"}
    assert "not a drive manifest" in reasons["broken"]
    assert "has not come; correct its clock" in reasons["future"]
    assert "'d1' is taken by" in reasons["z"]


def test_a_drive_that_is_gone_keeps_no_other_back(tmp_path: Path, detect_model: str) -> None:
    gone = drive_of_night(tmp_path, 1)
    config = config_of(tmp_path, detect_model)
    code, (told,) = run(config, Scan(quarantined=("000000", "000001")), one=1)
    assert (code, told.frames_quarantined) == (3, 2)  # so many that the drive is scanned again
    shutil.rmtree(gone)
    drive_of_night(tmp_path, 1, drive_id="other")
    code, (told,) = run(config, Scan(), one=1)
    assert (code, told.drives, told.frames_ok) == (3, ("d1", "other"), 1 + 3)
    ((address, reason),) = told.left_out.items()
    assert (address, "no drive at" in reason) == (gone, True)


def test_a_back_fill_tells_what_it_passes_over(tmp_path: Path, detect_model: str) -> None:
    drive_of_night(tmp_path, 1)
    uri = drive_of_night(tmp_path, 3)
    (tmp_path / "drives/broken").mkdir()
    (tmp_path / "drives/broken/drive.json").write_text("{")
    summary = run_nightly(
        config_of(tmp_path, detect_model), nights_of(None, FIRST, FIRST, today=NOW.date()), now=NOW, scan=Scan()
    )
    assert [night.night for night in summary.nights] == [FIRST.isoformat()]
    assert summary.passed_over == {uri: (FIRST + timedelta(days=2)).isoformat()}


def test_a_back_fill_reads_the_records_that_there_are_however_far_back_it_begins(
    tmp_path: Path, detect_model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(tmp_path, detect_model)
    drive_of_night(tmp_path, 1)
    assert run(config, Scan(), one=1)[0] == 0
    open_store(config.warehouse).write("nights/notes.txt", b"somebody else's")
    drive_of_night(tmp_path, 3)
    asked, really = list[str](), DiskStore.read_tagged

    def noted(store: DiskStore, key: str, **options: Any) -> tuple[bytes, str]:
        asked.append(key)
        return really(store, key, **options)

    monkeypatch.setattr(DiskStore, "read_tagged", noted)
    first, third = FIRST, FIRST + timedelta(days=2)
    summary = run_nightly(config, nights_of(None, date.min, None, today=NOW.date()), now=NOW, scan=Scan())
    assert [(night.night, night.outcome) for night in summary.nights] == [
        (str(first), "complete already"), (str(third), "complete")
    ]  # fmt: skip
    assert {key for key in asked if key.startswith("nights/")} == {f"nights/{first}.json", f"nights/{third}.json"}


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (("--from", "2026-10-01", "--to", "2026-10-02"), "new drives of other dates: 1 (2026-11-01)"),
        (("--from", "2026-10-01", "--to", "2026-10-02", "--dry-run"), "new drives of other dates: 1 (2026-11-01)"),
    ],
)
def test_a_back_fill_without_a_night_says_so(
    tmp_path: Path, detect_model: str, here: Command, arguments: tuple[str, ...], shown: str
) -> None:
    drive_of_night(tmp_path, 1)
    (tmp_path / "drives/broken").mkdir()
    (tmp_path / "drives/broken/drive.json").write_text("{")
    scan = {"scan.drives": f"[{tmp_path / 'drives'}]", "scan.model": detect_model}
    done = here("nightly", *arguments, *sets(warehouse=tmp_path / "warehouse", **scan))
    assert done.returncode == (0 if "--dry-run" in arguments else 3)
    assert "no drives on these dates" in done.stdout
    assert "broken" in done.stdout
    assert shown in done.stdout


def test_a_summary_that_cannot_be_shown_stops_no_night(
    tmp_path: Path, detect_model: str, caplog: pytest.LogCaptureFixture
) -> None:
    def full(_: NightSummary) -> None:
        raise OutputError("what is printed cannot be written: No space left on device")

    for night in (1, 2):
        drive_of_night(tmp_path, night)
    config = config_of(tmp_path, detect_model)
    nights = nights_of(None, FIRST, FIRST + timedelta(days=1), today=NOW.date())
    assert run_nightly(config, nights, now=NOW, scan=Scan(), on_night=full).exit_code == 0
    assert [log["outcome"] for log in logs(config)] == ["complete", "complete"]
    assert "cannot be shown" in caplog.text


@pytest.mark.parametrize("name", ["Doi-Cha\u0302", "a\\b", "night\x1b[2J", "\udcff"])
def test_a_folder_with_an_odd_name_keeps_no_drive_back(tmp_path: Path, detect_model: str, name: str) -> None:
    """Decomposed as macOS writes it, of Windows, with a control character, and of no text at all."""
    drive_of_night(tmp_path, 1)
    (tmp_path / "drives" / name).mkdir()
    code, (told,) = run(config_of(tmp_path, detect_model), Scan(), one=1)
    assert (code, told.outcome, told.drives) == (3, "complete", ("d1",))
    ((address, reason),) = told.left_out.items()
    assert address.startswith(str(tmp_path / "drives"))
    assert reason.startswith("key ")
    json.dumps(told.to_dict()).encode()
    told.text().encode()


@pytest.mark.parametrize(
    "error", [AccessDenied("403"), RecursionError("too deep"), OverflowError("date"), MemoryError()]
)
@pytest.mark.parametrize("module", ["roadscan.nightly.drives", "roadscan.scan.plan"])
def test_whatever_is_wrong_with_a_drive_keeps_no_other_back(
    tmp_path: Path, detect_model: str, monkeypatch: pytest.MonkeyPatch, error: Exception, module: str
) -> None:
    drive_of_night(tmp_path, 1, drive_id="a")
    odd = drive_of_night(tmp_path, 1, drive_id="odd")

    def read(uri: str) -> Drive:
        if uri == odd:
            raise error
        return read_drive(uri)

    monkeypatch.setattr(f"{module}.read_drive", read)
    config = config_of(tmp_path, detect_model)
    code, (told,) = run(config, Scan(), one=1)
    assert code == 3
    assert told.left_out == {odd: in_words(error)}
    assert query(config.warehouse, "SELECT DISTINCT drive_id FROM frames")[0].to_pylist() == ["a"]
    monkeypatch.undo()
    assert run(config, Scan(), one=1)[0] == 0  # and is scanned once it is well again


def test_a_drive_that_changes_while_it_is_scanned_keeps_no_other_back(tmp_path: Path, detect_model: str) -> None:
    drive_of_night(tmp_path, 1, drive_id="a")
    odd = drive_of_night(tmp_path, 1, drive_id="odd")

    class Half(Scan):
        def __call__(self, config: ScanConfig, on_progress: OnProgress, *, plan: ScanPlan) -> ScanSummary:
            del plan.shards["odd"]
            plan.todo[:] = [shard for shard in plan.todo if shard.drive_uri != odd]
            return replace(super().__call__(config, on_progress, plan=plan), left_out={odd: "it changed"})

    code, (told,) = run(config_of(tmp_path, detect_model), Half(), one=1)
    assert (code, told.outcome, told.frames_ok, told.missing) == (3, "incomplete", 3, {"odd": 3})
    assert f"left out: {odd}: it changed" in told.text().splitlines()


def test_a_run_that_cannot_be_planned_is_told(
    tmp_path: Path, detect_model: str, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROADSCAN_WEBHOOK_URL", service.address)
    config = config_of(tmp_path, detect_model)
    with pytest.raises(SurveyError):
        run(config, Scan(), one=1)
    (log,), (posted,) = logs(config), [json.loads(one.body) for one in service.requests]
    assert (log["night"], log["outcome"], log["exit_code"]) == ("2026-11-01", "error", 1)
    assert str(log["error"]).startswith("scan.drives: no drive at")
    assert posted["error"] == log["error"]


def test_a_run_whose_store_is_down_is_told(
    tmp_path: Path, detect_model: str, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROADSCAN_WEBHOOK_URL", service.address)
    drive_of_night(tmp_path, 1)
    (tmp_path / "warehouse").write_text("no folder")
    with pytest.raises(StorageError):
        run(config_of(tmp_path, detect_model), Scan(), one=1)
    (posted,) = [json.loads(one.body) for one in service.requests]
    assert (posted["outcome"], posted["exit_code"]) == ("error", 1)
    assert "Not a directory" in posted["error"]
    assert any("this summary was not written" in warning for warning in posted["warnings"])


def test_a_night_goes_on_with_the_drives_that_it_had(tmp_path: Path, detect_model: str) -> None:
    """The first run dies after the shards of one of two drives are committed."""
    drive_of_night(tmp_path, 1, drive_id="a")
    drive_of_night(tmp_path, 1, drive_id="b")
    config = config_of(tmp_path, detect_model)

    def dies(shard: int) -> None:
        if shard == 2:
            raise Unreachable("the power went")

    with pytest.raises(Unreachable, match="the power went"):
        run(config, Scan(hook=dies), one=1)
    (log,) = logs(config)
    assert (log["outcome"], log["error"], log["exit_code"]) == ("error", "the power went", 1)
    second = Scan()
    _, (told,) = run(config, second, one=1)
    assert (told.drives, told.frames_ok) == (("a", "b"), 6)
    assert len(second.scanned) == 3  # two shards of the first drive were committed


def test_a_night_that_died_before_its_record_was_complete_has_one_release(
    tmp_path: Path, detect_model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from roadscan.nightly import run as module

    drive_of_night(tmp_path, 1)
    config, write = config_of(tmp_path, detect_model), module.write_record

    def dies(store, record, tag):  # type: ignore[no-untyped-def]
        if record.complete:
            raise Unreachable("the power went")
        return write(store, record, tag)

    monkeypatch.setattr(module, "write_record", dies)
    with pytest.raises(Unreachable):
        run(config, Scan(), one=1)
    number = Warehouse(config.warehouse).current().number
    monkeypatch.setattr(module, "write_record", write)
    code, (told,) = run(config, Scan(), one=1)
    assert (code, told.release, Warehouse(config.warehouse).current().number) == (0, number, number)


def test_a_new_model_is_for_new_drives(tmp_path: Path, detect_model: str) -> None:
    drive_of_night(tmp_path, 1)
    run(config_of(tmp_path, detect_model), Scan(), one=1)
    drive_of_night(tmp_path, 2)
    _, (told,) = run(config_of(tmp_path, "demo"), Scan(), one=2)
    assert told.drives == ("d2",)


def test_a_second_run_at_a_time_loses(tmp_path: Path, detect_model: str) -> None:
    drive_of_night(tmp_path, 1)
    config = config_of(tmp_path, detect_model)
    with nightly_lease(config), pytest.raises(LeaseHeld, match="another run is under way"):
        run(config, Scan(), one=1)
    assert run(config, Scan(), one=1)[0] == 0


def test_nothing_at_an_address_is_an_error(tmp_path: Path, detect_model: str) -> None:
    with pytest.raises(SurveyError, match=re.escape(f"no drive at {tmp_path / 'drives'}")):
        run(config_of(tmp_path, detect_model), Scan(), one=1)


def test_the_plan_counts_what_is_left(tmp_path: Path, detect_model: str) -> None:
    drive_of_night(tmp_path, 1, n=5)
    drive_of_night(tmp_path, 2, n=3)
    config = config_of(tmp_path, detect_model)

    def dies(shard: int) -> None:
        if shard == 1:
            raise Unreachable("the power went")

    with pytest.raises(Unreachable):
        run(config, Scan(hook=dies), one=1)
    nights = nights_of(None, FIRST, date(2026, 11, 3), today=date(2026, 11, 20))
    plan = plan_nights(config, nights, NOW)
    assert [(one.record.night, one.record.complete, len(one.to_scan)) for one in plan.nights] == [
        ("2026-11-01", False, 1),
        ("2026-11-02", False, 1),
    ]
    assert frames_left(config, plan) == [3, 3]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"scan": {"drives": ["d"], "again": ["d1"]}}, "scan.again: got ['d1']; expected none"),
        ({"time_zone": "Bangkok"}, "time_zone: got 'Bangkok'; expected a name of the IANA time zone database"),
        ({"time_zone": "../etc"}, "time_zone: got '../etc'; expected a name"),
        ({"no_progress_s": 0}, "no_progress_s: got 0"),
        ({"inventory": {"warehouse": "elsewhere"}}, "have the night's warehouse w; got"),
    ],
)
def test_a_wrong_config_names_the_field(tmp_path: Path, fields: dict[str, object], words: str) -> None:
    import yaml

    from roadscan.config import load_config

    path = tmp_path / "nightly.yaml"
    path.write_text(yaml.safe_dump({"warehouse": "w", "scan": {"drives": ["d"]}, "inventory": {}} | fields))
    with pytest.raises(ConfigError, match=re.escape(words)):
        load_config(NightlyConfig, path)


HANGS = """
import sys, time
from pathlib import Path
from support.nights import FIRST, NOW, Scan, config_of
from roadscan.nightly.dates import nights_of
from roadscan.nightly.run import run_nightly

folder, model, no_progress_s, length_s = sys.argv[1:]
lease = {"length_s": float(length_s), "skew_s": 0}
config = config_of(Path(folder), model, no_progress_s=float(no_progress_s), lease=lease)
scan = Scan(hook=lambda shard: time.sleep(600) if shard == 1 else None)
nights = nights_of(FIRST, None, None, today=NOW.date())
run_nightly(config, nights, now=NOW, on_night=lambda told: print(told.text()), scan=scan)
"""


def hanging(folder: Path, model: str, *, no_progress_s: float, length_s: float) -> subprocess.Popen[str]:
    """A run whose second shard never ends."""
    drive_of_night(folder, 1, n=5)
    return subprocess.Popen(
        [sys.executable, "-c", HANGS, str(folder), model, str(no_progress_s), str(length_s)],
        cwd=ROOT / "tests", stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.slow
def test_a_scan_that_hangs_is_ended_and_says_what_is_missing(tmp_path: Path, detect_model: str) -> None:
    process = hanging(tmp_path, detect_model, no_progress_s=1, length_s=60)
    out, _ = process.communicate()
    assert process.returncode == 5
    assert "night 2026-11-01: no progress" in out
    assert "missing: 3 frames of d1" in out
    (log,) = logs(config_of(tmp_path, detect_model))
    assert (log["outcome"], log["missing"], log["frames"], log["exit_code"]) == ("no progress", {"d1": 3}, 5, 5)
    assert log["error"] == "no shard was committed for 1 s"


WAITS = """
import sys
from pathlib import Path
import ray
from support.nights import FIRST, NOW, Scan, config_of
from roadscan.nightly.dates import nights_of
from roadscan.nightly.run import run_nightly

ray.init("local", num_cpus=0, include_dashboard=False)
folder, model = sys.argv[1:]
config = config_of(Path(folder), model, no_progress_s=3, inventory={"execution": {"on_ray": True}})
nights = nights_of(FIRST, None, None, today=NOW.date())
run_nightly(config, nights, now=NOW, on_night=lambda told: print(told.text()), scan=Scan())
"""


@pytest.mark.ray
def test_a_register_that_waits_for_cores_that_never_come_is_ended(tmp_path: Path, detect_model: str) -> None:
    drive_of_night(tmp_path, 1, n=5)
    done = subprocess.run(
        [sys.executable, "-c", WAITS, str(tmp_path), detect_model],
        cwd=ROOT / "tests", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 5, done.stderr
    (log,) = logs(config_of(tmp_path, detect_model))
    assert (log["outcome"], log["missing"], log["frames"]) == ("no progress", {}, 5)
    assert log["error"] == "no drive was read and no tile built for 3 s"


@pytest.mark.slow
def test_a_run_that_loses_its_lease_is_ended(tmp_path: Path, detect_model: str) -> None:
    process = hanging(tmp_path, detect_model, no_progress_s=600, length_s=3)
    store = open_store(tmp_path / "warehouse")
    wait_until(lambda: store.exists("leases/nightly.json") and commits(store), lambda: "no commit")
    hold = json.loads(store.read("leases/nightly.json"))
    store.write("leases/nightly.json", json.dumps(hold | {"owner": "another"}).encode())
    out, _ = process.communicate()
    assert process.returncode == 4
    assert "lease lost" in out
    assert "error: another run took the lease" in out
