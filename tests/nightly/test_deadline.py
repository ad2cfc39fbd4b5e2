from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from support.nights import Scan, config_of, drive_of_night, run

from roadscan.config import dump_config, load_config
from roadscan.errors import ConfigError
from roadscan.nightly.config import NightlyConfig
from roadscan.nightly.deadline import deadline, kept
from roadscan.nightly.record import NightRecord

BANGKOK = ZoneInfo("Asia/Bangkok")
DUE = datetime(2026, 11, 2, 6, tzinfo=BANGKOK)


@pytest.mark.parametrize(
    ("began", "due"),
    [
        (datetime(2026, 11, 2, 1, 30, tzinfo=BANGKOK), DUE),
        (datetime(2026, 11, 1, 22, 0, tzinfo=BANGKOK), DUE),
        (datetime(2026, 11, 1, 18, 30, tzinfo=UTC), DUE),
        (datetime(2026, 11, 2, 6, 0, tzinfo=BANGKOK), DUE + timedelta(days=1)),
    ],
)
def test_it_is_the_first_such_time_after_the_beginning(began: datetime, due: datetime) -> None:
    assert deadline(began, time(6), BANGKOK) == due


def test_a_clock_that_is_put_back_is_still_the_departments() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    due = deadline(datetime(2026, 10, 25, 1, 0, tzinfo=berlin), time(6), berlin)
    assert due.astimezone(UTC) == datetime(2026, 10, 25, 5, 0, tzinfo=UTC)  # summer time ended at three


def test_a_night_that_is_not_done_is_late_from_then_on() -> None:
    before, after = DUE - timedelta(hours=1), DUE + timedelta(hours=1)
    assert (kept(DUE, before, None), kept(DUE, after, None)) == (None, False)
    assert (kept(DUE, after, before), kept(DUE, after, after)) == (True, False)


def config_by(tmp_path: Path, model: str, done_by: time) -> NightlyConfig:
    return config_of(tmp_path, model, time_zone="UTC", health={"done_by": f"{done_by:%H:%M}"})


def test_a_night_says_whether_it_was_in_time(tmp_path: Path, detect_model: str) -> None:
    drive_of_night(tmp_path, 1)
    ahead = (datetime.now(UTC) + timedelta(hours=2)).time()
    _, (told,) = run(config_by(tmp_path, detect_model, ahead), Scan(), one=1)
    assert told.on_time is True
    assert told.done_by is not None
    assert datetime.fromisoformat(told.done_by).strftime("%H:%M") == f"{ahead:%H:%M}"
    assert "late" not in told.text()


def test_a_night_that_is_done_in_a_later_run_is_late(
    tmp_path: Path, detect_model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first run was two days ago, and some frames failed."""
    drive_of_night(tmp_path, 1)
    config = config_by(tmp_path, detect_model, time(6))
    begun = NightRecord.begun
    monkeypatch.setattr(NightRecord, "begun", lambda record, now: begun(record, now - timedelta(days=2)))
    _, (told,) = run(config, Scan(failing={"000001"}), one=1)
    assert (told.outcome, told.on_time) == ("incomplete", False)
    monkeypatch.undo()
    code, (told,) = run(config, Scan(), one=1)
    assert (code, told.outcome, told.on_time) == (0, "complete", False)
    assert f"late: it was to be done by {told.done_by}" in told.text()
    _, (again,) = run(config, Scan(), one=1)
    assert (again.outcome, again.on_time) == ("complete already", False)


def test_a_drive_that_comes_after_a_complete_night_gives_it_a_new_deadline() -> None:
    begun = NightRecord("2026-11-01").begun(datetime(2026, 11, 1, 19, tzinfo=UTC))
    assert begun.begun_at == "2026-11-01T19:00:00+00:00"
    assert begun.begun(datetime(2026, 11, 3, tzinfo=UTC)) is begun


@pytest.mark.parametrize("written", ["10:30", "'10:30'"])
def test_a_time_is_read_as_it_is_written_though_yaml_thinks_it_a_number(tmp_path: Path, written: str) -> None:
    path = tmp_path / "nightly.yaml"
    path.write_text(f"warehouse: w\nscan: {{drives: [d]}}\nhealth: {{done_by: {written}}}\n")
    config = load_config(NightlyConfig, path)
    assert config.health.due == time(10, 30)
    (path := tmp_path / "again.yaml").write_text(dump_config(config))
    assert load_config(NightlyConfig, path) == config


def test_what_is_no_time_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "nightly.yaml"
    path.write_text("warehouse: w\nscan: {drives: [d]}\nhealth: {done_by: noon}\n")
    with pytest.raises(ConfigError, match=r"health\.done_by: got 'noon'"):
        load_config(NightlyConfig, path)
