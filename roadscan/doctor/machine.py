"""This machine: Python and packages, cores, memory, GPUs, disks, limits."""

from __future__ import annotations

import os
import platform
import resource
import shutil
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from roadscan.doctor.finding import Finding
from roadscan.model.device import OVERRIDE, has_driver
from roadscan.nodes import cgroup_limits

LEAST_MEMORY = 4e9  # bytes, to start Ray and load a model beside it
LEAST_DISK = 10e9  # bytes
RAY_DISK_SHARE = 0.05  # Ray spills nothing on a disk that is 95 % full (its local_fs_capacity_threshold)
RAY_OBJECT_SHARE = 0.3  # of the memory, which Ray gives to objects in /dev/shm
LEAST_FILES = 8192  # open files, as Ray recommends; up to 65536 it raises its own limit to the hard one
NAMED = ("ray", "torch", "ultralytics-opencv-headless", "pyarrow")  # the others are named where they are too old
REFUSED = "until then jobs that are given it end with an error: ask for no GPUs, or set ROADSCAN_DEVICE=cpu"


def python() -> Finding:
    """The interpreter, and the packages against what roadscan asks for."""
    try:
        needed = [Requirement(line) for line in requires("roadscan") or ()]
        pythons = SpecifierSet(metadata("roadscan")["Requires-Python"])
    except PackageNotFoundError:
        return Finding("python", "warn", f"{platform.python_version()}; roadscan is not installed", "pip install .")
    wrong = [] if platform.python_version() in pythons else [f"Python {platform.python_version()}, needs {pythons}"]
    for one in needed:
        if one.marker is None or one.marker.evaluate({"extra": ""}):
            try:
                have = version(one.name)
            except PackageNotFoundError:
                have = "missing"
            if have == "missing" or not one.specifier.contains(have, prereleases=True):
                wrong.append(f"{one.name} {have}, needs {one.specifier}")
    if wrong:
        return Finding("python", "fail", "; ".join(wrong), "install roadscan again with its requirements")
    versions = ", ".join(f"{name.partition('-')[0]} {version(name)}" for name in NAMED)
    return Finding("python", "ok", f"{platform.python_version()}, roadscan {version('roadscan')}, {versions}")


def machine() -> Finding:
    """Cores and memory that this process may use: the machine's, or a container's share of them."""
    cores: float = len(os.sched_getaffinity(0))
    memory: float = _memory()
    quota, limit = cgroup_limits()
    whole = f"{cores:g} cores, {memory / 1e9:.1f} GB"
    found = f"{min(cores, quota or cores):g} cores, {min(memory, limit or memory) / 1e9:.1f} GB"
    found += "" if found == whole else f" (the machine has {whole})"
    if min(memory, limit or memory) < LEAST_MEMORY:
        return Finding("machine", "warn", found, f"give it {LEAST_MEMORY / 1e9:.0f} GB; what needs more is killed")
    return Finding("machine", "ok", found)


def _memory() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def gpu() -> Finding:
    """GPUs that torch can use; each one computes something, which a build for other GPUs cannot."""
    import torch

    if os.environ.get(OVERRIDE):
        return Finding("gpu", "warn", f"{OVERRIDE} is set: no job computes on a GPU", f"unset {OVERRIDE}")
    if torch.cuda.is_available():
        names = []
        for number in range(torch.cuda.device_count()):
            torch.ones(8, device=f"cuda:{number}").sum().item()
            memory = torch.cuda.get_device_properties(number).total_memory
            names.append(f"{torch.cuda.get_device_name(number)} with {memory / 1e9:.0f} GB")
        return Finding("gpu", "ok", f"{', '.join(names)}; CUDA {torch.version.cuda}")
    if has_driver() and torch.version.cuda is None:
        found = f"a GPU, but torch {torch.__version__} is a build for CPUs"
        return Finding("gpu", "warn", found, f"install torch's CUDA build; {REFUSED}")
    if has_driver():
        found = f"a GPU that torch {torch.__version__} cannot use (CUDA {torch.version.cuda})"
        return Finding("gpu", "warn", found, f"install a driver for that CUDA; {REFUSED}")
    return Finding("gpu", "ok", "none; jobs are computed on CPU cores, slower")


def disks(cache_dir: str) -> Iterator[tuple[str, Path, str]]:
    """Arguments of `disk`: where Ray spills, where a warehouse's files are kept, where datasets are staged."""
    yield "disk: Ray", Path(os.environ.get("RAY_TMPDIR", "/tmp")) / "ray", "RAY_TMPDIR"  # noqa: S108
    yield "disk: cache", Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "roadscan", "XDG_CACHE_HOME"
    yield "disk: datasets", Path(cache_dir), "execution.cache_dir"


def disk(check: str, folder: Path, setting: str) -> Finding:
    """Room in a folder, which need not be there yet; `setting` is what puts it elsewhere."""
    folder = folder.expanduser()
    there = next(path for path in (folder, *folder.resolve().parents) if path.exists())
    usage = shutil.disk_usage(there)
    found = f"{folder}: {usage.free / 1e9:.0f} GB free of {usage.total / 1e9:.0f}"
    advice = f"make room, or set {setting} to another disk"
    if not os.access(there, os.W_OK | os.X_OK):
        return Finding(check, "fail", f"{folder}: {there} cannot be written", f"set {setting}, or mend its permissions")
    if usage.free < RAY_DISK_SHARE * usage.total:
        return Finding(check, "fail", f"{found}; Ray takes it for full", advice)
    return Finding(check, "ok", found) if usage.free >= LEAST_DISK else Finding(check, "warn", found, advice)


def shared_memory() -> Finding:
    """Room for Ray's objects and for what a training's loaders hand over."""
    size = shutil.disk_usage("/dev/shm").total  # noqa: S108
    wanted = RAY_OBJECT_SHARE * min(_memory(), cgroup_limits()[1] or _memory())
    found = f"{size / 1e9:.1f} GB"
    if size < wanted:
        advice = f"give the container {wanted / 1e9:.1f} GB (docker: --shm-size); else Ray's objects lie on the disk"
        return Finding("shared memory", "warn", found, advice)
    return Finding("shared memory", "ok", found)


def open_files() -> Finding:
    """How many files a process may have open: Ray keeps one for every worker and client."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= hard < LEAST_FILES:
        return Finding("open files", "warn", f"at most {hard}", f"ulimit -Hn {LEAST_FILES} or more before starting Ray")
    return Finding("open files", "ok", "no limit" if hard < 0 else f"at most {hard}")
