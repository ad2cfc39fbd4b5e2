"""The doors to parsers: whatever is behind them, what comes out is what was asked for, or one typed error."""

from __future__ import annotations

import io
import os
import random
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import roadscan.parsing
from roadscan.errors import Malformed, NotAnImage, SurveyError
from roadscan.parsing import (
    open_image,
    parquet_file,
    parsing,
    read_json,
    read_json_lines,
    read_parquet,
    read_zip,
    zip_names,
)


@dataclass(frozen=True)
class Point:
    lon: float
    lat: float


class Odd(Exception):
    """What no list of exceptions names."""


@pytest.mark.parametrize(
    "error", [Odd("x"), MemoryError(), RecursionError("deep"), UnicodeDecodeError("a", b"", 0, 1, "b")]
)
def test_whatever_a_parser_raises_is_one_error(error: Exception) -> None:
    with pytest.raises(Malformed, match="not valid GPX"), parsing("GPX"):
        raise error


def test_an_error_of_our_own_within_a_parser_stays_what_it_is() -> None:
    with pytest.raises(SurveyError), parsing("GPX"):
        raise SurveyError("no fixes")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"[" * 100_000,
        b'{"lon": 1' + b"0" * 5000 + b"}",
        b'{"a": "\\ud800"}',  # half a surrogate pair: Python reads it, and fails to write it
        b'{"a": "\xed\xa0\x80"}',  # the same, encoded
        b"PK\x03\x04",
    ],
)
def test_what_is_no_json_is_told(data: bytes) -> None:
    with pytest.raises(Malformed, match="not valid JSON"):
        read_json(data)


def test_json_is_read_in_every_encoding_that_the_standard_had() -> None:
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-32"):
        assert read_json('{"lon": 100.5, "lat": 13.75}'.encode(encoding), Point) == Point(100.5, 13.75)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b'{"lon": "100.5", "lat": 1}', r"lon: got '100\.5'; Input should be a valid number"),
        (b'{"lon": true, "lat": 1}', "lon: got True"),
        (b'{"lon": 1}', "lat: missing"),
        (b"[1, 2]", r"all of it: got \[1, 2\]"),
    ],
)
def test_json_that_does_not_fit_says_the_field_and_what_was_got(data: bytes, told: str) -> None:
    with pytest.raises(Malformed, match=told):
        read_json(data, Point)


LINES = pa.schema({"lon": pa.float64(), "at": pa.timestamp("us", tz="UTC"), "of": pa.struct({"a": pa.int64()})})


def test_lines_of_json_are_rows() -> None:
    data = b'{"lon": 1, "at": "2026-10-31T13:00:00.123456Z", "more": [1]}\n{"of": {"a": 2, "b": 3}, "lon": null}'
    at = datetime(2026, 10, 31, 13, 0, 0, 123456, tzinfo=UTC)
    assert read_json_lines(data, LINES).to_pylist() == [
        {"lon": 1.0, "at": at, "of": None},
        {"lon": None, "at": None, "of": {"a": 2}},
    ]
    assert read_json_lines(b"", LINES).equals(LINES.empty_table())


@pytest.mark.parametrize("data", [b"{", b"[1]", b'{"lon": "east"}', b'{"of": {"a": 1.5}}', b"\xff"])
def test_lines_that_are_no_json_or_do_not_fit_are_told(data: bytes) -> None:
    with pytest.raises(Malformed, match="not valid lines of JSON"):
        read_json_lines(data, LINES)


def test_a_message_stays_short_whatever_was_got() -> None:
    with pytest.raises(Malformed) as raised:
        read_json(b'{"lon": "' + b"\\u001b[2J" * 100_000 + b'", "lat": [' + b"[1]," * 10_000 + b"1]}", Point)
    assert len(str(raised.value)) < 1000
    assert "\x1b" not in str(raised.value)


def test_parquet_of_other_columns_or_types_is_told() -> None:
    schema = pa.schema([("frame_id", pa.string()), ("lon", pa.float64())])
    table = pa.table({"lon": [1.5], "frame_id": ["a"], "more": [1]})
    assert read_parquet(parquet(table), schema).equals(pa.table({"frame_id": ["a"], "lon": [1.5]}))
    with pytest.raises(Malformed, match=r"columns \['lon'\] are missing"):
        read_parquet(parquet(table.drop_columns(["lon"])), schema)
    with pytest.raises(Malformed, match="a column has the wrong type"):
        read_parquet(parquet(table.set_column(0, "lon", pa.array(["east"]))), schema)


def test_parquet_whose_text_is_no_text_is_told() -> None:
    text = pa.Array.from_buffers(
        pa.string(), 1, [None, pa.py_buffer(np.array([0, 2], np.int32)), pa.py_buffer(b"\xff\xfe")]
    )
    with pytest.raises(Malformed, match="Invalid UTF8"):
        read_parquet(parquet(pa.table({"frame_id": text})))


def test_a_small_file_that_claims_many_values_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roadscan.parsing, "MAX_CELLS", 100_000)
    data = parquet(pa.table({"same": np.zeros(100_001)}))
    assert len(data) < 10_000
    with pytest.raises(Malformed, match="claims 100001 values"):
        read_parquet(data)


def test_a_zip_that_unpacks_to_more_than_it_may_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roadscan.parsing, "MAX_UNPACKED_BYTES", 1 << 20)
    data = zipped({"weights": bytes(1 << 19), "calibration/00.jpg": bytes(1 << 19), "calibration/01.jpg": b"x"})
    assert len(data) < 10_000
    assert zip_names(data) == ["weights", "calibration/00.jpg", "calibration/01.jpg"]
    with pytest.raises(Malformed, match="1048577 bytes unpacked, which is more than 1048576"):
        read_zip(data, ["weights", "calibration/"])
    assert read_zip(data, ["calibration/01"]) == {"calibration/01.jpg": b"x"}
    assert read_zip(data, ["card"]) == {}


def test_a_file_that_begins_as_no_image_is_told_from_a_broken_one() -> None:
    with pytest.raises(NotAnImage), open_image(b"<html>"):
        pass
    with pytest.raises(Malformed), open_image(png()[:-200]) as image:
        image.load()
    for broken in (b"\xff\xd8\xff", b"\xff\xd8\xff\xe0\x00\x04JF\xff\xd9"):
        with pytest.raises(Malformed) as caught, open_image(broken):
            pass
        assert caught.type is Malformed


def test_a_missing_image_is_no_broken_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), open_image(tmp_path / "gone.jpg"):
        pass


def test_a_pipe_is_no_image(tmp_path: Path) -> None:
    """One that nobody writes to would be waited for without an end."""
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(NotAnImage, match="not a regular file"), open_image(tmp_path / "pipe.jpg"):
        pass


def test_damaged_bytes_of_any_kind_are_read_or_refused_in_one_way() -> None:
    random_ = random.Random(19)
    doors: list[tuple[bytes, Callable[[bytes], Any]]] = [
        (b'{"lon": 100.5, "lat": [13.75, null, "\\u0e1b", {"a": true}]}', read_json),
        (parquet(pa.table({"a": ["x", None], "b": [1, 2], "c": [[1.0], []]})), read_parquet),
        (parquet(pa.table({"a": ["x"] * 50})), lambda data: list(_parts(data))),
        (png(), _pixels),
        (zipped({"card": b"{}" * 100, "weights": bytes(1000)}), lambda data: read_zip(data, ["card", "weights"])),
    ]
    refused = 0
    for data, door in doors:
        for _ in range(300):
            try:
                door(damaged(data, random_))
            except Malformed:
                refused += 1
    assert refused > 300  # so what was done is damage


def damaged(data: bytes, random_: random.Random) -> bytes:
    made = bytearray(data)
    for _ in range(random_.choice((1, 1, 2, 8))):
        at = random_.randrange(len(made))
        kind = random_.randrange(4)
        if kind == 0:
            made[at] ^= 1 << random_.randrange(8)
        elif kind == 1:
            made[at : at + random_.randrange(1, 16)] = random_.randbytes(random_.randrange(16))
        elif kind == 2:
            del made[at:]
        else:
            made[at:at] = made[: random_.randrange(32)]
        if not made:
            break
    return bytes(made)


def parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def png() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.arange(48 * 64 * 3, dtype=np.uint32).reshape(48, 64, 3).astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def _pixels(data: bytes) -> None:
    with open_image(data) as image:
        image.getexif()
        image.load()


def _parts(data: bytes) -> Any:
    with parquet_file(data) as file:
        yield from file.iter_batches()
