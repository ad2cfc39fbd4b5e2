"""Whether this machine can do its work: Python, GPUs, Ray, the store, the model, each with what to do about it.

Nothing is started, and the one thing written is ``doctor/probe`` in the warehouse, which every later look overwrites.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import secrets
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import torch
import yaml

from roadscan.errors import ConfigError, Conflict, RoadscanError
from roadscan.model.bundle import load
from roadscan.storage import Store, open_store, server_time
from roadscan.survey.drive import find_drives
from roadscan.warehouse import Warehouse

PROBE = "doctor/probe"
DEADLINE_S = 30  # of one check; a store that does not answer would be asked for minutes
LEAST_FILES = 8192  # open files: Ray keeps one for every worker and client
LEAST_DISK, LEAST_SHM = 20e9, 2e9  # bytes: what Ray spills and stages; what its objects lie in
SKEW_WARN_S, SKEW_FAIL_S = 5, 900  # leases compare clocks; signed requests are refused after 15 minutes
PROGRAMS = ("ray", "torch", "ultralytics-opencv-headless", "pyarrow")
ASK_RAY = "import json, sys; from roadscan.cluster import describe; print(json.dumps(describe(sys.argv[1])))"

Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Finding:
    """One line of the examination.

    Attributes:
        check: what was looked at.
        status: ok, warn (works, but not as it should) or fail.
        found: what there is.
        advice: what to do; empty where it is ok.
    """

    check: str
    status: Status
    found: str
    advice: str = ""


@dataclass(frozen=True)
class Subject:
    """What a config names: a warehouse, a model, drives; each may be missing."""

    warehouse: str | None = None
    model: str | None = None
    drives: tuple[str, ...] = ()


def read_subject(config: Path) -> Subject:
    """What a scan's, night's, training's or inventory's YAML names.

    Raises:
        ConfigError: no such file, or not a YAML mapping.
    """
    try:
        tree = yaml.safe_load(config.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"{config}: {error}; expected a config in YAML") from None
    if not isinstance(tree, dict):
        raise ConfigError(f"{config}: got {type(tree).__name__}; expected a mapping of fields")
    scan = tree.get("scan")
    fields: dict[str, Any] = {**(scan if isinstance(scan, dict) else {}), **tree}
    drives = fields.get("drives") or ()
    return Subject(
        fields.get("warehouse"), fields.get("model"), (drives,) if isinstance(drives, str) else tuple(drives)
    )


def examine(subject: Subject) -> Iterator[Finding]:
    """All findings, as they are made; a check that breaks is a finding, too."""
    for name, check in (
        ("python", python), ("machine", machine), ("gpu", gpu), ("disk", disk), ("open files", open_files),
        ("token", token), ("ray", ray_cluster),
    ):  # fmt: skip
        yield within(name, check)
    if subject.model:
        yield within("model", lambda: model(str(subject.model)))
    for address in subject.drives:
        yield within("drives", lambda address=address: drives(address))  # type: ignore[misc]
    if subject.warehouse:
        yield from _warehouse(subject.warehouse)


def _warehouse(uri: str) -> Iterator[Finding]:
    store = open_store(uri)
    reached = within("store", lambda: reads_and_writes(store))
    yield reached
    if reached.status != "fail":  # else the others would say the same again
        yield within("conditional writes", lambda: conditional_writes(store))
        yield within("clock", lambda: clock(server_time(store)))
        yield within("release", lambda: release(Warehouse(uri)))


def within(name: str, check: Callable[[], Finding], deadline_s: float = DEADLINE_S) -> Finding:
    """What a check finds; also that it raised, or did not end in time."""
    made: list[Finding] = []

    def run() -> None:
        try:
            made.append(check())
        except RoadscanError as error:
            made.append(Finding(name, "fail", str(error), "mend what it names, then look again"))
        except Exception as error:  # noqa: BLE001 - whatever breaks, the other checks go on
            made.append(Finding(name, "fail", f"{type(error).__name__}: {error}", "the check itself broke"))

    thread = threading.Thread(target=run, daemon=True)  # one that hangs must not keep the program
    thread.start()
    thread.join(deadline_s)
    return (
        made[0] if made else Finding(name, "fail", f"no answer in {deadline_s:g} s", "is the address right, and open?")
    )


def python() -> Finding:
    """The interpreter and the packages that a cluster's nodes must have alike."""
    versions = ", ".join(f"{name.partition('-')[0]} {version(name)}" for name in PROGRAMS)
    return Finding("python", "ok", f"{platform.python_version()}, {versions}")


def machine() -> Finding:
    """Cores that this process may use, and memory."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    found = f"{len(os.sched_getaffinity(0))} cores, {memory / 1e9:.0f} GB"
    return Finding("machine", "ok", found) if memory >= 4e9 else Finding("machine", "warn", found, "Ray wants 4 GB")


def gpu() -> Finding:
    """GPUs that torch can use."""
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
        return Finding("gpu", "ok", ", ".join(names))
    if Path("/dev/nvidia0").exists():
        found = f"a GPU that torch {torch.__version__} cannot use"
        return Finding("gpu", "warn", found, "install a driver that is new enough, and torch's CUDA build")
    return Finding("gpu", "ok", "none; all works on CPU cores, slower")


def disk() -> Finding:
    """Room where Ray spills, and shared memory for its objects."""
    root = Path(os.environ.get("RAY_TMPDIR", "/tmp"))  # noqa: S108 - Ray's own default
    free, shared = shutil.disk_usage(root).free, shutil.disk_usage("/dev/shm").total  # noqa: S108
    found = f"{free / 1e9:.0f} GB free in {root}, {shared / 1e9:.1f} GB in /dev/shm"
    if free < LEAST_DISK:
        return Finding("disk", "warn", found, f"make {LEAST_DISK / 1e9:.0f} GB free, or set RAY_TMPDIR to another disk")
    if shared < LEAST_SHM:
        return Finding(
            "disk", "warn", found, "give the container more shared memory (--shm-size), else Ray uses the disk"
        )
    return Finding("disk", "ok", found)


def open_files() -> Finding:
    """How many files a process may have open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= soft < LEAST_FILES:
        return Finding("open files", "warn", str(soft), f"ulimit -n {LEAST_FILES} or more before starting Ray")
    return Finding("open files", "ok", str(soft))


def token() -> Finding:
    """The secret that a cluster asks for. Without one, whoever reaches its ports runs code on it (CVE-2023-48022)."""
    address, mode = os.environ.get("RAY_ADDRESS"), os.environ.get("RAY_AUTH_MODE", "disabled")
    if mode != "token":
        if address and address != "local":
            advice = "start the cluster and this program with RAY_AUTH_MODE=token"
            return Finding("token", "warn", f"RAY_AUTH_MODE is {mode}, and RAY_ADDRESS {address}", advice)
        return Finding("token", "ok", "no cluster to authenticate to")
    if os.environ.get("RAY_AUTH_TOKEN"):
        return Finding("token", "ok", "from RAY_AUTH_TOKEN")
    path = Path(os.environ.get("RAY_AUTH_TOKEN_PATH", "~/.ray/auth_token")).expanduser()
    if not path.is_file() or not path.read_text().strip():
        return Finding(
            "token", "fail", f"no secret in {path}", "ray get-auth-token --generate, or set RAY_AUTH_TOKEN_PATH"
        )
    if path.stat().st_mode & 0o077:
        return Finding("token", "warn", f"{path} can be read by others", f"chmod 600 {path}")
    return Finding("token", "ok", str(path))


def ray_cluster() -> Finding:
    """The cluster of ``RAY_ADDRESS``, asked by a process of its own, which a deadline can end."""
    address = os.environ.get("RAY_ADDRESS", "local")
    if address == "local":
        return Finding("ray", "ok", "RAY_ADDRESS is not set: jobs start a cluster of this machine alone")
    asked = [sys.executable, "-c", ASK_RAY, address]
    try:
        answer = subprocess.run(asked, capture_output=True, text=True, timeout=DEADLINE_S - 5, check=False)
    except subprocess.TimeoutExpired:
        return Finding(
            "ray", "fail", f"no answer from {address}", "is the head up, and the address reachable from here?"
        )
    if answer.returncode:
        said = [line for line in answer.stderr.splitlines() if line.strip()] or ["no reason given"]
        return Finding(
            "ray", "fail", f"{address}: {said[-1]}", "compare address, secret, and versions of Ray and Python"
        )
    facts = json.loads(answer.stdout.splitlines()[-1])
    if facts["ray"] != version("ray"):
        advice = f"install ray {facts['ray']} here, or {version('ray')} there"
        return Finding("ray", "fail", f"{address} runs ray {facts['ray']}, here is {version('ray')}", advice)
    nodes = f", {facts['nodes']} nodes, {facts['cpus']:g} cores, {facts['gpus']:g} GPUs" if "nodes" in facts else ""
    return Finding("ray", "ok", f"{address}: ray {facts['ray']}{nodes}")


def model(uri: str) -> Finding:
    """The model file, loaded and verified."""
    bundle = load(uri)
    card = bundle.card
    return Finding("model", "ok", f"{uri}: YOLOv8{card.variant}, {card.task}, {len(card.classes)} classes")


def drives(uri: str) -> Finding:
    """The drives at an address."""
    count = len(find_drives(uri))
    if count:
        return Finding("drives", "ok", f"{uri}: {count} drives")
    return Finding("drives", "warn", f"{uri}: none", "expected a folder with drive.json, or a folder of such folders")


def reads_and_writes(store: Store) -> Finding:
    """A write, and the same bytes read again."""
    data = secrets.token_bytes(1 << 10)
    started = time.perf_counter()
    store.write(PROBE, data)
    written = time.perf_counter()
    if store.read(PROBE) != data:
        return Finding("store", "fail", f"{store.uri} gives other bytes than were written", "use a consistent store")
    times = f"write {1000 * (written - started):.0f} ms, read {1000 * (time.perf_counter() - written):.0f} ms"
    return Finding("store", "ok", f"{store.uri}: {times}")


def conditional_writes(store: Store) -> Finding:
    """Whether the store refuses a write whose condition does not hold: releases and leases are safe by that alone."""
    store.write(PROBE, b"first")
    stale = store.stat(PROBE).tag
    store.write(PROBE, b"second")
    ignored = [
        name
        for name, write in (
            ("If-None-Match", lambda: store.create(PROBE, b"third")),
            ("If-Match", lambda: store.swap(PROBE, b"fourth", tag=stale)),
        )
        if not _refused(write)
    ]
    if ignored:
        advice = "use another store, or see that never two programs write to it: one would undo the other's release"
        return Finding("conditional writes", "fail", f"the store ignores {' and '.join(ignored)}", advice)
    store.swap(PROBE, b"fifth", tag=store.stat(PROBE).tag)
    return Finding("conditional writes", "ok", "If-None-Match and If-Match hold")


def _refused(write: Callable[[], object]) -> bool:
    try:
        write()
    except Conflict:
        return True
    return False


def clock(there: datetime | None) -> Finding:
    """This machine's clock against the store's."""
    if there is None:
        return Finding("clock", "ok", "the store is this machine's disk")
    skew_s = (datetime.now(UTC) - there).total_seconds()
    found = f"{skew_s:+.0f} s from the store's"
    if abs(skew_s) > SKEW_FAIL_S:
        return Finding("clock", "fail", found, "set the clock (NTP); the store refuses requests signed at another time")
    if abs(skew_s) > SKEW_WARN_S:
        return Finding("clock", "warn", found, "set the clock (NTP); leases are compared by it")
    return Finding("clock", "ok", found)


def release(warehouse: Warehouse) -> Finding:
    """The release that readers see, its manifest verified."""
    now = warehouse.current()
    if not now.number:
        return Finding("release", "ok", "nothing has been published yet")
    return Finding("release", "ok", f"{now.number} of {now.created_at[:19]}, {len(now.files)} files: {now.note}")
