"""Spoiled files of every kind that others write: each is read, or refused in words; none ends in a traceback or hangs.

    make fuzz                    5,000 inputs
    make fuzz INPUTS=50000 SEED=7

What fails names its kind and number; the same seed gives it again. What is known by a digest is read as it was written,
or refused.
"""

from __future__ import annotations

import os
import random
import signal
from collections import Counter
from pathlib import Path

import pytest

from fuzz.damage import damaged
from fuzz.houses import house_readers
from fuzz.readers import Reader, readers
from roadscan.errors import RoadscanError

SEED = int(os.environ.get("FUZZ_SEED", "19"))
INPUTS = int(os.environ.get("FUZZ_INPUTS", "160"))
DEEP = b"[" * 20_000  # a tree that no parser which calls itself comes to the end of
HANG_S = 60  # against hanging, not a measure of speed


class Hangs(BaseException):
    """An input that is still being read."""


@pytest.mark.slow
def test_no_file_ends_in_a_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    every = [*readers(tmp_path), *house_readers(tmp_path / "house")]
    failed, outcomes = list[str](), Counter[str]()
    written = [reader.read() for reader in every]  # as it is, each is read
    for reader, known in zip(every, written, strict=True):
        outcome = _spoiled(reader, DEEP, known)
        if outcome not in ("read", "refused"):
            failed.append(f"{reader.name}, too deep: {outcome}")
    for number in range(INPUTS):
        reader = every[number % len(every)]
        data = damaged(reader.path.read_bytes(), random.Random(f"{SEED} {reader.name} {number}"))
        outcome = _spoiled(reader, data, written[number % len(every)])
        outcomes[outcome.partition(":")[0]] += 1
        if outcome not in ("read", "refused"):
            failed.append(f"{reader.name} {number}: {outcome}")
            if folder := os.environ.get("FUZZ_KEEP"):
                (Path(folder) / f"{number}-{reader.path.name}").write_bytes(data)
    with capsys.disabled():
        print(f"\n{INPUTS} inputs of {len(every)} kinds, seed {SEED}: {dict(outcomes)}")
    assert not failed, "\n".join(failed)
    assert outcomes["refused"] > INPUTS // 5  # so what was done is damage


def _spoiled(reader: Reader, data: bytes, written: object) -> str:
    """What becomes of a file with other bytes; all is as before afterwards."""
    whole = reader.path.read_bytes()
    beside = {path: path.read_bytes() for path in reader.path.parent.glob("*.json")}
    reader.path.write_bytes(data)
    try:
        return _outcome(reader, written)
    finally:
        for path, before in {**beside, reader.path: whole}.items():
            path.write_bytes(before)


def _outcome(reader: Reader, written: object) -> str:
    def stop(*_: object) -> None:
        raise Hangs

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(HANG_S)
    try:
        found = reader.read()
    except RoadscanError as error:
        text = str(error)
        return "refused" if len(text) < 20_000 else f"a message of {len(text)} characters: {text[:100]}"
    except Hangs:
        return f"hangs for {HANG_S} s"
    except Exception as error:  # noqa: BLE001 - the very thing that is looked for
        frames = []
        at = error.__traceback__
        while at is not None:
            frames.append(f"{Path(at.tb_frame.f_code.co_filename).name}:{at.tb_lineno}")
            at = at.tb_next
        return f"{type(error).__name__}: {str(error)[:200]} ({' '.join(frames[-6:])})"
    finally:
        signal.alarm(0)
    return "read" if not reader.exact or found == written else f"silently another result: {str(found)[:500]}"
