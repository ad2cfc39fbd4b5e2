"""An object store or disk: does it answer, keep what is written, and honour conditions?"""

from __future__ import annotations

import itertools
import secrets
import statistics
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from roadscan.doctor.finding import Finding, within
from roadscan.errors import Conflict
from roadscan.storage import DiskStore, Reached, Store, arrow_filesystem, open_store, reach
from roadscan.survey.drive import find_drives
from roadscan.warehouse import Warehouse

PROBE = "doctor/probe"
LARGE = 8_000_000  # bytes of the write and read that are timed
LARGE_S = 120  # of them: a link of 1 Mbit/s would pass
SKEW_WARN_S, SKEW_FAIL_S = 5, 900  # leases compare clocks; signed requests are refused after 15 minutes
ROUNDS = 3  # another doctor may be overwriting the same probe
RACERS = 4


def warehouse(uri: str) -> Iterator[Finding]:
    """A root that is written with conditions and released."""
    reached = yield from _reached("warehouse", uri)
    if reached:
        yield within("warehouse: bytes", lambda: keeps("warehouse: bytes", open_store(uri)), LARGE_S)
        yield within("warehouse: writers", lambda: conditional_writes(open_store(uri)))
        yield within("release", lambda: release(Warehouse(uri)))


def output(uri: str) -> Iterator[Finding]:
    """A root of checkpoints and sweeps, which Ray writes through pyarrow: that has an S3 client of its own."""
    reached = yield from _reached("output", uri)
    if reached:
        yield within("output: bytes", lambda: keeps("output: bytes", open_store(uri)), LARGE_S)
        yield within("output: pyarrow", lambda: keeps_arrow(open_store(uri)))


def drives(uri: str) -> Iterator[Finding]:
    """A root of drives, which is only read."""
    reached = yield from _reached("drives", uri)
    if reached:
        yield within("drives: found", lambda: found_drives(uri), LARGE_S)


def dataset(uri: str) -> Iterator[Finding]:
    """A labelled dataset, which is only read; whether it is a good one, ``roadscan dataset check`` tells."""
    yield from _reached("dataset", uri.rsplit("/", 1)[0] if uri.endswith((".yaml", ".yml")) else uri)


def _reached(check: str, uri: str) -> Generator[Finding, None, bool]:
    """Whether it answers, and its clock; returns whether there is more to look at."""
    answers: list[Reached | None] = []

    def look() -> Finding:
        store = open_store(uri)
        if isinstance(store, DiskStore):
            return folder(check, store)
        answers.append(reach(store))
        return answered(check, store.uri, answers[0])

    found = within(check, look)
    yield found
    if answers and answers[0]:
        yield clock(answers[0].time, datetime.now(UTC))
    return found.status == "ok"


def folder(check: str, store: DiskStore) -> Finding:
    """A folder; one that is not there is not made."""
    if not store.root.is_dir():
        return Finding(check, "warn", f"{store.uri}: no such folder", "is that the address? the first job makes it")
    return Finding(check, "ok", f"{store.uri}: a folder of this machine, or mounted")


def answered(check: str, uri: str, reached: Reached | None) -> Finding:
    """An object store that answered, and whose credentials it took."""
    assert reached is not None  # a disk is looked at by `folder`
    found = f"{uri} at {reached.endpoint}, credentials from {reached.credentials}: {1000 * reached.took_s:.0f} ms"
    return Finding(check, "ok", found)


def clock(there: datetime, here: datetime) -> Finding:
    """This machine's clock against the store's, which is told to the second."""
    skew_s = (here - there).total_seconds() - 0.5
    found = f"{round(skew_s):+d} s from the store's"
    if abs(skew_s) > SKEW_FAIL_S:
        return Finding("clock", "fail", found, "set the clock (NTP); the store refuses requests signed at another time")
    if abs(skew_s) > SKEW_WARN_S:
        return Finding("clock", "warn", found, "set the clock (NTP); leases are compared by it")
    return Finding("clock", "ok", found)


def found_drives(uri: str) -> Finding:
    """The drives at an address."""
    left_out: dict[str, str] = {}
    count = len(find_drives(uri, left_out=left_out))
    if left_out:
        said = "; ".join(f"{address}: {reason}" for address, reason in left_out.items())
        return Finding("drives: found", "warn", f"{count} drives, and {said}", "a night leaves these folders out")
    if count:
        return Finding("drives: found", "ok", f"{count} drives")
    return Finding("drives: found", "warn", "none", "expected a folder with drive.json, or a folder of such folders")


def keeps(check: str, store: Store) -> Finding:
    """Whether what is written is read again, byte for byte, and how fast."""
    for _ in range(ROUNDS):
        rates = _measured(store)
        if rates is not None:
            return Finding(check, "ok", f"{LARGE / 1e6:.0f} MB come back as written; {rates}")
    return Finding(check, "fail", f"{store.uri} gives other bytes than were written", "use a consistent store")


def _measured(store: Store) -> str | None:
    """Rates of a large object and the latency of a small one; None where other bytes come back."""
    large, small, times = secrets.token_bytes(LARGE), secrets.token_bytes(1 << 10), [time.perf_counter()]
    store.write(PROBE, large)
    times.append(time.perf_counter())
    same = store.read(PROBE) == large
    times.append(time.perf_counter())
    store.write(PROBE, small)
    latencies_s = []
    for _ in range(5):
        started = time.perf_counter()
        same &= store.read(PROBE) == small
        latencies_s.append(time.perf_counter() - started)
    if not same:
        return None
    write, read = (LARGE / 1e6 / (after - before) for before, after in itertools.pairwise(times))
    return f"{write:.0f} MB/s written, {read:.0f} MB/s read, 1 kB in {1000 * statistics.median(latencies_s):.0f} ms"


def keeps_arrow(store: Store) -> Finding:
    """The same through pyarrow, whose S3 client sends other checksums and knows no profile's endpoint."""
    if isinstance(store, DiskStore):
        return Finding("output: pyarrow", "ok", "a folder like any other")
    filesystem, path = arrow_filesystem(store.uri)
    data = secrets.token_bytes(1 << 10)
    try:
        with filesystem.open_output_stream(f"{path}/{PROBE}") as file:
            file.write(data)
    except OSError as error:
        advice = "set endpoint, region and credentials in the environment; see that the store takes its checksums"
        return Finding("output: pyarrow", "fail", f"checkpoints cannot be written: {error}", advice)
    if store.read(PROBE) != data:
        return Finding("output: pyarrow", "fail", "other bytes come back than were written", "use another store")
    return Finding("output: pyarrow", "ok", "checkpoints can be written")


def conditional_writes(store: Store) -> Finding:
    """Whether the store refuses a write whose condition does not hold: releases and leases are safe by that alone."""
    for left in reversed(range(ROUNDS)):
        try:
            broken = _broken_conditions(store)
            break
        except Conflict:  # of a write whose condition held: another doctor was between
            if not left:
                raise
    if broken:
        advice = "use another store: of two programs that publish at a time, one would undo the other's release"
        return Finding("warehouse: writers", "fail", f"concurrent publishing would lose releases: {broken}", advice)
    found = "If-None-Match and If-Match hold: of concurrent writers one wins"
    return Finding("warehouse: writers", "ok", found)


def _broken_conditions(store: Store) -> str:
    """Which conditions the store does not keep, in words; empty where it keeps all."""
    store.write(PROBE, secrets.token_bytes(16))
    stale = store.stat(PROBE).tag
    fresh = store.swap(PROBE, secrets.token_bytes(16), tag=stale)
    ignored = [
        name
        for name, write in (
            ("If-None-Match", lambda: store.create(PROBE, secrets.token_bytes(16))),
            ("If-Match", lambda: store.swap(PROBE, secrets.token_bytes(16), tag=stale)),
        )
        if _won(write)
    ]
    if ignored:
        return f"the store ignores {' and '.join(ignored)}"
    with ThreadPoolExecutor(RACERS) as pool:
        swaps = [lambda: store.swap(PROBE, secrets.token_bytes(16), tag=fresh)] * RACERS
        winners = sum(pool.map(_won, swaps))
    if not winners:
        raise Conflict(f"{store.uri_of(PROBE)}: no write won, though its condition held")
    return f"{winners} of {RACERS} concurrent writers won" if winners > 1 else ""


def _won(write: Callable[[], object]) -> bool:
    try:
        write()
    except Conflict:
        return False
    return True


def release(warehouse: Warehouse) -> Finding:
    """The release that readers see, its manifest verified."""
    now = warehouse.current()
    if not now.number:
        return Finding("release", "ok", "nothing has been published yet")
    return Finding(
        "release",
        "ok",
        f"{now.number} of {now.created_at[:19]}, {sum(one.files for one in now.tables.values())} files: {now.note}",
    )
