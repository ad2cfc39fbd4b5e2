"""Events of OpenLineage, to a folder, to S3 and to a service."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

import jsonschema
import pytest
from support.nights import Scan, config_of, drive_of_night, run
from support.openlineage import check, check_upstream
from support.services import Service

from roadscan.errors import Unreachable
from roadscan.schemas import ASSETS
from roadscan.storage import open_store
from roadscan.survey.drive import read_drive
from roadscan.warehouse import Warehouse


def events_in(uri: str) -> list[dict[str, Any]]:
    store = open_store(uri)
    return [json.loads(store.read(key)) for key in sorted(store.keys())]


def test_a_night_tells_where_its_tables_are_from(tmp_path: Path, detect_model: str) -> None:
    uri = drive_of_night(tmp_path, 1)
    config = config_of(tmp_path, detect_model, health={"lineage": str(tmp_path / "events")})
    _, (told,) = run(config, Scan(classes=["Bus Stop"]), one=1)
    start, complete = events_in(str(tmp_path / "events"))
    assert (start["eventType"], complete["eventType"]) == ("START", "COMPLETE")
    assert start["run"]["runId"] == complete["run"]["runId"]
    assert UUID(start["run"]["runId"])
    nominal = start["run"]["facets"]["nominalTime"]
    assert (nominal["nominalStartTime"], nominal["nominalEndTime"]) == (
        "2026-11-01T00:00:00+07:00", "2026-11-02T00:00:00+07:00",
    )  # fmt: skip
    drive, model = complete["inputs"]
    assert [start["inputs"], start["outputs"]] == [[drive], []]
    assert (drive["namespace"], drive["name"]) == ("file", uri)
    assert drive["facets"]["version"]["datasetVersion"] == read_drive(uri).sha256
    assert drive["inputFacets"]["inputStatistics"]["rowCount"] == 3
    assert (model["name"], model["facets"]["version"]["datasetVersion"]) == (detect_model, told.model_sha256)
    outputs = {Path(one["name"]).name: one for one in complete["outputs"]}
    release = Warehouse(config.warehouse).current()
    versions = {name: one["facets"]["version"]["datasetVersion"] for name, one in outputs.items()}
    assert versions == {name: str(release.version(name)) for name in outputs}
    assert set(outputs) >= {"frames", "observations", "runs", "assets", "coverage"}
    columns = outputs["assets"]["facets"]["schema"]["fields"]
    assert [column["name"] for column in columns] == ASSETS.names
    assert columns[0] == {"name": "asset_id", "type": "string", "description": "a ULID, kept from release to release"}


def events_of_all_kinds(tmp_path: Path, model: str) -> list[dict[str, Any]]:
    """START, COMPLETE, and FAIL of a night with failed frames and of one that an error stopped."""

    def dies(shard: int) -> None:
        raise Unreachable("the power went")

    for night in (1, 2, 3):
        drive_of_night(tmp_path, night)
    config = config_of(tmp_path, model, health={"lineage": str(tmp_path / "events")})
    run(config, Scan(), one=1)
    run(config, Scan(failing={"000001"}), one=2)
    with pytest.raises(Unreachable):
        run(config, Scan(hook=dies), one=3)
    return events_in(str(tmp_path / "events"))


def test_every_event_fits_the_schema_and_says_why_it_failed(tmp_path: Path, detect_model: str) -> None:
    events = events_of_all_kinds(tmp_path, detect_model)
    for event in events:
        check(event)
    assert [event["eventType"] for event in events] == ["START", "COMPLETE", "START", "FAIL", "START", "FAIL"]
    assert len({event["run"]["runId"] for event in events}) == 3
    messages = [event["run"]["facets"].get("errorMessage", {}).get("message") for event in events]
    assert messages == [None, None, None, "incomplete", None, "error; the power went"]


def test_the_specifications_own_schemas_agree(tmp_path: Path, detect_model: str) -> None:
    for event in events_of_all_kinds(tmp_path, detect_model):
        checked = check_upstream(event)
        if checked is None:
            pytest.skip("set ROADSCAN_OPENLINEAGE_SPEC to the folder spec/ of OpenLineage")
        assert checked > 4


@pytest.mark.parametrize(
    ("part", "value"),
    [("eventType", "DONE"), ("eventTime", "yesterday"), ("run", {"runId": "1"}), ("job", {"name": "x"}),
     ("inputs", [{"namespace": "file", "name": "x", "facets": {"schema": {"fields": []}}}])],
)  # fmt: skip
def test_the_schema_refuses_what_is_wrong(tmp_path: Path, detect_model: str, part: str, value: Any) -> None:
    drive_of_night(tmp_path, 1)
    run(config_of(tmp_path, detect_model, health={"lineage": str(tmp_path / "events")}), Scan(), one=1)
    event: Mapping[str, Any] = events_in(str(tmp_path / "events"))[0]
    with pytest.raises(jsonschema.ValidationError):
        check({**event, part: value})


def test_a_complete_night_run_again_tells_nothing(tmp_path: Path, detect_model: str) -> None:
    drive_of_night(tmp_path, 1)
    config = config_of(tmp_path, detect_model, health={"lineage": str(tmp_path / "events")})
    run(config, Scan(), one=1)
    run(config, Scan(), one=1)
    assert len(events_in(str(tmp_path / "events"))) == 2


@pytest.mark.s3
def test_events_are_objects_in_a_bucket(s3: object, tmp_path: Path, detect_model: str) -> None:
    drive_of_night(tmp_path, 1)
    to, warehouse = f"s3://warehouse/{tmp_path.name}/events", f"s3://warehouse/{tmp_path.name}/w"
    config = config_of(tmp_path, detect_model, warehouse=warehouse, health={"lineage": to})
    assert run(config, Scan(), one=1)[0] == 0
    _, complete = events_in(to)
    check(complete)
    names = {(one["namespace"], one["name"]) for one in complete["outputs"]}
    assert ("s3://warehouse", f"{tmp_path.name}/w/assets") in names


def test_a_service_gets_every_event(service: Service, tmp_path: Path, detect_model: str) -> None:
    drive_of_night(tmp_path, 1)
    url = f"{service.address}/api/v1/lineage"
    code, (told,) = run(config_of(tmp_path, detect_model, health={"lineage": url}), Scan(), one=1)
    assert (code, told.warnings) == (0, ())
    assert [(one.method, one.path, one.content_type) for one in service.requests] == [
        ("POST", "/api/v1/lineage", "application/json")
    ] * 2
    for one in service.requests:
        check(json.loads(one.body))


def test_a_dead_service_is_a_warning_for_each_event_and_stops_nothing(
    service: Service, tmp_path: Path, detect_model: str
) -> None:
    drive_of_night(tmp_path, 1)
    service.answers = [401, 404]
    config = config_of(tmp_path, detect_model, health={"lineage": service.address})
    code, (told,) = run(config, Scan(), one=1)
    assert (code, told.outcome) == (0, "complete")
    assert told.warnings == (
        "the service of health.lineage was not told of START: it answered 401",
        "the service of health.lineage was not told of COMPLETE: it answered 404",
    )
    log = open_store(config.warehouse)
    (key,) = [key for key in log.keys("logs/") if "nightly" in key]
    assert json.loads(log.read(key))["warnings"] == list(told.warnings)


def test_a_folder_that_cannot_be_written_is_a_warning(tmp_path: Path, detect_model: str) -> None:
    drive_of_night(tmp_path, 1)
    (tmp_path / "events").write_text("a file")
    code, (told,) = run(config_of(tmp_path, detect_model, health={"lineage": str(tmp_path / "events")}), Scan(), one=1)
    assert (code, len(told.warnings)) == (0, 2)
    assert told.warnings[0].startswith("the lineage event START was not written: ")
