"""Every reader of files that others write: a good file of each kind, which is spoiled, and how it is read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from support import exports
from support.drives import frame, jpeg, make_drive
from support.trajectories import sbet, smrmsg
from support.videos import blackvue, gopro, novatek
from support.written import write_coco

from roadscan.config import load_config
from roadscan.dataset.images import Unreadable, examine
from roadscan.dataset.read import inspect
from roadscan.evaluate.register.truth import open_truth
from roadscan.inventory.config import ReferenceConfig
from roadscan.inventory.reference.linear import read_reference
from roadscan.inventory.reviews import read_reviews
from roadscan.model.bundle import read_bytes, unpack
from roadscan.model.decode import Undecodable, decode_image, image_size
from roadscan.observations.read import read_observations
from roadscan.scan.config import ScanConfig
from roadscan.storage import parquet_bytes, sha256_hex
from roadscan.survey.drive import read_drive
from roadscan.survey.importers.config import ingest_config
from roadscan.survey.importers.ingest import read_frames

LINE = {"type": "LineString", "coordinates": [[102.83, 16.43], [102.83, 16.44], [102.831, 16.45]]}
ROAD = {"route_code": "2", "section_code": "0101", "km_start": 0.0, "km_end": 2.2, "posts": [[1.0, 102.83, 16.44]]}
SIGN = {"asset_id": "s1", "class": "Information Sign"}
GPX = (
    b'<?xml version="1.0"?><gpx version="1.1" creator="x"><trk><trkseg>'
    + b"".join(
        b'<trkpt lat="%.5f" lon="102.83"><time>2026-11-01T02:00:%02dZ</time><hdop>0.8</hdop></trkpt>'
        % (16.43 + i * 1e-4, i)
        for i in range(20)
    )
    + b"</trkseg></trk></gpx>"
)


@dataclass(frozen=True)
class Reader:
    """How a kind of file is read.

    Attributes:
        name: of the kind.
        path: of the file that is spoiled.
        read: reads it where it lies.
        exact: what it says is known by a digest: it is read as it was written, or refused.
    """

    name: str
    path: Path
    read: Callable[[], object]
    exact: bool = False


def readers(root: Path) -> Iterator[Reader]:
    """Good files of every kind, written below a folder."""
    yield from _drives(root)
    yield from _sources(root)
    yield from _tables(root)
    yield from _datasets(root)
    model = _written(root / "model.zip", read_bytes("demo"))
    yield Reader("model", model, lambda: unpack(model.read_bytes(), where="model.zip"))
    config = _written(
        root / "scan.yaml", b"drives: [a, 007, s3://b/c]\nwarehouse: w\nmodel: &m demo\nconfidence: {Sign: 0.2}\n"
    )
    yield Reader("config", config, lambda: load_config(ScanConfig, config, []))
    image = _written(root / "image.jpg", jpeg())
    yield Reader("image scanned", image, lambda: _scanned(image.read_bytes()))
    yield Reader("image checked", image, lambda: _examined(image.read_bytes()))


def _drives(root: Path) -> Iterator[Reader]:
    drive = Path(make_drive(str(root / "drive"), n=4, images=dict.fromkeys(range(4))))
    yield Reader("drive.json", drive / "drive.json", lambda: read_drive(str(drive)))
    table = next(drive.glob("frames-*.parquet"))

    def with_its_digest() -> object:
        tree = json.loads((drive / "drive.json").read_bytes())
        tree["frames"]["sha256"] = sha256_hex(table.read_bytes())
        (drive / "drive.json").write_text(json.dumps(tree))
        return read_drive(str(drive))

    yield Reader("frames of a drive", table, with_its_digest)


def _sources(root: Path) -> Iterator[Reader]:
    rows = [{**frame(i), "image_uri": f"{i:06d}.jpg"} for i in range(8)]
    images = root / "photos"
    for row in rows[:3]:
        _written(images / str(row["image_uri"]), jpeg(width=160, height=90))
    names = ("image_uri", "captured_at", "lon", "lat", "heading_deg", "speed_mps", "hdop", "camera_id")
    lines = [",".join(names), *(",".join(str(row[name]) for name in names) for row in rows)]
    csv_file = _written(root / "frames.csv", "\n".join(lines).encode())
    parquet = _written(
        root / "frames.parquet", parquet_bytes(pa.Table.from_pylist([{n: r[n] for n in names} for r in rows]))
    )
    entries = [
        {
            "filename": row["image_uri"], "MAPLongitude": row["lon"], "MAPLatitude": row["lat"],
            "MAPCaptureTime": f"2026_11_01_02_00_{i:02d}_000", "MAPCompassHeading": {"TrueHeading": 1.0},
            "filetype": "image",
        }
        for i, row in enumerate(rows)
    ]  # fmt: skip
    mapillary = _written(root / "mapillary_image_description.json", json.dumps(entries).encode())
    for kind, path in (("table", csv_file), ("table", parquet), ("mapillary", mapillary)):
        yield Reader(f"{kind} {path.suffix}", path, _ingest(kind, path, images, root))
    nmea = b"".join(
        _sentence(f"GPRMC,0200{i:02d},A,1625.80{i:02d},N,10249.8000,E,38.9,000.0,011126,,,A") for i in range(9)
    )
    into_s = np.arange(20.0) + 7218  # 02:00 UTC of the Sunday that begins the week of 2026-11-01
    trajectory = sbet(into_s, 102.83 + 0 * into_s, 16.43 + np.arange(20) * 1e-4, 0 * into_s)
    pos = b"%  UTC  latitude(deg) longitude(deg) height(m) Q ns sdn(m) sde(m) sdu(m)\n" + b"".join(
        b"2026/11/01 02:00:%02d.000 %.5f 102.83 12.5 1 9 0.03 0.04 0.02\n" % (i, 16.43 + i * 1e-4) for i in range(20)
    )
    logs = {"track.gpx": GPX, "track.nmea": nmea, "sbet_1.out": trajectory, "track.pos": pos}
    sigmas = _written(root / "smrmsg_1.out", smrmsg(into_s, 0.03, 0.04, 1.2))
    given = ("clock_offset_s=0", "log_date=2026-11-01")
    for name, data in logs.items():
        track = _written(root / name, data)
        yield Reader(name, track, _ingest("track", csv_file, images, root, f"track={track}", *given))
    track = root / "sbet_1.out"
    yield Reader("smrmsg", sigmas, _ingest("track", csv_file, images, root, f"track={track}", *given))
    storage = (
        "%YAML:1.0\n---\nimage_width: 160\nimage_height: 90\ncamera_matrix: !!opencv-matrix\n   rows: 3\n   cols: 3\n"
        "   dt: d\n   data: [ 120., 0., 80., 0., 120., 45., 0., 0., 1. ]\ndistortion_coefficients: !!opencv-matrix\n"
        "   rows: 1\n   cols: 4\n   dt: d\n   data: [ -0.1, 0.02, 0.001, 0.002 ]\n"
    )
    colmap = "# CAMERA_ID, MODEL, WIDTH, HEIGHT, PARAMS[]\n1 OPENCV 160 90 120 120 80 45 -0.1 0.02 0.001 0.002\n"
    calibrations = {"cameras.txt": colmap, "camera.yaml": storage}
    for name, text in calibrations.items():
        path = _written(root / name, text.encode())
        given = f"cameras=[{{intrinsics: {path}}}]"
        yield Reader(name, path, _ingest("table", csv_file, images, root, given))
    videos = {
        "gopro": lambda path: gopro(path, 3),
        "gopro in fragments": lambda path: gopro(path, 3, movflags="frag_keyframe+empty_moov"),
        "blackvue": lambda path: blackvue(path, 3),
        "novatek": lambda path: novatek(path, 3),
    }
    for name, record in videos.items():
        video = record(root / f"{name}.mp4")
        yield Reader(name, video, _ingest("video", video, None, root, "cameras=[{hfov_deg: 90}]"))
    photo = images / "000000.jpg"
    yield Reader("exif", photo, _ingest("exif", images, None, root))


def _sentence(body: str) -> bytes:
    check = 0
    for byte in body.encode():
        check ^= byte
    return f"${body}*{check:02X}\n".encode()


def _ingest(kind: str, source: Path, images: Path | None, root: Path, *more: str) -> Callable[[], object]:
    settings = [f"images={images}"] if images else []
    config = ingest_config(kind, str(source), str(root / "out"), [*settings, "drive_id=d1", *more])
    return lambda: read_frames(config)


def _tables(root: Path) -> Iterator[Reader]:
    rows = [
        {
            "drive_id": "d1", "frame_id": f"f{i}", "captured_at": "2026-11-01T02:00:00Z", "camera_lon": 102.83,
            "camera_lat": 16.43 + i * 1e-4, "class": "Information Sign", "score": 0.9, "bearing_deg": 10.0,
            "range_m": 20.0, "range_sigma_m": 2.0, "fov_deg": 70.0,
        }
        for i in range(6)
    ]  # fmt: skip
    text = "\n".join([",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)])
    for path in (
        _written(root / "observations.csv", text.encode()),
        _written(root / "observations.parquet", parquet_bytes(pa.Table.from_pylist(rows))),
    ):
        yield Reader(path.name, path, lambda path=path: _observed(path))  # type: ignore[misc]
    reviews = pa.table(
        {"asset_id": ["s1", "s2"], "action": ["accept", "split"], "lon": [None, 102.83], "lat": [None, 16.43]}
    )
    file = _written(root / "reviews.parquet", parquet_bytes(reviews))
    yield Reader("reviews", file, lambda: read_reviews(str(file)))
    for name, of, geometry in (
        ("centrelines", ROAD, LINE),
        ("truth", SIGN, {"type": "Point", "coordinates": [102.83, 16.43]}),
    ):
        feature = {"type": "Feature", "properties": of, "geometry": geometry}
        path = _written(
            root / f"{name}.geojson", json.dumps({"type": "FeatureCollection", "features": [feature]}).encode()
        )
        if name == "truth":
            yield Reader(name, path, lambda path=path: open_truth(str(path)))  # type: ignore[misc]
        else:
            yield Reader(name, path, lambda path=path: read_reference(ReferenceConfig(uri=str(path))))  # type: ignore[misc]
    known = _written(root / "known.csv", b"asset_id,class,lon,lat\na,Bus Stop,102.83,16.43\nb,Bus Stop,102.84,16.43\n")
    yield Reader("truth.csv", known, lambda: open_truth(str(known)))


def _datasets(root: Path) -> Iterator[Reader]:
    for name in ("voc", "cvat", "bdd100k", "mapillary", "label_studio", "roboflow_voc", "roboflow_yolo"):
        folder = root / name
        getattr(exports, f"write_{name}")(folder)
        labels = sorted(path for path in folder.rglob("*") if path.suffix in (".json", ".xml", ".txt", ".yaml"))
        for path in (labels[0], labels[-1]):
            yield Reader(f"{name} {path.name}", path, lambda folder=folder: inspect(str(folder)))  # type: ignore[misc]
    coco = root / "coco"
    images = [{"id": n, "file_name": f"{n}.png", "width": 64, "height": 48} for n in range(3)]
    boxes = [{"id": n, "image_id": n, "category_id": n, "bbox": [8, 8, 20.5, 16]} for n in range(3)]
    for split in ("train", "val"):
        write_coco(coco, split, images, boxes)
    yield Reader("coco", coco / "annotations" / "instances_val.json", lambda: inspect(str(coco)))


def _scanned(data: bytes) -> object:
    try:
        return decode_image(data, image_size(data, 64))
    except Undecodable as error:
        return error


def _examined(data: bytes) -> object:
    try:
        return examine(data)
    except Unreadable as error:
        return error


def _observed(path: Path) -> Any:
    with read_observations(str(path)) as found:
        return found.summary


def _written(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path
