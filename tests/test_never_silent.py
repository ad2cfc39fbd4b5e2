"""Every command, given nothing, something else, or a store that refuses or is silent: an exit code and a line."""

from __future__ import annotations

import dataclasses
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyarrow as pa
import pytest
import typer
from PIL import Image
from support.centrelines import NORTH, write
from support.commands import Command, roadscan, sets
from support.world import World, commit, drive, make_world

from roadscan import storage
from roadscan.cli import app
from roadscan.inventory.build import DriveTables
from roadscan.warehouse import Warehouse

#: Of each command, where `IN` is what it is given, and `OUT` a folder to write to.
COMMANDS = {
    "ablate": [*sets(**{"train.data": "IN", "ablations": "OUT"})],
    "changes": ["IN"],
    "compare": ["demo", "demo-segment", "--data", "IN"],
    "dataset check": ["IN"],
    "doctor": ["--model", "IN"],
    "evaluate": ["demo", "IN"],
    "explain": ["IN", "X"],
    "export": ["IN", "OUT/a.gpkg"],
    "ingest": ["exif", "IN", "--out", "OUT"],
    "inventory": [*sets(warehouse="IN")],
    "inventory --observations": ["IN", "--out", "OUT"],
    "migrate": ["IN"],
    "model bench": ["IN"],
    "model calibrate": ["IN", "OUT", "OUT/model.zip"],
    "model export": ["IN", "--to", "onnx", "OUT/model.onnx"],
    "model import": ["IN", "OUT/model.zip"],
    "model show": ["IN"],
    "nightly": [*sets(**{"scan.drives": '["IN"]', "scan.model": "demo", "warehouse": "OUT"}), "--date", "2026-11-01"],
    "query": ["IN", "SELECT 1 FROM assets"],
    "releases diff": ["IN", "1", "2"],
    "releases list": ["IN"],
    "releases restore": ["IN", "1"],
    "releases show": ["IN", "1"],
    "report": ["IN", "--out", "OUT"],
    "scan": [*sets(drives='["IN"]', warehouse="OUT", model="demo")],
    "score": ["IN", "IN"],
    "simulate": ["IN/file/below", "--km", "0.1", "--nights", "1"],
    "train": [*sets(data="IN", runs="OUT")],
    "tune": [*sets(**{"train.data": "IN", "space": "{loss.gamma: [0, 1]}", "sweeps": "OUT"})],
    "vacuum": ["IN"],
    "view": ["IN", "--export", "OUT"],
}
NOTHING_TO_GIVE = {"config", "demo"}  # they read nothing
LOCAL = {"model import", "simulate"}  # which read this machine's disk alone, or write where nothing hinders them


def leaves(command: object, name: str = "") -> Iterator[str]:
    """The names of all commands of the program."""
    for word, one in getattr(command, "commands", {}).items():
        yield from leaves(one, f"{name} {word}".strip())
    if not hasattr(command, "commands"):
        yield name


def test_no_command_is_left_out() -> None:
    there = set(leaves(typer.main.get_command(app)))
    assert there == {name for name in COMMANDS if "--" not in name} | NOTHING_TO_GIVE


@pytest.fixture(scope="module")
def refusing() -> Iterator[str]:
    """The address of a store that refuses everyone."""

    class Refuse(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(403)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_PUT = do_POST = do_HEAD = do_DELETE = do_GET  # noqa: N815 - as the library calls them

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Refuse) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def silent() -> Iterator[str]:
    """The address of a store that takes every connection, and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def given(what: str, folder: Path) -> str:
    """An input of a kind."""
    if what in ("refused", "never answered"):
        return "s3://bucket/given"
    path = folder / "given"
    if what == "empty":
        path.mkdir()
    elif what == "of something else":
        path.write_bytes(b"\x00\x01 no such format \xff" * 9)
    return str(path)


ACCESS = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "us-east-1"}


@pytest.mark.parametrize("what", ["empty", "missing", "of something else", "refused", "never answered"])
@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_that_gets_nothing_usable_says_so(
    here: Command, tmp_path: Path, refusing: str, silent: str, monkeypatch: pytest.MonkeyPatch, name: str, what: str
) -> None:
    if name in LOCAL and (name, what) != ("simulate", "of something else"):
        pytest.skip("nothing hinders it")
    words = {"IN": given(what, tmp_path), "OUT": str(tmp_path / "out")}
    arguments = [*name.split(), *COMMANDS[name]]
    for old, new in words.items():
        arguments = [one.replace(old, new) if old in one.split("=")[-1] else one for one in arguments]
    if what == "never answered":
        for limit, seconds in {"READ_TIMEOUT_S": 0.1, "CONNECT_TIMEOUT_S": 0.1, "TRIES": 1}.items():
            monkeypatch.setattr(storage, limit, seconds)
    store = silent if what == "never answered" else refusing
    done = here(*arguments, AWS_ENDPOINT_URL_S3=store, **ACCESS)
    assert done.returncode in (1, 2, 3), done.stdout
    told = done.stderr + done.stdout
    assert "Traceback" not in told
    assert words["IN"] in "".join(told.split())  # so it is the input that is told of, and nothing before it
    assert "does not answer" in told or what != "never answered"
    if done.returncode != 1 or name not in ("doctor", "nightly"):  # whose findings and summaries are on the other
        assert done.stderr.strip(), done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "lacking"),
    [
        (
            ["inventory", *sets(**{"warehouse": "s3://bucket/w", "execution.no_progress_s": 1})],
            "no drive was read, no tile built",
        ),
        (["ingest", "exif", "s3://bucket/raw", "--out", "s3://bucket/d1", *sets(no_progress_s=1)], "no frame was read"),
    ],
)
def test_what_makes_no_progress_is_ended_and_says_so(silent: str, arguments: list[str], lacking: str) -> None:
    done = roadscan(*arguments, AWS_ENDPOINT_URL_S3=silent, **ACCESS)
    assert done.returncode == 5, done.stderr
    assert f"error: {lacking} for 1 s; run the same command again to go on" in done.stderr


@pytest.fixture
def world() -> World:
    return make_world(seed=3, length_m=300.0)


def with_column(tables: DriveTables, name: str, value: object) -> DriveTables:
    """A drive whose frames and observations all have one value there, as far as they have the column."""
    changed = {}
    for kind in ("frames", "observations"):
        rows = getattr(tables, kind)
        if name in rows.column_names:
            index, field = rows.column_names.index(name), rows.schema.field(name)
            rows = rows.set_column(index, field, pa.array([value] * rows.num_rows, field.type))
        changed[kind] = rows
    return dataclasses.replace(tables, **changed)


def test_a_drive_of_which_no_frame_can_be_used_is_written_and_told(here: Command, tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    Image.new("RGB", (64, 48)).save(tmp_path / "raw/a.jpg")  # without a place or a time
    camera = ["--set", "cameras=[{camera_id: front, hfov_deg: 60}]"]
    done = here("ingest", "exif", str(tmp_path / "raw"), "--out", str(tmp_path / "drive"), *camera)
    assert done.returncode == 3, done.stderr
    assert "none of its 1 frames can be used: 1 " in done.stderr
    assert (tmp_path / "drive/drive.json").exists()


def test_detections_without_bearings_are_told(here: Command, tmp_path: Path, world: World) -> None:
    warehouse = Warehouse(str(tmp_path / "w"))
    commit(warehouse, with_column(drive(world, 0), "bearing_deg", None), drive(world, 1))
    done = here("inventory", *sets(warehouse=tmp_path / "w"))
    assert done.returncode == 3, done.stderr
    assert "detections of night-01 has a bearing" in done.stderr
    assert warehouse.read(warehouse.current(), "assets").num_rows  # of the other drive


def test_a_register_without_any_asset_is_told(here: Command, tmp_path: Path, world: World) -> None:
    commit(Warehouse(str(tmp_path / "w")), drive(world, 0, recall=0.0, false_per_frame=0.0))
    done = here("inventory", *sets(warehouse=tmp_path / "w"))
    assert (done.returncode, "has no asset" in done.stderr) == (3, True), done.stderr


def test_a_reference_that_is_no_longer_given_is_told_once(here: Command, tmp_path: Path, world: World) -> None:
    commit(Warehouse(str(tmp_path / "w")), drive(world, 0))
    roads = write(tmp_path, NORTH)
    known = sets(warehouse=tmp_path / "w")
    assert here("inventory", *known, *sets(**{"reference.uri": roads})).returncode == 0
    done = here("inventory", *known)
    assert (done.returncode, "no kilometres any more" in done.stderr) == (3, True), done.stderr
    assert here("inventory", *known).returncode == 0


def test_images_that_a_store_refuses_are_not_told_as_gone(
    here: Command, tmp_path: Path, refusing: str, world: World
) -> None:
    seen = drive(world, 0)
    commit(Warehouse(str(tmp_path / "w")), with_column(seen, "image_uri", "s3://bucket/a.jpg"))
    assert here("inventory", *sets(warehouse=tmp_path / "w")).returncode == 0
    report = ["report", str(tmp_path / "w"), "--out", str(tmp_path / "out"), *sets(frames=1, crops=0)]
    done = here(*report, AWS_ENDPOINT_URL_S3=refusing, **ACCESS)
    assert done.returncode == 3, done.stderr
    assert "1 of the 1 images could not be read, and are grey: s3://bucket/a.jpg: the store refused" in done.stderr
