"""The scan against what one would write by hand: whole programs as a user starts them, on the same files, same model.

Every contender is a program of its own, timed from its start to its end, imports included, on a few images and on
several times as many. The whole run is the first time; steady work is what each further image costs, the difference of
the two. Rounds alternate. An export (once for a model) is made before, as users do.

Beneath stand the ceilings of these cores: the network alone, pixels in memory; decoding alone; and both, since on a CPU
they share the cores.

    python tests/benchmarks/bench_scan.py [--frames 243] [--times 4] [--rounds 3] [--width 1920 --height 1080]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CONFIDENCE, IOU = 0.25, 0.6
PREDICT = {"imgsz": 640, "conf": CONFIDENCE, "iou": IOU, "stream": True, "verbose": False}
PROGRAM = str(Path(sys.executable).parent / "roadscan")
OFFLINE = {"YOLO_OFFLINE": "1", "YOLO_AUTOINSTALL": "false"}


@dataclass(frozen=True)
class Work:
    """What is to be scanned.

    Attributes:
        folder: where models and results go.
        drive: the drive's folder, which has the images.
        repeats: how often each of its images is scanned.
    """

    folder: str
    drive: str
    repeats: int

    @property
    def images(self) -> list[str]:
        """Paths of the images in the drive's order, again and again."""
        return [str(path) for path in sorted(Path(self.drive, "images").iterdir())] * self.repeats

    @property
    def listed(self) -> str:
        """A file that names them, which Ultralytics reads one after the other; it would decode a list all at once."""
        path = Path(self.folder, f"images-{self.repeats}.txt")
        path.write_text("\n".join(self.images))
        return str(path)


def ultralytics(work: Work, model: str, batch: int) -> int:
    """Detections of `YOLO.predict(stream=True)` on a `.pt` or an export."""
    from ultralytics import YOLO

    network = YOLO(str(Path(work.folder, model)), task="detect")
    return sum(len(result.boxes) for result in network.predict(work.listed, batch=batch, **PREDICT))


def ray_data(work: Work) -> int:
    """Detections of Ray Data by hand: files in, one actor a core, counts out."""
    import ray

    class Predict:
        def __init__(self) -> None:
            import torch
            from ultralytics import YOLO

            torch.set_num_threads(1)
            self.network = YOLO(str(Path(work.folder, "model.pt")), task="detect")

        def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
            import cv2
            import numpy as np

            images = [cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) for data in batch["bytes"]]
            return {"n": [len(result.boxes) for result in self.network.predict(images, **PREDICT)]}

    ray.init("local", log_to_driver=False, logging_level="ERROR", runtime_env={"env_vars": OFFLINE})
    ray.data.DataContext.get_current().enable_progress_bars = False
    cores = os.cpu_count() or 1
    files = ray.data.read_binary_files(work.images, override_num_blocks=4 * cores)
    actors = ray.data.ActorPoolStrategy(size=cores)
    # Half a core each, as Ray counts: with all of them taken, the tasks that read files would wait for ever.
    found = files.map_batches(Predict, batch_size=16, compute=actors, num_cpus=0.5)
    return sum(row["n"] for row in found.iter_rows())


def roadscan(work: Work, **fields: str) -> Callable[[], int]:
    """Runs the command line; detections of its summary."""

    def run() -> int:
        out = tempfile.mkdtemp(dir=work.folder)
        drive = repeated_drive(work)
        given = {"drives": f"[{drive}]", "warehouse": out, "summary": f"{out}/summary.json",
                 "confidence": CONFIDENCE, "iou": IOU, **fields}  # fmt: skip
        words = [word for name, value in given.items() for word in ("--set", f"{name}={value}")]
        done = subprocess.run([PROGRAM, "scan", *words], capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(done.stdout + done.stderr)
        found = int(json.loads(Path(out, "summary.json").read_text())["detections"])
        shutil.rmtree(out)
        return found

    return run


def by_hand(kind: str, work: Work, *rest: object) -> Callable[[], int]:
    """Runs a peer in a process of its own; its detections."""

    def run() -> int:
        command = [sys.executable, __file__, "--one", kind, work.folder, work.drive, str(work.repeats), *map(str, rest)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **OFFLINE})
        if done.returncode:
            raise SystemExit(done.stderr)
        return int(done.stdout.splitlines()[-1])

    return run


def repeated_drive(work: Work) -> str:
    """A drive with the images of another one, each several times."""
    import pyarrow as pa

    from roadscan.storage import open_store
    from roadscan.survey.drive import read_drive, write_drive

    drive, target = read_drive(work.drive), Path(work.folder, f"drive-{work.repeats}")
    if not target.exists():
        copies = [
            drive.frames.set_column(0, drive.frames.schema.field(0), pa.array(
                [f"{name}-{number}" for name in drive.frames["frame_id"].to_pylist()]))
            for number in range(work.repeats)
        ]  # fmt: skip
        write_drive(
            open_store(str(target)), drive_id=target.name, cameras=list(drive.cameras.values()),
            frames=pa.concat_tables(copies), source="benchmark", image_root=drive.image_root,
        )  # fmt: skip
    return str(target)


def export(folder: str, model: str) -> None:
    """The model as Ultralytics' own `.pt`, and as two of its OpenVINO exports: square, and of the images' shape."""
    from roadscan.model import bundle, yolo

    loaded = bundle.load(model)
    card = loaded.card
    from ultralytics import YOLO

    for name, size in (("model", None), ("square", 640), ("wide", [384, 640])):
        network = YOLO(f"yolov8{card.variant}.yaml", task="detect")
        network.model = yolo.build("detect", card.variant, len(card.classes))
        network.model.load_state_dict(loaded.weights)
        network.model.names = dict(enumerate(card.classes))
        path = Path(folder, f"{name}.pt")
        network.save(path)
        if size:
            YOLO(str(path)).export(format="openvino", imgsz=size, dynamic=False)


def ceilings(work: Work, backend: str, precision: str) -> tuple[float, float]:
    """Images a second of the network alone, and of fetching and decoding alone, each on all cores."""
    import numpy as np

    from roadscan.model.bundle import load
    from roadscan.model.detector import Detector
    from roadscan.scan.loading import Loader
    from roadscan.survey.drive import read_drive

    drive, cores = read_drive(work.drive), os.cpu_count() or 1
    loader = Loader(threads=8, side_px=640, stride_px=32, decode="full", max_megapixels=64)
    detector = Detector(load("demo"), precision=precision, backend=backend, threads=cores)
    rows, rates = drive.frames.to_pylist(), []
    for _ in range(2):  # the first warms both up
        began = time.perf_counter()
        loaded = [one.image and one.image.pixels for one in loader.load(drive, rows, 64)]
        decoded = time.perf_counter()
        for start in range(0, len(loaded), 16):
            detector.infer(np.stack([pixels for pixels in loaded[start : start + 16] if pixels is not None]))
        rates = [len(rows) / (time.perf_counter() - decoded), len(rows) / (decoded - began)]
    return rates[0], rates[1]


def contenders(work: Work, backends: list[str]) -> dict[str, Callable[[], int]]:
    """Whom to run, by name; the first is what the others are compared with."""
    ours = {
        f"roadscan scan, {backend}, {precision}": roadscan(work, backend=backend, precision=precision)
        for backend in backends
        for precision in ("full", "half")
        if (backend, precision) != ("onnxruntime", "half")  # it has none on a CPU
    }
    return {
        "YOLO.predict(stream=True)": by_hand("ultralytics", work, "model.pt", 1),
        "YOLO + its OpenVINO export": by_hand("ultralytics", work, "square_openvino_model", 1),
        "YOLO + its OpenVINO export, imgsz=[384, 640]": by_hand("ultralytics", work, "wide_openvino_model", 1),
        "Ray Data by hand": by_hand("ray_data", work),
        **ours,
    }


def main() -> None:
    """Measure in turn, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=243)
    parser.add_argument("--times", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--width", type=int, default=1920)
    parser.add_argument("--height", type=int, default=1080)
    parser.add_argument("--model", default="demo")
    parser.add_argument("--backends", nargs="+", default=["torch", "openvino", "onnxruntime"])
    parser.add_argument("--only", help="contenders whose names have this in them, beside the first", default="")
    parser.add_argument("--one", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        kind, folder, drive, repeats, *rest = arguments.one
        work = Work(folder, drive, int(repeats))
        if kind == "ceilings":
            print(json.dumps(ceilings(work, *rest)))
        else:
            print(ray_data(work) if kind == "ray_data" else ultralytics(work, rest[0], int(rest[1])))
        return
    from roadscan.simulate import SimulationConfig, simulate

    with tempfile.TemporaryDirectory() as folder:
        road = SimulationConfig(
            seed=3, nights=1, length_km=arguments.frames / 100, width_px=arguments.width, height_px=arguments.height
        )
        (drive_id,) = simulate(folder, road).drive_ids
        drive = f"{folder}/drives/{drive_id}"
        subprocess.run(
            [sys.executable, "-c", f"import bench_scan; bench_scan.export({folder!r}, {arguments.model!r})"],
            cwd=Path(__file__).parent, check=True, stdout=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip
        works = [Work(folder, drive, repeats) for repeats in (1, arguments.times)]
        images = len(works[0].images)
        seconds: dict[str, list[tuple[float, float]]] = {}
        found: dict[str, int] = {}
        for number in range(arguments.rounds):
            both = [contenders(work, arguments.backends) for work in works]
            for name in both[0]:
                if arguments.only and arguments.only not in name and number + len(seconds):
                    continue
                times = []
                for runs in both:
                    began = time.perf_counter()
                    counted = runs[name]()
                    times.append(time.perf_counter() - began)
                    found.setdefault(name, counted)
                seconds.setdefault(name, []).append((times[0], times[1]))
                print(f"round {number + 1}: {name}: {times[0]:.1f} s, {times[1]:.1f} s", file=sys.stderr, flush=True)
        network: dict[str, list[tuple[float, float]]] = {}
        for _ in range(arguments.rounds):
            for backend in arguments.backends:
                for precision in ("full", "half") if backend != "onnxruntime" else ("full",):
                    command = [sys.executable, __file__, "--one", "ceilings", folder, drive, "1", backend, precision]
                    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1]
                    network.setdefault(f"{backend}, {precision}", []).append(tuple(json.loads(told)))
    more = images * (arguments.times - 1)
    whole = {name: statistics.median(short for short, _ in pairs) for name, pairs in seconds.items()}
    steady = {
        name: statistics.median((long - short) / more for short, long in pairs) for name, pairs in seconds.items()
    }
    base = next(iter(seconds))
    print(f"\n{images} images of {arguments.width}x{arguments.height} on disk, {os.cpu_count()} CPU cores, "
          f"median of {arguments.rounds} rounds\n")  # fmt: skip
    print("| | whole run, s | ratio | a further image, ms | img/s | ratio | detections |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name in seconds:
        print(
            f"| {name} | {whole[name]:.1f} | {whole[base] / whole[name]:.2f} | {1000 * steady[name]:.1f} | "
            f"{1 / steady[name]:.1f} | {steady[base] / steady[name]:.2f} | {found[name]} |"
        )

    print("\n| ceilings, img/s | network alone | decoding alone | both on the same cores | of it, roadscan scan |")
    print("| --- | --- | --- | --- | --- |")
    for kind, rates in network.items():
        forward, decoding = (statistics.median(column) for column in zip(*rates, strict=True))
        both_rate, ours = 1 / (1 / forward + 1 / decoding), steady.get(f"roadscan scan, {kind}")
        share = f"{1 / ours / both_rate:.2f}" if ours else "–"
        print(f"| {kind} | {forward:.1f} | {decoding:.1f} | {both_rate:.1f} | {share} |")


if __name__ == "__main__":
    main()
