"""The whole examination, and the command."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from support.commands import Command

from roadscan.demo.server import S3Server
from roadscan.doctor import Finding, Subject, detector, examine, machine
from roadscan.doctor.finding import within
from roadscan.model.bundle import load, save


def test_a_check_that_breaks_or_hangs_is_a_finding() -> None:
    def breaks() -> Finding:
        raise ZeroDivisionError("by zero")

    def hangs() -> Finding:
        time.sleep(60)
        raise AssertionError

    assert within("one", breaks).found == "ZeroDivisionError: by zero"
    assert within("one", hangs, deadline_s=0.1) == Finding(
        "one", "fail", "no answer in 0.1 s", "is the address right, and open?"
    )


def test_one_check_that_breaks_leaves_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(*_: object) -> Finding:
        raise OSError("broken")

    monkeypatch.setattr(machine, "disk", breaks)
    found = {one.check: one for one in examine(Subject(str(tmp_path)))}
    assert found["disk: Ray"].found == "OSError: broken"
    assert found["release"].status == "ok"


@pytest.mark.slow
def test_models(detect_model: str, segment_model: str, tmp_path: Path) -> None:
    assert "detect, 7 classes" in detector.model(detect_model).found
    assert "segment" in detector.model(segment_model).found
    assert "it finds objects in 8 of its own 8 images" in detector.model("demo").found
    (tmp_path / "bad.zip").write_bytes(Path(detect_model).read_bytes()[:5000])
    for name, words in (("bad.zip", "not a roadscan model file"), ("no.zip", "no such file")):
        (found,) = (one for one in examine(Subject(model=str(tmp_path / name))) if one.check == "model")
        assert (found.status, words in found.found) == ("fail", True), found


@pytest.mark.slow
def test_a_model_that_finds_nothing_in_its_own_images_does_not_detect(tmp_path: Path) -> None:
    demo = load("demo")
    blind = {
        name: tensor - 1000 if ".cv3." in name and name.endswith("2.bias") else tensor
        for name, tensor in demo.weights.items()
    }
    save(tmp_path / "blind.zip", demo.card, blind, demo.calibration)
    found = {one.check: one for one in examine(Subject(model=str(tmp_path / "blind.zip")))}
    assert found["model"].status == "fail"
    assert "it finds nothing in its own 8 images" in found["model"].found
    assert found["detector"] == Finding("detector", "ok", "finds the 3 known objects of the shipped image")


@pytest.mark.slow
@pytest.mark.s3
def test_the_command(here: Command, s3: S3Server, tmp_path: Path, detect_model: str) -> None:
    config = tmp_path / "night.yaml"
    address = f"s3://warehouse/{tmp_path.name}"
    config.write_text(f"warehouse: {address}\nscan: {{model: {tmp_path}/none.zip, drives: {address}}}\n")
    done = here("doctor", str(config), "--json")
    found = [one["check"] for one in json.loads(done.stdout)]
    assert done.returncode == 1, done.stderr
    assert found.count("clock") == 1  # of two roots in one store
    assert {one["check"] for one in json.loads(done.stdout) if one["status"] == "fail"} == {"model"}
    table = here("doctor", str(config), "--model", detect_model, COLUMNS="100")
    assert table.returncode == 0, table.stdout
    assert "If-None-Match and If-Match hold" in table.stdout
    assert max(map(len, table.stdout.splitlines())) <= 100
    assert "Traceback" not in here("doctor", str(tmp_path / "no.yaml")).stderr
