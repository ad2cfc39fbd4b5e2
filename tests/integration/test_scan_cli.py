"""`roadscan scan` as a user runs it: from S3 to S3, with everything that can be wrong with a drive."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest
from support.commands import roadscan, sets
from support.drives import CAMERA, frame, jpeg, make_drive

from roadscan.demo.server import S3Server
from roadscan.model.bundle import load
from roadscan.schemas import DRIVE_FRAMES
from roadscan.storage import create_bucket, open_store
from roadscan.survey.drive import write_drive
from roadscan.warehouse import Warehouse

pytestmark = [pytest.mark.s3, pytest.mark.ray, pytest.mark.slow]


def frames_of(warehouse: str) -> dict[str, tuple[str, str | None]]:
    house = Warehouse(warehouse)
    rows = house.read(house.current(), "frames").to_pylist()
    assert len({row["frame_id"] for row in rows}) == len(rows)
    return {row["frame_id"]: (row["status"], (row["reason"] or "").partition(":")[0] or None) for row in rows}


def test_bad_frames_are_quarantined_and_the_rest_of_the_drive_is_complete(
    s3: S3Server, tmp_path: Path, detect_model: str
) -> None:
    drive = make_drive(
        f"s3://raw/{tmp_path.name}/d1",
        n=12,
        images={
            1: jpeg()[:4000],
            2: b"<html><body>404</body></html>",
            3: b"",
            4: jpeg(width=1200, height=900),
            5: None,
        },
        replace={
            6: {"lon": None, "lat": None},
            7: {"image_uri": "../other/000001.jpg"},
            8: {"image_uri": "/etc/passwd"},
        },
    )
    warehouse, summary = f"s3://warehouse/{tmp_path.name}", tmp_path / "summary.json"
    done = roadscan(
        "scan",
        *sets(
            drives=f"[{drive}]",
            warehouse=warehouse,
            model=detect_model,
            shard_frames=5,
            max_megapixels=1,
            summary=summary,
        ),
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    expected = {f"{i:06d}": ("ok", None) for i in range(12)}
    reasons = {
        1: "truncated",
        2: "not_an_image",
        3: "empty",
        4: "too_large",
        5: "missing",
        6: "no_gps",
        7: "bad_key",
        8: "bad_key",
    }
    expected |= {f"{i:06d}": ("quarantined", reason) for i, reason in reasons.items()}
    assert frames_of(warehouse) == expected
    told = json.loads(summary.read_text())
    assert (told["frames"], told["frames_ok"], told["frames_quarantined"], told["frames_failed"]) == (12, 4, 8, 0)
    assert told["reasons"] == {
        reason: list(reasons.values()).count(reason) for reason in dict.fromkeys(told["reasons"])
    }

    again = roadscan(
        "scan", *sets(drives=f"[{drive}]", warehouse=warehouse, model=detect_model, shard_frames=5, max_megapixels=1)
    )
    assert again.returncode == 0
    assert "0 drives to scan, 1 already done" in again.stdout
    assert Warehouse(warehouse).current().number == 1


def test_a_segmentation_model_scans_as_well(s3: S3Server, tmp_path: Path, segment_model: str) -> None:
    drive, warehouse = make_drive(f"s3://raw/{tmp_path.name}/d1", n=3), f"s3://warehouse/{tmp_path.name}"
    done = roadscan(
        "scan", *sets(drives=f"[{drive}]", warehouse=warehouse, model=segment_model, task="segment", confidence=0.3)
    )
    assert done.returncode == 0, done.stderr
    house = Warehouse(warehouse)
    masks = house.read(house.current(), "observations")["mask_rle"]
    assert len(masks) > 0
    assert masks.null_count == 0


def scan_of(tmp_path: Path, model: str, /, **fields: object) -> list[str]:
    drive = make_drive(str(tmp_path / "drives/d1"), n=2)
    return ["scan", *sets(**{"drives": f"[{drive}]", "warehouse": tmp_path / "warehouse", "model": model, **fields})]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"colour": "red"}, ["colour: unknown field", "batch_size"]),
        ({"task": "segment"}, ["it is for task 'detect', the job needs 'segment'"]),
        ({"model": "nowhere.zip"}, ["model nowhere.zip: no such file"]),
        ({"model": __file__}, ["not a roadscan model file", "roadscan model import"]),
        ({"drives": "[/nowhere]"}, ["no drive at /nowhere"]),
        ({"warehouse": "gs://bucket/x"}, ["scheme 'gs' is not supported"]),
    ],
)
def test_a_users_mistake_gives_a_message(
    tmp_path: Path, detect_model: str, fields: dict[str, str], words: list[str]
) -> None:
    done = roadscan(*scan_of(tmp_path, detect_model, **fields))
    assert done.returncode == 1
    assert all(word in done.stderr for word in words), done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "warehouse").exists()


def test_duplicate_frame_ids_stop_the_scan_before_it_starts(tmp_path: Path, detect_model: str) -> None:
    import pyarrow.parquet as pq

    from roadscan.storage import sha256_hex

    arguments = scan_of(tmp_path, detect_model)
    manifest = tmp_path / "drives/d1/drive.json"
    (frames,) = manifest.parent.glob("frames-*.parquet")
    table = pq.read_table(frames)
    pq.write_table(table.take([0, 0]), frames)  # by another tool than ours, which refuses to write it
    tree = json.loads(manifest.read_text())
    tree["frames"]["sha256"] = sha256_hex(frames.read_bytes())
    manifest.write_text(json.dumps(tree))
    done = roadscan(*arguments)
    assert done.returncode == 1
    assert "1 frame ids occur more than once, e.g. ['000000']" in done.stderr


def test_wrong_credentials_and_a_dead_endpoint_say_so(s3: S3Server, tmp_path: Path, detect_model: str) -> None:
    arguments = scan_of(tmp_path, detect_model, warehouse=f"s3://warehouse/{tmp_path.name}")
    denied = roadscan(*arguments, AWS_SECRET_ACCESS_KEY="wrong")
    assert denied.returncode == 1
    assert "the store refused the credentials (SignatureDoesNotMatch)" in denied.stderr
    dead = roadscan(*arguments, AWS_ENDPOINT_URL_S3="http://127.0.0.1:9")
    assert dead.returncode == 1
    assert "the endpoint does not answer" in dead.stderr
    assert "Traceback" not in denied.stderr + dead.stderr


def test_a_dry_run_starts_nothing(tmp_path: Path, detect_model: str) -> None:
    done = roadscan(*scan_of(tmp_path, detect_model), "--dry-run")
    assert done.returncode == 0
    assert "1 of 1 shards to do, 2 frames" in done.stdout
    assert "shard_frames: 512" in done.stdout
    assert not (tmp_path / "warehouse").exists()


def test_an_error_inside_an_actor_reaches_the_user(tmp_path: Path, detect_model: str) -> None:
    """The model kept in the warehouse was damaged, which only the actors see."""
    damaged = tmp_path / f"warehouse/models/{load(detect_model).sha256}.zip"
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(b"half a model")
    done = roadscan(*scan_of(tmp_path, detect_model))
    assert done.returncode == 1
    assert "the object is not the one that was committed" in done.stderr
    assert "Traceback" not in done.stderr


def test_failed_frames_are_told_and_tried_again(s3: S3Server, tmp_path: Path, detect_model: str) -> None:
    """The bucket of the images is not there; later it is."""
    bucket = f"late-{tmp_path.name.replace('_', '-')}"[:60].strip("-")
    root, warehouse = f"s3://{bucket}/images", f"s3://warehouse/{tmp_path.name}"
    table = pa.Table.from_pylist([frame(i, image_uri=f"{i}.jpg") for i in range(3)], DRIVE_FRAMES)
    write_drive(open_store(tmp_path / "d1"), drive_id="d1", cameras=[CAMERA], frames=table, source="t", image_root=root)
    arguments = ["scan", *sets(drives=f"[{tmp_path / 'd1'}]", warehouse=warehouse, model=detect_model)]
    first = roadscan(*arguments)
    assert first.returncode == 3, first.stderr
    assert "3 frames failed; run the same command again" in first.stderr
    assert {status for status, _ in frames_of(warehouse).values()} == {"failed"}
    create_bucket(bucket)
    for i in range(3):
        open_store(root).write(f"{i}.jpg", jpeg(i))
    assert roadscan(*arguments).returncode == 0
    assert {status for status, _ in frames_of(warehouse).values()} == {"ok"}


def test_a_scan_without_progress_is_ended_and_says_so(tmp_path: Path, detect_model: str) -> None:
    """A start of Ray takes seconds in which no shard can be committed."""
    drive, warehouse = make_drive(str(tmp_path / "d1"), n=2), str(tmp_path / "warehouse")
    settings = {"drives": f"[{drive}]", "warehouse": warehouse, "model": detect_model}
    done = roadscan("scan", *sets(**settings, no_progress_s=1))
    assert done.returncode == 5, done.stderr
    assert "no shard was committed for 1 s; run the same command again to go on" in done.stderr
    again = roadscan("scan", *sets(**settings))
    assert again.returncode == 0, again.stderr
    assert len(frames_of(warehouse)) == 2
