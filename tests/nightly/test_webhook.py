from __future__ import annotations

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from support.nights import Scan, config_of, drive_of_night, run
from support.services import Service

from roadscan.errors import ConfigError
from roadscan.nightly.http import send
from roadscan.nightly.webhook import post, webhook_url
from roadscan.storage import open_store


def url_of(service: Service) -> str:
    return f"{service.address}/secret"


def got(service: Service) -> list[dict[str, Any]]:
    return [json.loads(one.body) for one in service.requests]


@pytest.mark.parametrize(
    ("answers", "said", "asked"),
    [
        ([], None, 1),
        ([503, 429, 200], None, 3),
        ([500, 502, 503, 200], "it answered 503", 3),
        ([404], "it answered 404", 1),
        ([307], "it answered 307", 1),
    ],
)
def test_a_busy_service_is_asked_again_and_a_refusal_is_told(
    service: Service, answers: list[int], said: str | None, asked: int
) -> None:
    service.answers = answers
    pauses: list[float] = []
    refused = post(url_of(service), {"night": "2026-11-01"}, pauses.append)
    assert got(service) == [{"night": "2026-11-01"}] * asked
    assert len(pauses) == asked - 1
    assert (refused is None) if said is None else (refused is not None and said in refused and "secret" not in refused)


def test_a_service_that_is_not_there_is_told() -> None:
    refused = post("http://localhost:9/secret", {}, lambda _: None)
    assert refused == "the webhook of ROADSCAN_WEBHOOK_URL was not told: it did not answer (ConnectionRefusedError)"


@pytest.mark.parametrize(
    "url", ["http://chat.example/secret", "ftp://localhost/secret", "secret", "https://", "http://["]
)
def test_only_https_and_this_machine_are_told(url: str) -> None:
    with pytest.raises(ConfigError, match="expected https://") as error:
        webhook_url({"ROADSCAN_WEBHOOK_URL": url})
    assert "secret" not in str(error.value)


def test_none_is_told_where_none_is_set() -> None:
    assert webhook_url({}) is None
    assert webhook_url({"ROADSCAN_WEBHOOK_URL": ""}) is None
    assert webhook_url({"ROADSCAN_WEBHOOK_URL": "https://chat.example/x"}) == "https://chat.example/x"


def test_the_service_gets_the_summary_and_a_text(
    service: Service, tmp_path: Path, detect_model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROADSCAN_WEBHOOK_URL", url_of(service))
    drive_of_night(tmp_path, 1)
    _, (told,) = run(config_of(tmp_path, detect_model), Scan(), one=1)
    (posted,) = got(service)
    assert posted.pop("text") == told.text()
    assert posted == json.loads(json.dumps(told.to_dict()))


def test_a_service_that_refuses_is_a_warning_and_no_failure(
    service: Service, tmp_path: Path, detect_model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROADSCAN_WEBHOOK_URL", url_of(service))
    service.answers = [403]
    drive_of_night(tmp_path, 1)
    config = config_of(tmp_path, detect_model)
    code, (told,) = run(config, Scan(), one=1)
    warning = "the webhook of ROADSCAN_WEBHOOK_URL was not told: it answered 403"
    assert (code, told.outcome, told.warnings) == (0, "complete", (warning,))
    store = open_store(config.warehouse)
    (log,) = [key for key in store.keys("logs/") if "nightly" in key]
    assert json.loads(store.read(log))["warnings"] == [warning]


def test_an_answer_that_comes_a_byte_at_a_time_has_a_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("roadscan.nightly.http.DEADLINE_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor() as threads:
        ended = Event()

        def drip() -> None:
            connection, _ = server.accept()
            with connection:
                for byte in b"HTTP/1.1 200 OK":
                    connection.send(bytes([byte]))
                    if ended.wait(0.2):
                        return

        dripping = [threads.submit(drip) for _ in range(3)]
        why = send(f"http://127.0.0.1:{server.getsockname()[1]}/", b"{}", "application/json", pause=lambda _: None)
        ended.set()
        assert why == "it did not answer (TimeoutError)"
        assert [one.result(60) for one in dripping] == [None] * 3
