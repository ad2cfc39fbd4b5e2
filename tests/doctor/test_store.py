"""The doctor on a sound store, and on one with each fault; on a disk, too."""

from __future__ import annotations

import http.server
import socket
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from roadscan.demo.server import S3Server, free_ports
from roadscan.doctor import Finding, store
from roadscan.storage import DiskStore, open_store
from roadscan.warehouse import Change, Warehouse


def looked_at(uri: str) -> dict[str, Finding]:
    return {finding.check: finding for finding in store.warehouse(uri)}


@pytest.fixture
def uri(tmp_path: Path) -> str:
    return f"s3://warehouse/{tmp_path.name}"


@pytest.mark.s3
def test_a_sound_store(s3: S3Server, uri: str) -> None:
    found = looked_at(uri)
    assert list(found) == ["warehouse", "clock", "warehouse: bytes", "warehouse: writers", "release"]
    assert {one.status for one in found.values()} == {"ok"}, found
    assert s3.endpoint in found["warehouse"].found
    assert "credentials from env" in found["warehouse"].found
    assert "nothing has been published" in found["release"].found
    assert list(open_store(uri).keys()) == [store.PROBE]
    assert open_store(uri).stat(store.PROBE).size < 100


@pytest.mark.s3
def test_a_release_and_a_pointer_that_is_none(s3: S3Server, uri: str) -> None:
    Warehouse(uri).publish(lambda now: Change("the first"))
    assert "1 of" in looked_at(uri)["release"].found
    open_store(uri).write("current.json", b"{")
    assert "not a release pointer" in looked_at(uri)["release"].found


@pytest.mark.s3
def test_a_store_that_ignores_conditions(faulty: Callable[..., None], uri: str) -> None:
    faulty(heedless=True)
    found = looked_at(uri)
    assert found["warehouse: bytes"].status == "ok", found
    assert found["warehouse: writers"].status == "fail"
    assert "concurrent publishing would lose releases" in found["warehouse: writers"].found
    assert "If-None-Match and If-Match" in found["warehouse: writers"].found
    assert "another store" in found["warehouse: writers"].advice


@pytest.mark.s3
@pytest.mark.parametrize(("ahead_s", "status"), [(0, "ok"), (60, "warn"), (-60, "warn"), (3600, "fail")])
def test_clocks(faulty: Callable[..., None], uri: str, ahead_s: int, status: str) -> None:
    faulty(ahead=timedelta(seconds=ahead_s))
    found = {finding.check: finding for finding in store.dataset(uri)}
    assert found["clock"].status == status, found["clock"]


def test_a_clock_is_told_to_the_second() -> None:
    noon = datetime(2026, 11, 1, 12, tzinfo=UTC)
    assert store.clock(noon, noon + timedelta(seconds=0.2)).found == "+0 s from the store's"
    assert store.clock(noon, noon + timedelta(seconds=65.5)).found == "+65 s from the store's"


@pytest.mark.s3
def test_wrong_credentials(s3: S3Server, uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    found = looked_at(uri)
    assert list(found) == ["warehouse"]
    assert found["warehouse"].status == "fail"
    assert "AWS_SECRET_ACCESS_KEY" in found["warehouse"].found


@pytest.mark.s3
def test_a_bucket_that_is_not_there_is_not_made(s3: S3Server) -> None:
    for _ in range(2):
        found = looked_at("s3://no-such-bucket/x")
        assert list(found) == ["warehouse"]
        assert "no such bucket" in found["warehouse"].found


@pytest.mark.parametrize("kind", ["closed", pytest.param("silent", marks=pytest.mark.slow)])
def test_an_endpoint_that_does_not_answer_is_asked_once(kind: str, uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1] if kind == "silent" else free_ports(1)[0]
        for name, value in S3Server(f"http://127.0.0.1:{port}", "key", "secret", 0).environment().items():
            monkeypatch.setenv(name, value)
        (found,) = store.warehouse(uri)
        assert found.status == "fail"
        assert "AWS_ENDPOINT_URL_S3" in found.found  # its reason, not that it took too long
        silent.settimeout(0)
        if kind == "silent":
            silent.accept()[0].close()
            with pytest.raises(BlockingIOError):
                silent.accept()


def test_a_server_that_is_no_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), files) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for name, value in S3Server(f"http://127.0.0.1:{server.server_port}", "k", "s", 0).environment().items():
            monkeypatch.setenv(name, value)
        (found,) = store.warehouse("s3://warehouse/x")
        server.shutdown()
    assert "is no object store" in found.found, found


def test_an_address_that_is_none() -> None:
    (found,) = store.warehouse("gs://bucket/x")
    assert (found.status, "scheme 'gs'" in found.found) == ("fail", True)


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    (found,) = store.warehouse(str(tmp_path / "typo"))
    assert (found.status, found.advice) == ("warn", "is that the address? the first job makes it")
    assert not (tmp_path / "typo").exists()
    assert {one.status for one in looked_at(str(tmp_path)).values()} == {"ok"}


class Slow(DiskStore):
    """Compares, and writes a little later: a condition that is not atomic."""

    def swap(self, key: str, data: bytes, *, tag: str) -> str:
        fresh = self.stat(key).tag == tag
        time.sleep(0.2)
        if not fresh:
            return super().swap(key, data, tag=tag)  # which refuses
        self.write(key, data)
        return self.stat(key).tag


def test_a_condition_that_is_not_atomic(tmp_path: Path) -> None:
    found = store.conditional_writes(Slow(tmp_path))
    assert found.status == "fail"
    assert "concurrent writers won" in found.found


class Disturbed(DiskStore):
    """Another doctor overwrites the probe in the middle of the first round."""

    disturbances = 1

    def swap(self, key: str, data: bytes, *, tag: str) -> str:
        if self.disturbances:
            self.disturbances -= 1
            self.write(key, b"another doctor's")
        return super().swap(key, data, tag=tag)


def test_two_doctors_at_a_time(tmp_path: Path) -> None:
    assert store.conditional_writes(Disturbed(tmp_path)).status == "ok"


class Lossy(DiskStore):
    """Gives back less than was written."""

    def read(self, key: str, *, sha256: str | None = None, max_bytes: int = 0) -> bytes:
        return super().read(key)[:-1]


def test_bytes_that_do_not_come_back(tmp_path: Path) -> None:
    assert store.keeps("bytes", Lossy(tmp_path)).status == "fail"


@pytest.mark.s3
def test_checkpoints_are_written_by_another_client(s3: S3Server, uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {finding.check: finding for finding in store.output(uri)}
    assert found["output: pyarrow"].status == "ok", found
    arrow = open_store(uri)
    monkeypatch.setattr(store, "arrow_filesystem", lambda _: (_Refusing(), "bucket"))
    refused = store.keeps_arrow(arrow)
    assert (refused.status, "XAmzContentSHA256Mismatch" in refused.found) == ("fail", True)


class _Refusing:
    def open_output_stream(self, path: str) -> object:
        raise OSError("XAmzContentSHA256Mismatch")


@pytest.mark.s3
def test_drives(s3: S3Server, uri: str) -> None:
    none = {finding.check: finding for finding in store.drives(uri)}
    assert none["drives: found"].status == "warn"
    open_store(uri).write("night-1/drive.json", b"{}")
    assert "1 drives" in {finding.check: finding for finding in store.drives(uri)}["drives: found"].found
    assert list(open_store(uri).keys()) == ["night-1/drive.json"]  # nothing is written where jobs only read
