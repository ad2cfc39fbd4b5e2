"""The door to storage, on a disk and on a real S3 server, with the same tests."""

from __future__ import annotations

import errno
import http.server
import os
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar

import pytest

from roadscan import storage
from roadscan.demo.server import S3Server
from roadscan.disk import disk_errors
from roadscan.errors import AccessDenied, Conflict, NotFound, StorageError, TooLarge, Unreachable
from roadscan.parsing import arrow_file
from roadscan.storage import Store, check_key, open_store, sha256_hex


@pytest.fixture(params=["disk", pytest.param("s3", marks=pytest.mark.s3)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "disk":
        return open_store(tmp_path / "root")
    request.getfixturevalue("s3")
    return open_store(f"s3://raw/{tmp_path.name}")


@pytest.fixture
def bound_user() -> Iterator[Path]:
    """A folder of a user whom permissions bind, as they do not root; the test is that user."""
    user = os.geteuid()
    with tempfile.TemporaryDirectory() as folder:
        if user == 0:
            os.chown(folder, 65534, 65534)
            os.seteuid(65534)
        yield Path(folder).resolve()
        os.seteuid(user)


def test_what_is_written_is_read(store: Store) -> None:
    store.write("a/b.bin", b"one")
    store.write("a/b.bin", b"two")
    assert store.read("a/b.bin") == b"two"
    assert store.stat("a/b.bin").size == 3
    assert store.exists("a/b.bin")
    assert not store.exists("a/c.bin")
    assert store.child("a").read("b.bin") == b"two"


def test_a_file_is_written_whole_and_replaces_what_was_there(store: Store, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(bytes(range(256)) * (9 << 12))  # 9 MiB: two parts of boto3's 8 MiB
    store.write("a/b.bin", b"old")
    store.write_file("a/b.bin", tmp_path / "large")
    assert store.read("a/b.bin") == (tmp_path / "large").read_bytes()
    assert [entry.key for entry in store.entries()] == ["a/b.bin"]
    assert list(store.unfinished()) == []
    with pytest.raises(NotFound, match="nothing-there: no such file"):
        store.write_file("a/b.bin", tmp_path / "nothing-there")
    assert store.read("a/b.bin") == (tmp_path / "large").read_bytes()


def test_what_arrow_reads_from_is_its_own() -> None:
    data = b"one" * 1000
    held = sys.getrefcount(data)
    file = arrow_file(data)
    assert sys.getrefcount(data) == held  # its threads may let go of the file when Python is gone
    assert file.read() == data


def test_keys_and_folders_are_in_order(store: Store) -> None:
    for key in ("b/2", "a/1", "b/1", "c"):
        store.write(key, b"x")
    assert list(store.keys()) == ["a/1", "b/1", "b/2", "c"]
    assert list(store.keys("b/")) == ["b/1", "b/2"]
    assert list(store.keys("nothing/")) == []
    assert store.folders() == ["a", "b"]


def test_a_missing_object_is_not_found(store: Store) -> None:
    with pytest.raises(NotFound):
        store.read("no/such")
    with pytest.raises(NotFound):
        store.stat("no/such")


def test_when_an_object_was_written_is_known(store: Store) -> None:
    store.write("a/b", b"x")
    (listed,) = store.entries("a/")
    assert store.written_at("a/b").replace(microsecond=0) == listed.written_at.replace(microsecond=0)
    with pytest.raises(NotFound):
        store.written_at("a/c")


def test_a_wrong_digest_is_refused(store: Store) -> None:
    store.write("x", b"data")
    assert store.read("x", sha256=sha256_hex(b"data")) == b"data"
    with pytest.raises(StorageError, match="sha256"):
        store.read("x", sha256=sha256_hex(b"other"))


def test_create_writes_once_and_takes_its_own_bytes_as_success(store: Store) -> None:
    tag = store.create("commit", b"mine")
    assert tag == store.stat("commit").tag
    store.create("commit", b"mine")  # an acknowledgement that was lost on the way
    with pytest.raises(Conflict):
        store.create("commit", b"theirs")
    assert store.read("commit") == b"mine"


def test_swap_needs_the_tag_that_was_read(store: Store) -> None:
    store.write("pointer", b"1")
    _, tag = store.read_tagged("pointer")
    new = store.swap("pointer", b"2", tag=tag)
    assert new == store.stat("pointer").tag != tag
    with pytest.raises(Conflict):
        store.swap("pointer", b"3", tag=tag)
    assert store.read("pointer") == b"2"


def test_of_many_writers_one_wins(store: Store) -> None:
    def write(number: int) -> bool:
        try:
            store.create("race", str(number).encode())
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        wins = [number for number, won in enumerate(pool.map(write, range(8))) if won]
    assert len(wins) == 1
    assert store.read("race") == str(wins[0]).encode()


@pytest.mark.parametrize(
    "key", ["", "/a", "../a", "a/../b", "a//b", "./a", "a\\b", "s3://other/a", "a\nb", "cafe\u0301", "\udcff"]
)
def test_a_key_never_leaves_its_root(store: Store, key: str) -> None:
    with pytest.raises(StorageError, match="expected a relative path"):
        store.write(key, b"")


def test_a_composed_name_is_a_good_key() -> None:
    assert check_key("ถนน/caf\u00e9.jpg") == "ถนน/caf\u00e9.jpg"


@pytest.mark.parametrize(
    ("uri", "words"), [("gs://b/x", "scheme 'gs'"), ("s3:///x", "no bucket"), ("s3://b/../x", "part")]
)
def test_other_addresses_are_refused(uri: str, words: str) -> None:
    with pytest.raises(StorageError, match=words):
        open_store(uri)


@pytest.mark.parametrize("path", ["loop", "loop/x", "~nobody-of-this-name/x", "a\0b"])
def test_a_path_where_no_folder_can_be_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("loop").symlink_to("loop")
    with pytest.raises(StorageError, match=r"^got '.*', where no folder can be .*; expected s3://bucket/prefix or a"):
        open_store(path)


@pytest.mark.s3
def test_wrong_credentials_say_so(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(AccessDenied, match="AWS_SECRET_ACCESS_KEY"):
        open_store("s3://raw/x").read("y")


def test_an_endpoint_that_is_not_there_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "TRIES", 2)
    for name, value in S3Server("http://127.0.0.1:9", "key", "secret", 0).environment().items():
        monkeypatch.setenv(name, value)
    with pytest.raises(Unreachable, match="AWS_ENDPOINT_URL_S3"):
        open_store("s3://raw/x").read("y")


class FaultyStore(http.server.BaseHTTPRequestHandler):
    """Answers a GET with the next of `faults`, then with the whole object."""

    faults: ClassVar[list[str]] = []
    body = b"0123456789" * 100
    read_on = threading.Event()

    def do_GET(self) -> None:
        fault = self.faults.pop(0) if self.faults else ""
        self.send_response(503 if fault == "slow_down" else 200)
        body = b"<Error><Code>SlowDown</Code></Error>" if fault == "slow_down" else self.body
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", '"t"')
        self.end_headers()
        self.wfile.write(body[:50] if fault in ("truncated", "stalled", "dripping") else body)
        while fault == "dripping" and not self.read_on.wait(0.05):  # a byte long before any time-out of a socket
            self.wfile.write(b"0")
            self.wfile.flush()
        if fault == "stalled":
            self.wfile.flush()
            time.sleep(2 * storage.READ_TIMEOUT_S)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[FaultyStore]]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), FaultyStore)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_address[1]}"
    for name, value in S3Server(address, "key", "secret", 0).environment().items():
        monkeypatch.setenv(name, value)
    yield FaultyStore
    FaultyStore.faults = []
    server.shutdown()
    server.server_close()


@pytest.mark.slow
@pytest.mark.parametrize("faults", [["truncated"], ["truncated", "truncated"], ["slow_down", "slow_down"]])
def test_a_read_survives_what_stores_do(faulty: type[FaultyStore], faults: list[str]) -> None:
    faulty.faults = list(faults)
    assert open_store("s3://raw").read("x") == faulty.body
    assert not faulty.faults


def test_a_body_that_stalls_is_fetched_again(faulty: type[FaultyStore], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "READ_TIMEOUT_S", 1)
    faulty.faults = ["stalled"]
    assert open_store("s3://raw").read("x") == faulty.body


def test_a_body_that_drips_meets_its_deadline(faulty: type[FaultyStore], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a body that would come in 16 KiB, one chunk of it, in half an hour."""
    monkeypatch.setattr(storage, "OBJECT_DEADLINE_S", 0.5)
    monkeypatch.setattr(faulty, "body", b"0" * 40_000)
    faulty.faults = ["dripping"]
    with pytest.raises(Unreachable, match="not read within"):
        open_store("s3://raw").read("x")
    assert not faulty.read_on.is_set()  # it drips still
    faulty.read_on.set()


def test_an_object_that_is_too_large_is_not_read(faulty: type[FaultyStore], tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(faulty.body)
    for store in (open_store("s3://raw"), open_store(tmp_path)):
        with pytest.raises(TooLarge, match="1000 bytes, limit 999"):
            store.read("x", max_bytes=999)
        assert store.read("x", max_bytes=1000) == faulty.body
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(TooLarge):
        open_store(tmp_path).read("sparse")


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    """A pipe that nobody writes to, and a device that never ends, would be waited for without an end."""
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "zero.jpg").symlink_to("/dev/zero")
    (tmp_path / "folder.jpg").mkdir()
    store = open_store(tmp_path)
    for key in ("pipe.jpg", "zero.jpg", "folder.jpg"):
        assert not store.exists(key)
        with pytest.raises(NotFound, match=f"{key}: no such file; what is there is"):
            store.read(key)
    assert list(store.keys()) == []


def test_where_no_file_can_ever_be_there_is_none(tmp_path: Path) -> None:
    """A network file system that is away comes back; a socket, a link to itself and such names do not become images."""
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    (tmp_path / "file").write_bytes(b"x")
    store = open_store(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(tmp_path / "socket.jpg"))  # a whole path may be too long for a socket's name
        for key in ("socket.jpg", "loop.jpg", f"{'x' * 300}.jpg", "file/1.jpg"):
            assert not store.exists(key)
            with pytest.raises(NotFound, match="no file can be there"):
                store.read(key)
    assert list(store.keys()) == ["file"]
    for code in (errno.EIO, errno.ESTALE, errno.ETIMEDOUT):
        with pytest.raises(StorageError) as caught, disk_errors(tmp_path):
            raise OSError(code, os.strerror(code))
        assert caught.type is StorageError


def test_a_disk_that_refuses_is_one_kind_of_error_at_every_call(bound_user: Path) -> None:
    (bound_user / "shut" / "inner").mkdir(parents=True)
    (bound_user / "shut" / "x").write_bytes(b"x")
    (bound_user / "link").symlink_to("shut/inner")
    store, inside = open_store(bound_user), open_store(bound_user / "shut")
    (bound_user / "shut").chmod(0)
    calls: list[Callable[[], object]] = [
        lambda: store.exists("shut/x"),
        lambda: store.written_at("shut/x"),
        lambda: store.read("shut/x"),
        lambda: store.open("shut/x"),
        lambda: store.write("shut/x", b""),
        lambda: store.create("shut/y", b""),
        lambda: store.swap("shut/x", b"", tag=""),
        lambda: store.delete("shut/x"),
        lambda: list(store.entries()),
        inside.folders,
    ]
    for call in calls:
        with pytest.raises(AccessDenied, match=f"{bound_user}/shut.*: permission denied"):
            call()
    assert store.folders() == ["link", "shut"]  # whoever looks into them is told
    assert list(store.unfinished()) == []


@pytest.mark.parametrize(
    ("code", "status", "kind", "words"),
    [
        ("NoSuchKey", 404, NotFound, "no such object"),
        ("404", 404, NotFound, "no such object"),
        ("NoSuchBucket", 404, StorageError, "no such bucket"),
        ("403", 403, AccessDenied, "refused the credentials"),
        ("ExpiredTokenException", 400, AccessDenied, "refused the credentials"),
        ("RequestTimeTooSkewed", 403, AccessDenied, "the clock"),
        ("PermanentRedirect", 301, StorageError, "another region"),
        ("PreconditionFailed", 412, Conflict, "another writer"),
        ("ConditionalRequestConflict", 409, Conflict, "under way"),
        ("SlowDown", 503, Unreachable, "after 3 tries"),
    ],
)
def test_what_a_store_answers_has_a_meaning(code: str, status: int, kind: type, words: str) -> None:
    answer = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status, "RetryAttempts": 2}}
    error = storage.error_of_answer("s3://b/k", answer)
    assert isinstance(error, kind)
    assert words in str(error)
    assert not (code == "NoSuchBucket" and isinstance(error, NotFound))


def test_an_endpoint_that_is_no_address_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in S3Server("localhost:9000", "key", "secret", 0).environment().items():
        monkeypatch.setenv(name, value)
    with pytest.raises(StorageError, match="AWS_ENDPOINT_URL_S3"):
        open_store("s3://raw").read("x")


def test_a_body_that_always_breaks_is_unreachable(faulty: type[FaultyStore]) -> None:
    faulty.faults = ["truncated"] * 50
    with pytest.raises(Unreachable, match=f"broke {storage.BODY_TRIES} times"):
        open_store("s3://raw").read("x")


def test_an_address_is_taken_as_it_is_written() -> None:
    assert open_store("s3://b/run#1/x?y").uri == "s3://b/run#1/x?y"
    assert open_store("file:///a%20b").uri == "/a b"
