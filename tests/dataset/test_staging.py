"""Staging from a real object store: once a node, complete or not at all."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.datasets import plain
from support.written import HEIGHT, WIDTH, good, picture, put, write_coco

from roadscan.dataset.manifest import MANIFEST
from roadscan.dataset.read import read_dataset
from roadscan.dataset.split import hold_out
from roadscan.dataset.staging import dataset_digest, stage
from roadscan.demo.server import S3Server
from roadscan.errors import DatasetError, StorageError
from roadscan.storage import S3Store, open_store

#: Stages, and prints the root and how many images this very process fetched.
PROGRAM = """
import json, sys, time
from pathlib import Path
from roadscan.dataset.staging import stage
fetched = []
def on_image(done, total):
    fetched.append(done)
    time.sleep(float(sys.argv[3]))
print(json.dumps({"root": stage(sys.argv[1], Path(sys.argv[2]), on_image=on_image).root, "fetched": len(fetched)}))
"""


def start(uri: str, cache: Path, pause_s: float = 0.0) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROGRAM, uri, str(cache), str(pause_s)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.fixture
def uri(s3: S3Server, tmp_path: Path) -> str:
    """Six images of a good dataset in a bucket."""
    return good().write(f"s3://raw/{tmp_path.name}")


def copies(cache: Path) -> list[str]:
    return sorted(entry.name for entry in cache.iterdir() if entry.is_dir())


@pytest.mark.s3
def test_a_staged_dataset_is_the_dataset(uri: str, tmp_path: Path) -> None:
    put(uri, "not-used.bin", b"x")
    seen: list[tuple[int, int]] = []
    staged = stage(uri, tmp_path / "cache", on_image=lambda done, total: seen.append((done, total)))
    on_disk = read_dataset(good().write(tmp_path / "disk"))
    assert plain(staged) == plain(on_disk)
    assert seen[-1] == (6, 6)
    root = Path(staged.root)
    assert root.parent == tmp_path / "cache"
    assert (root / "images/val/val1.jpg").read_bytes() == picture(4)
    files = sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    assert files == sorted([*(image.key for images in staged.splits.values() for image in images), MANIFEST])
    assert plain(read_dataset(staged.root)) == plain(staged)
    assert dataset_digest(staged) == dataset_digest(on_disk) == dataset_digest(read_dataset(uri))


@pytest.mark.s3
def test_a_complete_copy_is_not_fetched_again(uri: str, tmp_path: Path) -> None:
    first = stage(uri, tmp_path)
    for again in (f"{uri}/", f"{uri}/data.yaml"):
        staged = stage(again, tmp_path, on_image=lambda *_: pytest.fail("fetched again"))
        assert plain(staged) == plain(first)


@pytest.mark.s3
@pytest.mark.parametrize("key", ["images/val/val1.jpg", "labels/val/val1.txt", "data.yaml", "frames.parquet"])
def test_a_dataset_that_changed_is_another(uri: str, tmp_path: Path, key: str) -> None:
    first, digest = stage(uri, tmp_path), dataset_digest(stage(uri, tmp_path))
    changed = good()
    changed.images["images/val/val1.jpg"] = picture(99)
    changed.labels["labels/val/val1.txt"] = "2 0.5 0.5 0.25 0.25\n"
    changed.names = ("sign", "pole", "kerb")
    changed.origins["images/val/val1.jpg"] = ("val-9", "night")
    other = changed.write(f"{uri}-other")
    put(uri, key, open_store(other).read(key))
    second = stage(uri, tmp_path)
    assert second.root != first.root
    assert dataset_digest(second) != digest
    assert (Path(first.root) / MANIFEST).exists()


@pytest.mark.s3
def test_processes_of_a_node_stage_once(uri: str, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    processes = [start(uri, cache, 0.05) for _ in range(3)]
    told = [json.loads(process.communicate(timeout=60)[0]) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert sorted(one["fetched"] for one in told) == [0, 0, 6]
    assert {Path(one["root"]).name for one in told} == set(copies(cache))
    assert len(copies(cache)) == 1


@pytest.mark.s3
def test_of_processes_that_wait_one_looks_at_every_file(uri: str, tmp_path: Path) -> None:
    first = stage(uri, tmp_path)
    (record,) = tmp_path.glob(".*.checked")
    ahead = json.loads(record.read_text()) | {"at_s": time.time() + 60}  # as if looked at while we waited
    record.write_text(json.dumps(ahead))
    put(uri, "data.yaml", b"[")  # who looks again is told
    assert stage(uri, tmp_path).root == first.root
    record.unlink()
    with pytest.raises(DatasetError):
        stage(uri, tmp_path)


@pytest.mark.s3
def test_a_killed_process_leaves_nothing_that_looks_complete(uri: str, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    process = start(uri, cache, 60)
    deadline = time.monotonic() + 30
    while not list(cache.glob(".*.partial/images/*/*.jpg")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    (left,) = copies(cache)
    assert left.endswith(".partial")
    staged = stage(uri, cache)
    assert copies(cache) == [Path(staged.root).name]
    assert len(list(Path(staged.root).glob("images/*/*.jpg"))) == 6


@pytest.mark.s3
@pytest.mark.parametrize("damage", ["a file is gone", "a file is short", "the manifest is damaged"])
def test_a_damaged_copy_is_staged_again(uri: str, tmp_path: Path, damage: str) -> None:
    root = Path(stage(uri, tmp_path).root)
    image = root / "images/train/train0.jpg"
    if damage == "a file is gone":
        image.unlink()
    elif damage == "a file is short":
        os.truncate(image, 100)
    else:
        (root / MANIFEST).write_bytes(b"")
    assert Path(stage(uri, tmp_path).root) == root
    assert image.read_bytes() == picture(0)


@pytest.mark.s3
def test_a_change_while_it_is_fetched_is_an_error(uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read_tagged = S3Store.read_tagged

    def late(store: S3Store, key: str, **limits: int) -> tuple[bytes, str]:
        if key == "images/val/val1.jpg":
            put(uri, key, picture(77))
        return read_tagged(store, key, **limits)

    monkeypatch.setattr(S3Store, "read_tagged", late)
    with pytest.raises(DatasetError, match=r"images/val/val1.jpg: changed while the dataset was fetched"):
        stage(uri, tmp_path)
    assert copies(tmp_path) == []


@pytest.mark.s3
@pytest.mark.parametrize(
    ("key", "data", "message"),
    [
        ("labels/train/train0.txt", b"9 0.5 0.5 0.1 0.1", "labels/train/train0.txt:1: class is 9"),
        ("images/train/train0.jpg", b"<html>", "images/train/train0.jpg: it is not an image"),
        ("data.yaml", b"{names: [a, b, c], train: list.txt}", "images/gone.jpg: there is no such image"),
    ],
)
def test_a_dataset_with_errors_is_not_staged(uri: str, tmp_path: Path, key: str, data: bytes, message: str) -> None:
    put(uri, "list.txt", b"images/gone.jpg")
    put(uri, key, data)
    with pytest.raises(DatasetError, match=message):
        stage(uri, tmp_path)
    assert copies(tmp_path) == []


@pytest.mark.s3
def test_coco_is_staged_with_its_outlines(s3: S3Server, tmp_path: Path) -> None:
    image = {"id": 1, "file_name": "a.jpg", "width": WIDTH, "height": HEIGHT, "drive_id": "d"}
    triangle = {
        "id": 1,
        "image_id": 1,
        "category_id": 2,
        "segmentation": [[1, 1, 50, 1, 1, 30], [60, 40, 70, 40, 60, 50]],
    }
    uri = f"s3://raw/{tmp_path.name}"
    for root in (uri, tmp_path / "disk"):
        write_coco(root, "val", [image], [triangle])
    staged = stage(uri, tmp_path / "cache")
    assert plain(staged) == plain(read_dataset(str(tmp_path / "disk")))
    put(uri, "images/val/a.jpg", picture(1, width=HEIGHT, height=WIDTH))
    with pytest.raises(DatasetError, match="its labels say 96x64 px"):
        stage(uri, tmp_path / "cache")


def test_a_dataset_on_a_disk_stays_where_it_is(tmp_path: Path) -> None:
    root = good().write(tmp_path / "data")
    staged = stage(root, tmp_path / "cache")
    assert staged.root == root
    assert not (tmp_path / "cache").exists()
    assert stage(f"file://{root}", tmp_path / "cache").root == root


def test_the_digest_follows_all_that_is_seen(tmp_path: Path) -> None:
    made = good(4)
    dataset = read_dataset(made.write(tmp_path / "a"))
    assert dataset_digest(dataset) == dataset_digest(read_dataset(made.write(tmp_path / "b")))
    assert len(dataset_digest(dataset)) == 64
    assert dataset_digest(hold_out(dataset, 0.5)) != dataset_digest(dataset)
    made.origins["images/val/val1.jpg"] = ("val-0", "night")
    assert dataset_digest(read_dataset(made.write(tmp_path / "c"))) != dataset_digest(dataset)


@pytest.mark.s3
def test_a_cache_that_cannot_be_written_is_told(uri: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="expected a cache folder that can be written"):
        stage(uri, tmp_path / "file")
