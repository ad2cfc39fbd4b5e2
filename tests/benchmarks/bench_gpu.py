"""What only a card can show, in one command and ten minutes: is it right, how fast is it, and what holds it back?

    python tests/benchmarks/bench_gpu.py [--minutes 10] [--out gpu.md]

In turn, each step in a process of its own, until the time is up (what was left out is said):

1. right: boxes of every backend and precision on the GPU against PyTorch in float32 on the CPU, on simulated frames;
2. the scan: images a second and the share of time in which the card computes, for YOLOv8n, s and x on 1920x1080 and
   3840x2160; beside them the two ceilings, forward alone (pixels in memory) and decoding alone (no network);
3. peers in the same run: `YOLO.predict(stream=True)` in batches and half precision, and Ray Data by hand;
4. training: seconds a step against Ultralytics' trainer, focal loss against cross-entropy (`bench_train.py`), and what
   the loader gives (`bench_loader.py`).

It needs a clean checkout with its packages, and no network: images are rendered, weights of s and x are random, which
costs the same time but for what few detections they give. ``--device cpu`` walks through all of it on a CPU with a few
images, to see that it works.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from bench_scan import OFFLINE, PREDICT, PROGRAM, Work, repeated_drive

HERE = Path(__file__).parent
SIZES = {"1080p": (1920, 1080), "8 MP": (3840, 2160)}
RENDERED = 48  # images of each size; a scan reads them again and again
BATCH = 16
FORWARD_S = 5.0


@dataclass(frozen=True)
class Scale:
    """How much is done.

    Attributes:
        device: cuda or cpu.
        images: of a scan, by variant.
        rendered: different images.
        forward_s: for which the network runs alone.
        train: further arguments of `bench_train.py`.
    """

    device: str
    images: dict[str, int]
    rendered: int
    forward_s: float
    train: tuple[str, ...]


CARD = Scale("cuda", {"n": 6000, "s": 4000, "x": 1500}, RENDERED, FORWARD_S,
             ("--steps", "40", "--rounds", "1", "--size", "640", "--batch", "32"))  # fmt: skip
WALK = Scale("cpu", {"n": 160}, 10, 0.5, ("--steps", "2", "--rounds", "1", "--size", "160", "--batch", "2"))


def models(folder: Path, scale: Scale) -> None:
    """The demo model as n; s and x with its classes and random weights."""
    import torch

    from roadscan.model import bundle, yolo

    demo = bundle.load("demo")
    for variant in scale.images:
        torch.manual_seed(0)
        weights = demo.weights if variant == "n" else yolo.build("detect", variant, len(demo.card.classes)).state_dict()
        bundle.save(folder / f"{variant}.zip", demo.card.model_copy(update={"variant": variant}), weights,
                    demo.calibration)  # fmt: skip


def ultralytics_model(folder: Path, variant: str) -> None:
    """The same as Ultralytics' own file."""
    from roadscan.model import bundle, yolo

    loaded = bundle.load(str(folder / f"{variant}.zip"))
    from ultralytics import YOLO

    network = YOLO(f"yolov8{variant}.yaml", task="detect")
    network.model = yolo.build("detect", variant, len(loaded.card.classes))
    network.model.load_state_dict(loaded.weights)
    network.model.names = dict(enumerate(loaded.card.classes))
    network.save(folder / f"{variant}.pt")


def right(folder: Path, scale: Scale) -> str:
    """A table of backends on the device against PyTorch in float32 on the CPU."""
    import numpy as np

    from roadscan.errors import RoadscanError
    from roadscan.model import bundle
    from roadscan.model.backends.agreement import SCORE_TOLERANCE, compare
    from roadscan.model.decode import decode, image_size, plan_letterbox
    from roadscan.model.detector import Detector

    loaded = bundle.load(str(folder / "n.zip"))
    files = sorted((folder / "1080p").rglob("*.jpg"))[:RENDERED]
    data = [file.read_bytes() for file in files]
    images = np.stack([decode(one, plan_letterbox(image_size(one, 64), 640, 32)) for one in data])
    lowest = loaded.card.confidence - SCORE_TOLERANCE
    truth = Detector(loaded, device="cpu", confidence=lowest).infer(images)
    lines = ["| backend | precision | agreement with PyTorch float32 on the CPU |", "| --- | --- | --- |"]
    for backend in ("torch", "tensorrt") if scale.device == "cuda" else ("torch", "openvino", "onnxruntime"):
        for precision in ("full", "half"):
            try:
                detector = Detector(
                    loaded, device=scale.device, confidence=lowest, precision=precision, backend=backend
                )
                found = compare(truth, detector.infer(images), loaded.card.confidence)
                told = found.figures
            except RoadscanError as error:
                told = str(error)
            lines.append(f"| {backend} | {precision} | {told} |")
    return "\n".join(lines)


def forward_alone(folder: Path, variant: str, scale: Scale) -> float:
    """Images a second of upload, network and suppression, pixels in memory, called from three threads."""
    import numpy as np

    from roadscan.model import bundle
    from roadscan.model.detector import Detector

    detector = Detector(bundle.load(str(folder / f"{variant}.zip")), device=scale.device, precision="half")
    images = np.random.default_rng(0).integers(0, 256, (BATCH, 384, 640, 3), np.uint8)
    for _ in range(3):
        detector.infer(images)
    end = time.perf_counter() + scale.forward_s

    def work(_: int) -> int:
        done = 0
        while time.perf_counter() < end:
            done += len(detector.infer(images))
        return done

    began = time.perf_counter()
    with ThreadPoolExecutor(3) as pool:
        return sum(pool.map(work, range(3))) / (time.perf_counter() - began)


def decoding_alone(drive: str, share: int, shares: int) -> float:
    """Seconds in which one process of several fetches and decodes its share of a drive."""
    from roadscan.scan.loading import Loader
    from roadscan.survey.drive import read_drive

    read = read_drive(drive)
    threads = max(4 * (os.cpu_count() or 1) // shares, 8)
    loader = Loader(threads=threads, side_px=640, stride_px=32, decode="full", max_megapixels=64)
    began = time.perf_counter()
    for _ in loader.load(read, read.frames.to_pylist()[share::shares], 64):
        pass
    return time.perf_counter() - began


def predict(folder: Path, drive: str, repeats: int, variant: str, scale: Scale) -> tuple[int, float]:
    """Images and seconds of `YOLO.predict`, after a first image."""
    from ultralytics import YOLO

    work = Work(str(folder), drive, repeats)
    settings = {**PREDICT, "device": 0 if scale.device == "cuda" else "cpu", "half": scale.device == "cuda"}
    network = YOLO(str(folder / f"{variant}.pt"), task="detect")
    list(network.predict(work.images[0], **settings))
    began = time.perf_counter()
    count = sum(1 for _ in network.predict(work.listed, batch=BATCH, **settings))
    return count, time.perf_counter() - began


def ray_data(folder: Path, drive: str, repeats: int, variant: str, scale: Scale) -> tuple[int, float]:
    """Images and seconds of Ray Data by hand, after its first batch: read, decode in tasks, two actors a GPU."""
    import ray

    on_card = scale.device == "cuda"

    def decode(row: dict[str, Any]) -> dict[str, Any]:
        import cv2
        import numpy as np

        return {"image": cv2.imdecode(np.frombuffer(row["bytes"], np.uint8), cv2.IMREAD_COLOR)}

    class Predict:
        def __init__(self) -> None:
            from ultralytics import YOLO

            self.network = YOLO(str(folder / f"{variant}.pt"), task="detect")

        def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
            settings = {**PREDICT, "device": 0 if on_card else "cpu", "half": on_card}
            found = [len(result.boxes) for result in self.network.predict(list(batch["image"]), **settings)]
            return {"n": found, "at_s": [time.time()] * len(found)}

    ray.init("local", log_to_driver=False, logging_level="ERROR", runtime_env={"env_vars": OFFLINE})
    ray.data.DataContext.get_current().enable_progress_bars = False
    images = Work(str(folder), drive, repeats).images
    actors = ray.data.ActorPoolStrategy(size=2 if on_card else 1)
    files = ray.data.read_binary_files(images, override_num_blocks=max(len(images) // 64, 2)).map(decode)
    found = files.map_batches(Predict, batch_size=BATCH, compute=actors, num_gpus=0.5 if on_card else 0, num_cpus=1)
    ends_s = sorted(row["at_s"] for row in found.iter_rows())
    later = sum(1 for end_s in ends_s if end_s > ends_s[0])
    return later, ends_s[-1] - ends_s[0]


@contextmanager
def watched(scale: Scale) -> Iterator[Callable[[], str]]:
    """Looks at the card while the block runs; gives the share of time in which it computed, as its driver counts it."""
    samples: list[int] = []
    done = threading.Event()

    def look() -> None:
        import pynvml

        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByIndex(0)
        while not done.wait(0.1):
            samples.append(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu)

    thread = threading.Thread(target=look, daemon=True)
    if scale.device == "cuda":
        thread.start()

    def busy() -> str:
        working = [one for one in samples if one]  # without the start of processes
        return f"{sum(working) / len(working):.0f} %" if working else "–"

    yield busy
    done.set()
    if scale.device == "cuda":
        thread.join()


def scanned(folder: Path, model: str, work: Work, scale: Scale) -> tuple[float, str]:
    """Images a second of `roadscan scan` between its first and its last commit; and how busy the card was."""
    with tempfile.TemporaryDirectory(dir=folder) as out, watched(scale) as busy:
        fields = {"drives": f"[{repeated_drive(work)}]", "warehouse": out, "model": folder / f"{model}.zip",
                  "precision": "half", "shard_frames": 128 if scale.device == "cuda" else 4}  # fmt: skip
        words = [word for name, value in fields.items() for word in ("--set", f"{name}={value}")]
        done = subprocess.run([PROGRAM, "scan", *words], capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stdout + done.stderr)
        commits = sorted(Path(out).glob("staging/*/*.json"), key=lambda path: path.stat().st_mtime_ns)
        seconds = (commits[-1].stat().st_mtime_ns - commits[0].stat().st_mtime_ns) / 1e9
        return sum(json.loads(path.read_text())["ok"] for path in commits[1:]) / seconds, busy()


class Report:
    """The pages so far, and how much time is left."""

    def __init__(self, minutes: float, out: Path) -> None:
        self._end, self._out, self._text = time.monotonic() + 60 * minutes, out, ""

    def say(self, text: str) -> None:
        """Print, and keep."""
        print(text, flush=True)
        self._text += f"{text}\n"
        self._out.write_text(self._text)

    def step(self, name: str, run: Callable[[float], str]) -> None:
        """Do a step in the time that is left; what goes wrong in it is told, and the next one has its turn."""
        left = self._end - time.monotonic()
        try:
            self.say(run(left) if left > 0 else f"{name}: left out, the time was up")
        except subprocess.TimeoutExpired:
            self.say(f"{name}: stopped, the time was up")
        except (RuntimeError, subprocess.CalledProcessError) as error:
            self.say(f"{name}: failed: {error}")


def apart(function: str, *arguments: object, timeout_s: float) -> Any:
    """Call a function of this module in a process of its own; what it returns."""
    command = [sys.executable, __file__, "--one", function, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False,
                          env={**os.environ, **OFFLINE})  # fmt: skip
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return json.loads(done.stdout.splitlines()[-1])


def one(function: str, *words: str) -> Any:
    """The other side of `apart`."""
    scale = CARD if words[-1] == "cuda" else WALK
    folder = Path(words[0])
    if function == "models":
        models(folder, scale)
        for variant in scale.images:
            ultralytics_model(folder, variant)
        return None
    if function == "right":
        return right(folder, scale)
    if function == "forward":
        return forward_alone(folder, words[1], scale)
    if function == "decode":
        return decoding_alone(words[0], int(words[1]), int(words[2]))
    peer = {"predict": predict, "ray_data": ray_data}[function]
    return peer(folder, words[1], int(words[2]), words[3], scale)


def decode_rate(drive: str, images: int, scale: Scale, timeout_s: float) -> float:
    """Images a second that all cores fetch and decode, in as many processes as a scan would have."""
    from roadscan.scan.config import ScanConfig
    from roadscan.scan.placement import place
    from roadscan.scan.processes import this_machine

    shares = place(ScanConfig(drives=("d",), warehouse="w"), [this_machine()], 1000).actors
    with ThreadPoolExecutor(shares) as pool:
        runs = pool.map(
            lambda share: apart("decode", drive, share, shares, scale.device, timeout_s=timeout_s), range(shares)
        )
        return images / max(runs)


def main() -> None:
    """Walk through the steps."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--out", type=Path, default=Path("gpu.md"))
    parser.add_argument("--one", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(one(*arguments.one)))
        return
    from roadscan.model.device import Cuda, device_name
    from roadscan.simulate import SimulationConfig, simulate

    scale = CARD if arguments.device == "cuda" else WALK
    if scale.device == "cuda" and not Cuda.here().names:
        raise SystemExit("no GPU that PyTorch can use; --device cpu walks through it on a CPU")
    report = Report(arguments.minutes, arguments.out)
    report.say(f"{device_name(scale.device)}, {os.cpu_count()} cores, torch {Cuda.here().torch}\n")
    with tempfile.TemporaryDirectory() as name:
        folder, drives = Path(name), {}
        for size, (width, height) in SIZES.items():
            road = SimulationConfig(seed=3, nights=1, length_km=scale.rendered / 100, width_px=width, height_px=height)
            (drive_id,) = simulate(str(folder / size), road).drive_ids
            drives[size] = f"{folder}/{size}/drives/{drive_id}"
        apart("models", folder, scale.device, timeout_s=120)
        report.step("right", lambda left: apart("right", folder, scale.device, timeout_s=left) + "\n")
        report.say("| model | images | scan, img/s | card busy | forward alone | decoding alone | predict, batch 16 "
                   "| Ray Data by hand |\n| --- | --- | --- | --- | --- | --- | --- | --- |")  # fmt: skip
        for variant, count in scale.images.items():
            for size, drive in drives.items():
                repeats = max(count // len(Work(name, drive, 1).images), 1)
                report.step(
                    f"YOLOv8{variant}, {size}",
                    lambda left, v=variant, s=size, d=drive, r=repeats: compared(folder, v, s, d, r, scale, left),
                )
        for script, words in (("bench_train.py", scale.train), ("bench_loader.py", ())):
            report.step(script, lambda left, s=script, w=words: other(s, w, left))


def compared(folder: Path, variant: str, size: str, drive: str, repeats: int, scale: Scale, left_s: float) -> str:
    """One row: the scan, its ceilings, its peers; peers of the smallest model see all images, of others a part."""
    work = Work(str(folder / size), drive, repeats)
    count = len(work.images)
    rate, busy = scanned(folder, variant, work, scale)
    forward = apart("forward", folder, variant, scale.device, timeout_s=left_s)
    decoding = decode_rate(repeated_drive(work), count, scale, left_s)
    few = max(repeats // 4, 1)
    peers = [
        apart(peer, folder, drive, few, variant, scale.device, timeout_s=left_s) for peer in ("predict", "ray_data")
    ]
    by_hand = " | ".join(
        f"{images / seconds:.0f} ({rate * seconds / images:.2f}x)" if images else "– (one batch)"
        for images, seconds in peers
    )
    return f"| {variant} | {count} of {size} | {rate:.0f} | {busy} | {forward:.0f} | {decoding:.0f} | {by_hand} |"


def other(script: str, words: tuple[str, ...], left_s: float) -> str:
    """What another benchmark prints."""
    done = subprocess.run([sys.executable, str(HERE / script), *words], capture_output=True, text=True, timeout=left_s,
                          check=False)  # fmt: skip
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return f"\n{script} {' '.join(words)}\n\n{done.stdout}"


if __name__ == "__main__":
    main()
