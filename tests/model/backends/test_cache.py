from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import sleep

import pytest

from roadscan.model.backends.cache import engine_folder, write_atomically
from roadscan.model.bundle import Bundle, ModelCard

BUNDLE = Bundle(ModelCard(task="detect", variant="n", classes=("a",)), {}, "f00d")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def test_an_engine_is_made_once_and_named_by_all_that_made_it(home: Path) -> None:
    made = []

    def make(folder: Path) -> None:
        made.append(folder)
        (folder / "model").write_text("converted")

    first = engine_folder(BUNDLE, "openvino", ("numpy",), make)
    again = engine_folder(BUNDLE, "openvino", ("numpy",), make)
    assert first == again
    assert len(made) == 1
    assert (first / "model").read_text() == "converted"
    assert first.parent == home / "roadscan" / "engines"
    import numpy as np
    import torch

    assert first.name.startswith(f"f00d-openvino-{np.__version__}-")
    assert torch.__version__.split("+")[0] in first.name


def test_a_conversion_that_fails_leaves_nothing(home: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").write_text("a part")
        raise RuntimeError("no room")

    with pytest.raises(RuntimeError, match="no room"):
        engine_folder(BUNDLE, "openvino", (), fail)
    assert [path.suffix for path in (home / "roadscan" / "engines").iterdir()] == [".lock"]
    assert engine_folder(BUNDLE, "openvino", (), lambda folder: None).is_dir()


def test_of_several_that_start_together_one_converts(home: Path) -> None:
    made = []

    def make(folder: Path) -> None:
        made.append(folder)
        sleep(0.1)

    with ThreadPoolExecutor(4) as starting:
        folders = set(starting.map(lambda _: engine_folder(BUNDLE, "openvino", (), make), range(4)))
    assert len(folders) == len(made) == 1


def test_where_nothing_can_be_kept_it_is_said_and_works(
    home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (home / "roadscan").write_text("a file in the way")
    folder = engine_folder(BUNDLE, "openvino", (), lambda folder: None)
    assert folder.is_dir()
    assert home not in folder.parents
    assert "cannot be written" in caplog.text


def test_a_verdict_appears_whole(tmp_path: Path) -> None:
    write_atomically(tmp_path / "verdict.json", b"{}")
    assert (tmp_path / "verdict.json").read_bytes() == b"{}"
    assert [path.name for path in tmp_path.iterdir()] == ["verdict.json"]
