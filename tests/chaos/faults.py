"""What can happen to a night: one function a kind, which runs it until the fault is over."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from multiprocessing.context import ForkServerProcess

import boto3
import psutil
from support.faults import FAULTY_DECODER

from chaos.process import Night, start
from chaos.proxy import Harm, Plan, Proxy, Request, calm
from roadscan.storage import Store, open_store

LEASE_S, SKEW_S = 3.0, 0.5
PATIENCE_S = 180.0  # a run that takes longer hangs
HELD = 4  # exit code: another run is under way


@dataclass
class Run:
    """A night under a fault.

    Attributes:
        rng: decides what is left to chance.
        proxy: before the store of the night's processes.
        night: what each process is to do.
        folder: of the survey, on the store; its own where `survey` kinds harm it.
        drive: the id of the night's drive.
        calm_s: how long the night takes undisturbed.
        reads, writes: how many requests it makes undisturbed.
        codes: how its processes ended.
    """

    rng: random.Random
    proxy: Proxy
    night: Night
    folder: str
    drive: str
    calm_s: float
    reads: int
    writes: int
    codes: list[int | None] = field(default_factory=list)

    def start(self, **within: float) -> ForkServerProcess:
        """Begin it once more."""
        return start(Night(**{**vars(self.night), **within}))

    def end(self, process: ForkServerProcess) -> int | None:
        """Wait for its end; the exit code, below 0 for a signal, or None if it hangs and was ended."""
        process.join(PATIENCE_S)
        hangs = process.is_alive()
        if hangs:
            process.kill()
            process.join()
        self.codes.append(None if hangs else process.exitcode)
        return self.codes[-1]

    def some_time(self) -> float:
        """A moment of the night, at random, in seconds."""
        return self.rng.uniform(0.0, self.calm_s)

    @property
    def images(self) -> Store:
        """Of the night's drive."""
        return open_store(f"{self.folder}/{self.drive}")

    def image_keys(self) -> list[str]:
        """Its images, in order."""
        return sorted(self.images.keys("images/"))


Befall = Callable[[Run], None]


@dataclass(frozen=True)
class Kind:
    """A kind of fault.

    Attributes:
        name: short.
        what: in words.
        befall: runs the night while the fault lasts.
        lasting: frames that stay unusable; else all are in the end as without the fault.
        own_survey: harms the survey, which is a copy then.
        on_disk: the warehouse is a folder.
        whole: with the model, in processes of its own.
    """

    name: str
    what: str
    befall: Befall
    lasting: int = 0
    own_survey: bool = False
    on_disk: bool = False
    whole: bool = False


def _at_some_time(run: Run, do: Callable[[ForkServerProcess], None], **within: float) -> ForkServerProcess:
    process = run.start(**within)
    process.join(run.some_time())
    if process.is_alive():
        do(process)
    return process


def _signalled(number: signal.Signals) -> Befall:
    def befall(run: Run) -> None:
        run.end(_at_some_time(run, lambda process: os.kill(process.pid or 0, number)))

    return befall


def _killed_twice(run: Run) -> None:
    for _ in range(2):
        run.end(_at_some_time(run, lambda process: process.kill()))
        time.sleep(LEASE_S + SKEW_S)


def _killed_at_a_write(*, before: bool) -> Befall:
    def befall(run: Run) -> None:
        fatal, written = run.rng.randrange(run.writes), 0
        process: ForkServerProcess | None = None

        def is_fatal(request: Request) -> bool:
            nonlocal written
            written += request.writes
            return request.writes and written == fatal + 1

        def die(request: Request) -> Harm | None:
            if is_fatal(request) and process is not None:
                process.kill()
                return Harm.RESET
            return None

        def die_after(request: Request) -> None:
            if is_fatal(request) and process is not None:
                process.kill()

        if before:
            run.proxy.follow(die)
        else:
            run.proxy.follow(calm, die_after)
        process = run.start()
        run.end(process)

    return befall


def _paused(run: Run) -> None:
    """Longer than its lease, while another run does the night."""
    process = _at_some_time(run, lambda one: os.kill(one.pid or 0, signal.SIGSTOP))
    time.sleep(LEASE_S + 2 * SKEW_S)
    run.end(run.start())
    if process.is_alive():
        os.kill(process.pid or 0, signal.SIGCONT)
    run.end(process)


def _two(run: Run) -> None:
    both = [run.start(), run.start()]
    for process in both:
        run.end(process)


def _two_and_a_kill(run: Run) -> None:
    both = [run.start(), run.start()]
    time.sleep(run.some_time())
    both[run.rng.randrange(2)].kill()
    for process in both:
        run.end(process)


def _clock(ahead_s: float) -> Befall:
    def befall(run: Run) -> None:
        both = [run.start(), run.start(clock_s=ahead_s)]
        for process in both:
            run.end(process)

    return befall


def _full_disk(run: Run) -> None:
    run.end(run.start(file_bytes=run.rng.randrange(500, 20_000)))


def _harmed(harm: Harm, share: float, which: Callable[[Request], bool] = lambda _: True) -> Befall:
    """A share of those requests that are meant, by chance."""

    def befall(run: Run) -> None:
        run.proxy.follow(lambda request: harm if which(request) and run.rng.random() < share else None)
        run.end(run.start())

    return befall


def _burst(harm: Harm, which: Callable[[Request], bool] = lambda _: True) -> Befall:
    """All requests that are meant, for a second or two from some moment on."""

    def befall(run: Run) -> None:
        begin = time.monotonic() + run.some_time()
        end = begin + run.rng.uniform(0.5, 3.0)

        def plan(request: Request) -> Harm | None:
            return harm if which(request) and begin < time.monotonic() < end else None

        run.proxy.follow(plan)
        run.end(run.start())

    return befall


def _two_harms_and_a_kill(run: Run) -> None:
    run.proxy.follow(_either((Harm.SLOW_DOWN, 0.1), (Harm.ACK_LOST, 0.1), (Harm.LATE, 0.1), rng=run.rng))
    run.end(_at_some_time(run, lambda process: process.kill()))


def _either(*harms: tuple[Harm, float], rng: random.Random) -> Plan:
    def plan(_: Request) -> Harm | None:
        return next((harm for harm, share in harms if rng.random() < share), None)

    return plan


def _reads(request: Request) -> bool:
    return request.method == "GET"


def _writes(request: Request) -> bool:
    return request.writes


def _images(request: Request) -> bool:
    return request.method == "GET" and "/images/" in request.path


def _conditional(request: Request) -> bool:
    return request.writes and request.conditional


def _spoiled(data: bytes) -> Befall:
    """Some images are something else, for good."""

    def befall(run: Run) -> None:
        for key in run.rng.sample(run.image_keys(), SPOILED):
            run.images.write(key, data)
        run.end(run.start())
        _no_more(run)

    return befall


def _cut_short(run: Run) -> None:
    for key in run.rng.sample(run.image_keys(), SPOILED):
        run.images.write(key, run.images.read(key)[:2000])
    run.end(run.start())
    _no_more(run)


def _no_more(run: Run) -> None:
    """Somebody says that no upload will bring better images, for which a night else waits some days."""
    run.images.write("complete", b"")


def _still_uploading(run: Run) -> None:
    """The drive is there before some of its images are."""
    late = run.rng.sample(run.image_keys(), run.rng.randrange(1, 20))
    images = {key: run.images.read(key) for key in late}
    for key in late:
        run.images.delete(key)
    run.end(run.start())
    for key, data in images.items():
        run.images.write(key, data)


def _unreadable(name: str, data: bytes) -> Befall:
    """A file of the drive is something else, until somebody mends it."""

    def befall(run: Run) -> None:
        key = name or next(key for key in run.images.keys() if key.endswith(".parquet"))  # noqa: SIM118
        whole = run.images.read(key)
        run.images.write(key, data)
        run.end(run.start())
        run.images.write(key, whole)

    return befall


def _odd_folder(run: Run) -> None:
    """A drive beside it whose name no one can write."""
    name = run.rng.choice(["a\\b", "tab\there", "cafe\u0301", "esc\x1b[31m"])
    bucket, _, folder = run.folder.removeprefix("s3://").partition("/")
    client, key = boto3.client("s3"), f"{folder}/{name}/drive.json"  # no store of ours would write it
    client.put_object(Bucket=bucket, Key=key, Body=b"{}")
    run.end(run.start())
    for gone in (key, key.removesuffix("drive.json")):  # SeaweedFS keeps a folder that nothing is in
        client.delete_object(Bucket=bucket, Key=gone)


def _worker_killed(run: Run) -> None:
    process = run.start()
    end = time.monotonic() + run.some_time()
    while time.monotonic() < end and process.is_alive():
        time.sleep(0.1)
    workers = [one for one in psutil.Process(process.pid).children(recursive=True) if _scans(one)]
    if workers:
        run.rng.choice(workers).kill()
    run.end(process)


def _scans(process: psutil.Process) -> bool:
    try:
        return "roadscan.scan.worker" in process.cmdline()
    except psutil.NoSuchProcess:
        return False


def _decoder_dies(run: Run) -> None:
    """An image takes the process that decodes it with it, always."""
    key = run.rng.choice(run.image_keys())
    run.images.write(key, run.images.read(key) + b"poison")
    folder = run.night.config.with_suffix(".faulty")
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(FAULTY_DECODER)
    path = f"{folder}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    run.night = replace(run.night, environment={**run.night.environment, "PYTHONPATH": path})
    run.end(run.start())


SPOILED = 1  # images: more than a twentieth in quarantine is no complete night
#: The start of an AVIF, of a picture of 60000 x 60000 pixels, and of what a portal says.
AVIF = bytes.fromhex("0000001c6674797061766966000000006d696631617669666d696166") + bytes(200)
HUGE_PNG = bytes.fromhex("89504e470d0a1a0a0000000d494844520000ea600000ea6008020000000000000000")
PAGE = b"<!DOCTYPE html><html><body>Please sign in.</body></html>"

KINDS = (
    Kind("kill", "killed with -9 at some moment", _signalled(signal.SIGKILL)),
    Kind("kill_before_write", "killed with -9 when it is about to write", _killed_at_a_write(before=True)),
    Kind("kill_after_write", "killed with -9 before it learns that a write was done", _killed_at_a_write(before=False)),
    Kind("kill_twice", "killed with -9, and so is the next run", _killed_twice),
    Kind("term", "SIGTERM, as a scheduler ends it", _signalled(signal.SIGTERM)),
    Kind("interrupt", "Ctrl-C", _signalled(signal.SIGINT)),
    Kind("pause", "stopped for longer than its lease while another run works, then continued", _paused),
    Kind("two", "two runs at a time", _two),
    Kind("two_and_a_kill", "two runs at a time, one of them killed", _two_and_a_kill),
    Kind("clock_ahead", "two runs at a time, the clock of one a minute ahead", _clock(60.0)),
    Kind("clock_behind", "two runs at a time, the clock of one a minute behind", _clock(-60.0)),
    Kind("full_disk", "the warehouse's disk takes no more", _full_disk, on_disk=True),
    Kind("slow_down", "a fifth of all requests: 503 SlowDown", _harmed(Harm.SLOW_DOWN, 0.2)),
    Kind("internal", "a fifth: 500 InternalError", _harmed(Harm.INTERNAL, 0.2)),
    Kind("reset", "a fifth: the connection ends before the store has them", _harmed(Harm.RESET, 0.2)),
    Kind("ack_lost", "a fifth of all writes: done, and never acknowledged", _harmed(Harm.ACK_LOST, 0.2, _writes)),
    Kind("conflict", "a fifth of all conditional writes: 409", _harmed(Harm.CONFLICT, 0.2, _conditional)),
    Kind("truncated", "a tenth of all answers end half way", _harmed(Harm.TRUNCATED, 0.1, _reads)),
    Kind("flipped", "a tenth of all answers have one bit that is another", _harmed(Harm.FLIPPED, 0.1, _reads)),
    Kind("drip", "a fifth of all answers come a KiB at a time", _harmed(Harm.DRIP, 0.2, _reads)),
    Kind("late", "a third of all answers come late", _harmed(Harm.LATE, 0.3)),
    Kind("hang", "one request in forty is never answered", _harmed(Harm.HANG, 0.025)),
    Kind("outage", "the store is not there for a while", _burst(Harm.RESET)),
    Kind("forbidden", "the store denies everything for a while", _burst(Harm.FORBIDDEN)),
    Kind("captive", "another network's page is the answer to everything for a while", _burst(Harm.CAPTIVE)),
    Kind("images_gone", "the store does not find images for a while", _burst(Harm.NOT_FOUND, _images)),
    Kind("harms_and_a_kill", "three harms of the store, and killed with -9", _two_harms_and_a_kill),
    Kind("avif", "images are of a format that nothing decodes", _spoiled(AVIF), lasting=SPOILED, own_survey=True),
    Kind("noise", "images are noise", _spoiled(random.Random(0).randbytes(5000)), lasting=SPOILED, own_survey=True),
    Kind("huge", "images claim 60000 x 60000 pixels", _spoiled(HUGE_PNG), lasting=SPOILED, own_survey=True),
    Kind("portal", "images are a portal's page", _spoiled(PAGE), lasting=SPOILED, own_survey=True),
    Kind("cut_short", "images end early", _cut_short, lasting=SPOILED, own_survey=True),
    Kind("uploading", "the drive is there before its images are", _still_uploading, own_survey=True),
    Kind("no_drive", "drive.json is no JSON for a while", _unreadable("drive.json", b"{"), own_survey=True),
    Kind("no_frames", "the table of frames is no table for a while", _unreadable("", b"PAR1"), own_survey=True),
    Kind("whole_kill", "a night with its model, killed with -9", _signalled(signal.SIGKILL), whole=True),
    Kind("worker_kill", "a process that scans is killed with -9", _worker_killed, whole=True),
    Kind("decoder_dies", "an image kills whoever decodes it", _decoder_dies, lasting=1, own_survey=True, whole=True),
    Kind("odd_folder", "a folder beside it has a name that nobody can write", _odd_folder, own_survey=True),
)  # fmt: skip


def by_name(names: list[str]) -> Iterator[Kind]:
    """The kinds of some names; of none, all."""
    known = {kind.name: kind for kind in KINDS}
    yield from (known[name] for name in names or known)
