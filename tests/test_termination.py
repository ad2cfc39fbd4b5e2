"""SIGTERM, as Kubernetes and systemd send it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import yaml
from support.commands import PROGRAM, ROOT, sets
from support.drives import make_drive
from support.labelled import draw_dataset
from support.training import Training, wait_until, write_config

from roadscan.config import load_config
from roadscan.nightly.config import NightlyConfig
from roadscan.nightly.run import nightly_lease
from roadscan.warehouse import Warehouse


def python(program: str) -> subprocess.Popen[str]:
    """A program that prints a line once it is ready."""
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_what_cleans_up_after_an_interruption_does_so_even_where_a_second_signal_comes() -> None:
    process = python("""
import os, signal, time
from roadscan.termination import Termination
with Termination() as termination:
    try:
        print("ready", flush=True)
        time.sleep(300)
    except KeyboardInterrupt:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.2)
        print("gave it back", termination.asked, flush=True)
""")
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert (out, err, process.returncode) == ("gave it back True\n", "", 0)


def test_a_process_that_does_not_end_is_ended() -> None:
    process = python("""
import sys, time
from roadscan.termination import Termination
with Termination(grace_s=0.2):
    said = False
    while True:
        try:
            said = said or print("ready", flush=True) is None
            time.sleep(300)
        except KeyboardInterrupt:
            pass
""")
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert (err, process.returncode) == ("not ended 0.2 s after SIGTERM: ended now\n", 143)


def test_it_is_as_before_afterwards() -> None:
    process = python("""
import signal
from roadscan.termination import Termination
with Termination():
    pass
assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
assert signal.set_wakeup_fd(-1) == -1
print("ready", flush=True)
signal.pause()
""")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGTERM


@pytest.mark.slow
def test_a_night_that_is_stopped_gives_its_lease_back_says_so_and_goes_on(tmp_path: Path, detect_model: str) -> None:
    make_drive(str(tmp_path / "drives/d1"), n=400)
    config = tmp_path / "night.yaml"
    scan = {"drives": [str(tmp_path / "drives")], "model": detect_model, "shard_frames": 2, "actors": 1}
    config.write_text(yaml.safe_dump({"warehouse": str(tmp_path / "w"), "scan": scan}))
    night = ["nightly", str(config), "--date", "2026-11-01"]
    store = Warehouse(str(tmp_path / "w")).store
    process = subprocess.Popen(
        [PROGRAM, *night], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    wait_until(lambda: process.poll() is not None or any(store.keys("staging")), lambda: "nothing was committed")
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 143, out + err
    assert "stopped; run the same command again to go on" in err
    assert nightly_lease(load_config(NightlyConfig, config)).holder() is None
    (key,) = store.keys("logs")
    told = json.loads(store.read(key))
    assert (told["outcome"], told["error"]) == ("error", "it was stopped; run it again to go on")


@pytest.mark.ray
@pytest.mark.slow
def test_a_training_on_ray_that_is_stopped_leaves_nothing_running(tmp_path: Path) -> None:
    draw_dataset(tmp_path / "data", {"train": 24, "val": 2})
    write_config(tmp_path, epochs=50)
    with Training(tmp_path, *sets(**{"execution.workers": 1})) as training:
        training.wait_for_workers()
        training.process.send_signal(signal.SIGTERM)
        assert training.end() == 143, training.out + training.err
        assert training.err.splitlines()[-1] == "stopped; run the same command again to go on"
        assert "Traceback" not in training.err
        training.wait_until_nothing_runs()


@pytest.mark.slow
def test_a_scan_that_is_stopped_ends_its_processes(tmp_path: Path, detect_model: str) -> None:
    make_drive(str(tmp_path / "drive"), n=400)
    fields = {"drives": f'["{tmp_path}/drive"]', "warehouse": tmp_path / "w", "model": detect_model, "actors": 1}
    store = Warehouse(str(tmp_path / "w")).store
    process = subprocess.Popen(
        [PROGRAM, "scan", *sets(**fields, shard_frames=2)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    wait_until(lambda: process.poll() is not None or any(store.keys("staging")), lambda: "nothing was committed")
    children = psutil.Process(process.pid).children(recursive=True)
    assert children
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 143, out + err
    assert err.splitlines()[-1] == "stopped; run the same command again to go on"
    assert "Traceback" not in err
    assert psutil.wait_procs(children, timeout=60)[1] == []


def test_the_processes_of_a_pool_end_with_what_started_them() -> None:
    """A pool would wait for what it has begun, and fail over what is cancelled."""
    process = python("""
import time
from roadscan.parallel import in_processes
from roadscan.termination import Termination
with Termination():
    try:
        for _ in in_processes(time.sleep, [0.0, *[600.0] * 9], 1):
            print("ready", flush=True)
    except KeyboardInterrupt:
        print("ended", flush=True)
""")
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=100)
    assert (out, err, process.returncode) == ("ended\n", "", 0)
