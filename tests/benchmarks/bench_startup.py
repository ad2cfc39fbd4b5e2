"""How long until something happens: a command's help, a scan of one image; beside Ultralytics and Ray by hand.

Each is a program of its own, timed from its start to its end; the figures are medians, wall and processor seconds of
the program and all that it starts. Engines are converted once for a model: the first round does it, and is not counted.

    python tests/benchmarks/bench_startup.py [--rounds 3]
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench_scan import OFFLINE, PROGRAM, export
from support.drives import jpeg, make_drive

YOLO = (
    "from ultralytics import YOLO; list(YOLO({model!r}, task='detect').predict({image!r}, stream=True, verbose=False))"
)
RAY = "import ray; ray.init('local', log_to_driver=False, logging_level='ERROR'); ray.shutdown()"


def timed(command: list[str]) -> tuple[float, float]:
    """Wall and processor seconds of a program."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **OFFLINE})
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure in turn, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        drive, image = make_drive(f"{folder}/drive", n=1), Path(folder, "image.jpg")
        image.write_bytes(jpeg())
        export(folder, "demo")

        def scan(number: int, *settings: str) -> list[str]:
            fields = (f"drives=[{drive}]", f"warehouse={folder}/warehouse-{number}-{'-'.join(settings)}", *settings)
            return [PROGRAM, "scan", *(word for field in fields for word in ("--set", field))]

        def python(text: str) -> list[str]:
            return [sys.executable, "-c", text]

        figures: dict[str, list[tuple[float, float]]] = {}
        for number in range(arguments.rounds + 1):
            programs = {
                "roadscan --help": [PROGRAM, "--help"],
                "roadscan scan, one image, backend=auto, precision=half": scan(number, "precision=half"),
                "roadscan scan, one image, backend=torch": scan(number, "backend=torch"),
                "YOLO.predict, one image": python(YOLO.format(model=f"{folder}/model.pt", image=str(image))),
                "YOLO with its OpenVINO export, one image": python(
                    YOLO.format(model=f"{folder}/wide_openvino_model", image=str(image))
                ),
                "a local Ray cluster, started and ended": python(RAY),
            }
            for name, command in programs.items():
                figures.setdefault(name, []).append(timed(command))
    print(f"{os.cpu_count()} CPU cores, median of {arguments.rounds} rounds\n")
    print("| | wall, s | processor, s |\n| --- | --- | --- |")
    for name, pairs in figures.items():
        wall, cpu = (statistics.median(column) for column in zip(*pairs[1:], strict=True))
        print(f"| {name} | {wall:.2f} | {cpu:.2f} |")


if __name__ == "__main__":
    main()
