"""The doctor on this machine, and on ones that lack something."""

from __future__ import annotations

import resource
import shutil
from collections import namedtuple
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pyarrow as pa
import pytest
import torch

from roadscan.doctor import machine
from roadscan.nodes import cgroup_limits

Usage = namedtuple("Usage", "total used free")  # as shutil gives it


def test_python_and_packages() -> None:
    found = machine.python()
    assert found.status == "ok", found
    assert f"pyarrow {pa.__version__}" in found.found


def test_a_package_that_is_too_old_or_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    real = machine.version

    def version(name: str) -> str:
        if name == "shapely":
            raise PackageNotFoundError(name)
        return "2.49.0" if name == "ray" else real(name)

    monkeypatch.setattr(machine, "version", version)
    found = machine.python()
    assert found.status == "fail"
    assert "ray 2.49.0, needs >=2.60" in found.found
    assert "shapely missing" in found.found


def test_a_container_has_a_share_of_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cgroup_limits(tmp_path) == (None, None)
    (tmp_path / "cpu.max").write_text("max 100000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert cgroup_limits(tmp_path) == (None, None)
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    (tmp_path / "memory.max").write_text("2000000000\n")
    assert cgroup_limits(tmp_path) == (0.5, 2e9)
    monkeypatch.setattr(machine, "cgroup_limits", lambda: (0.5, 2e9))
    found = machine.machine()
    assert found.status == "warn"
    assert found.found.startswith("0.5 cores, 2.0 GB (the machine has")


def test_a_container_of_an_older_kernel(tmp_path: Path) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "memory").mkdir()
    (tmp_path / "cpu/cpu.cfs_quota_us").write_text("150000\n")
    (tmp_path / "cpu/cpu.cfs_period_us").write_text("100000\n")
    (tmp_path / "memory/memory.limit_in_bytes").write_text("8000000000\n")
    assert cgroup_limits(tmp_path) == (1.5, 8e9)
    (tmp_path / "cpu/cpu.cfs_quota_us").write_text("-1\n")
    assert cgroup_limits(tmp_path)[0] is None


def test_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(machine.Path, "exists", lambda _: True)
    monkeypatch.setattr(torch.version, "cuda", None)
    assert "a build for CPUs" in machine.gpu().found
    monkeypatch.setattr(torch.version, "cuda", "13.2")
    assert machine.gpu().advice.startswith("install a driver")
    assert "end with an error" in machine.gpu().advice
    monkeypatch.setattr(machine.Path, "exists", lambda _: False)
    assert machine.gpu().status == "ok"
    monkeypatch.setenv("ROADSCAN_DEVICE", "cpu")
    assert machine.gpu().found == "ROADSCAN_DEVICE is set: no job computes on a GPU"


@pytest.mark.parametrize(("free", "status"), [(50e9, "ok"), (8e9, "warn"), (1e9, "fail")])
def test_disks(free: float, status: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(100e9, 100e9 - free, free))
    found = machine.disk("disk", tmp_path / "not" / "there", "SOME_DIR")
    assert found.status == status
    assert not (tmp_path / "not").exists()
    assert (status == "ok") == ("SOME_DIR" not in found.advice)


def test_little_shared_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(64e6, 0, 64e6))  # docker's own
    assert "--shm-size" in machine.shared_memory().advice


@pytest.mark.parametrize(("hard", "status"), [(4096, "warn"), (65536, "ok"), (resource.RLIM_INFINITY, "ok")])
def test_open_files(hard: int, status: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, hard))  # Ray raises the soft one itself
    assert machine.open_files().status == status
