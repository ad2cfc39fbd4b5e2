from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from roadscan.demo.server import S3Server
from roadscan.errors import Conflict, NotFound, StorageError, Unreachable
from roadscan.ranged import LEAST_BYTES, MOST_BYTES, RangedFile
from roadscan.storage import open_store

DATA = os.urandom(64 << 10) * 320  # 20 MiB
Counted = Callable[[], tuple[RangedFile, list[tuple[int, int]]]]


@pytest.fixture
def counted() -> Counted:
    def make() -> tuple[RangedFile, list[tuple[int, int]]]:
        asked: list[tuple[int, int]] = []

        def read(start: int, stop: int) -> bytes:
            asked.append((start, stop))
            return DATA[start:stop]

        return RangedFile("x", len(DATA), read), asked

    return make


def test_reading_on_takes_ever_larger_parts_and_a_jump_starts_over(counted: Counted) -> None:
    file, asked = counted()
    whole = b"".join(iter(lambda: file.read(32 << 10), b""))
    assert whole == DATA
    # 32 KiB, then 16 KiB doubled with each request, at least what was asked for, up to 4 MiB: 0.03, 0.03, 0.06, 0.13,
    # 0.25, 0.5, 1, 2, 4, 4, 4 MiB are 16, and one more has the rest of 20.
    assert len(asked) == 12
    assert max(stop - start for start, stop in asked) == MOST_BYTES
    file.seek(-100, os.SEEK_END)
    assert file.read(100) == DATA[-100:]
    assert asked[-1] == (len(DATA) - 100, len(DATA))
    file.seek(5)
    assert file.read(10) == DATA[5:15]
    assert asked[-1] == (5, 5 + LEAST_BYTES)
    assert (file.tell(), file.seek(7, os.SEEK_CUR), file.seek(-3)) == (15, 22, 0)


def test_what_a_store_refused_is_kept_for_who_asked_a_library() -> None:
    def read(start: int, stop: int) -> bytes:
        raise Unreachable("not now")

    file = RangedFile("x", 10, read)
    with pytest.raises(Unreachable):
        file.read(1)
    assert isinstance(file.failure, Unreachable)
    short = RangedFile("x", 10, lambda start, stop: b"")
    with pytest.raises(StorageError, match="x: 0 bytes at 0, expected 10; it changed"):
        short.read_at(0, 20)
    assert short.read_at(10, 20) == b""


def test_a_disk_gives_parts_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(DATA)
    with open_store(tmp_path).open("a") as file:
        assert (file.size, file.read_at(70_000, 70_010)) == (len(DATA), DATA[70_000:70_010])
    with pytest.raises(NotFound):
        open_store(tmp_path).open("b")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(NotFound, match="no regular file"):
        open_store(tmp_path).open("pipe")


@pytest.mark.s3
@pytest.mark.slow
def test_an_object_store_gives_parts_of_the_object_that_was_opened(s3: S3Server, tmp_path: Path) -> None:
    store = open_store(f"s3://raw/{tmp_path.name}")
    store.write("a", DATA)
    with store.open("a") as file:
        assert (file.size, file.read_at(70_000, 70_010)) == (len(DATA), DATA[70_000:70_010])
        file.seek(-5, os.SEEK_END)
        assert file.read() == DATA[-5:]
        store.write("a", DATA[::-1])
        with pytest.raises(Conflict):
            file.read_at(0, 10)
    with pytest.raises(NotFound):
        store.open("b")
