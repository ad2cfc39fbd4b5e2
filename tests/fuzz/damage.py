"""A file -> the same file as it should not be, by chance and with a seed."""

from __future__ import annotations

import io
import json
import random
import re
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

#: In place of any value: of another type, outside of every bound, or text that does something.
VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 1e308, float("nan"), float("inf"), 10**30, -(2**63), "", "x", "\x1b[2J", "[/red]", "=1+1", "\0",
    "9" * 5000, "\ud800", [], {}, [[]], {"a": 1}, "9999-12-31T23:59:59-12:00", "0000-00-00", "../../etc/passwd", "ป้าย",
)  # fmt: skip
FOREIGN = (
    b"", b"\0", b"\xff\xfe", b"<html><body>404</body></html>", b"PK\x03\x04", b"PAR1", b"{}", b"[]", b"null", b"GIF89a",
    b"\xff\xd8\xff\xe0", b"[" * 20_000, b"{\"a\":" * 5000, b"\x00\x00\x00\x20ftypavif", b"a,b\n1\n", b"\x1f\x8b",
    b"a: &a [*a]",
)  # fmt: skip


def damaged(data: bytes, chance: random.Random) -> bytes:
    """One of: bits flipped, cut, doubled, parts put elsewhere, another format, or a value of it another one."""
    ways = [_flipped, _cut, _moved, _replaced, _foreign]
    if data[:4] == b"PAR1":
        ways += [_other_table] * 5
    elif data.lstrip()[:1] in (b"{", b"["):
        ways += [_other_tree] * 8
    else:
        ways += [_other_words] * 4
    return chance.choice(ways)(data, chance)


def _flipped(data: bytes, chance: random.Random) -> bytes:
    made = bytearray(data)
    for _ in range(chance.choice((1, 1, 3, 20))):
        if made:
            made[chance.randrange(len(made))] ^= 1 << chance.randrange(8)
    return bytes(made)


def _cut(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data) + 1)
    return chance.choice((data[:at], data[at:]))


def _moved(data: bytes, chance: random.Random) -> bytes:
    a, b = sorted(chance.randrange(len(data) + 1) for _ in range(2))
    return chance.choice((data[:b] + data[a:], data[:a] + data[b:], data[b:] + data[:a]))


def _replaced(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data) + 1)
    return data[:at] + chance.randbytes(chance.randrange(1, 12)) + data[at + chance.randrange(12) :]


def _foreign(data: bytes, chance: random.Random) -> bytes:
    return chance.choice(FOREIGN) + chance.choice((b"", data, data[:100]))


def _other_words(data: bytes, chance: random.Random) -> bytes:
    """A word or number of a text becomes another value."""
    text = data.decode("utf-8", "surrogateescape")
    words = list(re.finditer(r"[\w.+:-]+", text))
    for word in chance.sample(words, min(len(words), chance.choice((1, 1, 2, 5)))):
        value = chance.choice(VALUES)
        other = value if isinstance(value, str) else json.dumps(value)
        text = text[: word.start()] + other[:200] + text[word.end() :]
    return text.encode("utf-8", "surrogatepass")


def _other_tree(data: bytes, chance: random.Random) -> bytes:
    """A value of a JSON tree, or of one line of many, becomes another one, goes, or is there twice."""
    head, tail = b"", b""
    if data.startswith(b"{") and b"}\n{" in data:
        lines = data.splitlines(keepends=True)
        at = chance.randrange(len(lines))
        head, data, tail = b"".join(lines[:at]), lines[at], b"".join(lines[at + 1 :])
    tree = json.loads(data)
    for _ in range(chance.choice((1, 1, 2))):
        places = list(_places(tree))
        if not places:
            break
        parent, key = chance.choice(places)
        way = chance.randrange(4)
        if way == 0 and isinstance(parent, dict):
            del parent[key]
        elif way == 1 and isinstance(parent, list):
            parent.insert(key, parent[key])
        else:
            parent[key] = chance.choice(VALUES)
    return head + json.dumps(tree).encode("utf-8", "surrogatepass") + (b"\n" + tail if tail else b"")


def _places(tree: Any) -> Any:
    children = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, child in list(children):
        yield tree, key
        yield from _places(child)


def _other_table(data: bytes, chance: random.Random) -> bytes:
    """A column of a Parquet file goes, is of another type, or has other values."""
    table = pq.read_table(io.BytesIO(data))
    at = chance.randrange(table.num_columns)
    name, rows = table.column_names[at], table.num_rows
    columns: list[Any] = [
        pa.nulls(rows),
        pa.array([chance.choice(("x", "\x1b[2J", "", None, "9" * 300)) for _ in range(rows)], pa.string()),
        pa.array([chance.choice((float("nan"), float("inf"), 1e308, -1.0, None)) for _ in range(rows)], pa.float64()),
        pa.array([chance.choice((2**62, -(2**62), 0, None)) for _ in range(rows)], pa.int64()),
        pa.array([chance.choice((2**62, -(2**62), 0, None)) for _ in range(rows)], pa.timestamp("us", "UTC")),
        pa.array([[1]] * rows, pa.list_(pa.int64())),
        pa.array([b"\xff\0"] * rows, pa.binary()),
    ]
    if chance.random() < 0.2:
        table = table.drop_columns([name])
    elif chance.random() < 0.1:
        table = table.slice(0, 0)
    else:
        table = table.set_column(at, name, chance.choice(columns))
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()
