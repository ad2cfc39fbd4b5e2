"""What losses are worth on real photographs: same network, images, order, budget; several seeds; intervals.

`roadscan ablate` trains YOLOv8n with every loss and every seed on windows of 320 px, cut from GTSDB's training images
at their own resolution, so that a sign of 38 px stays one; then every model looks at whole photographs, 1344 px wide,
that no training saw. All losses are told of, and none was chosen by what is scored. The same command goes on where it
stopped.

    python tests/benchmarks/bench_ablation.py OUT --data GTSDB --initial yolov8n-coco.safetensors
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.windows import WINDOW_PX, cut_windows

from roadscan.ablate.run import RUNS_TABLE

WHOLE_PX = 1344
LOSSES: dict[str, dict[str, Any]] = {
    "cross-entropy": {"gamma": 0},
    "gfl 1": {"gamma": 1, "scale_gain": True},
    "gfl 2": {"gamma": 2, "scale_gain": True},
    "varifocal": {"kind": "varifocal", "gamma": 2, "alpha": 0.75},
}


def ablation(arguments: argparse.Namespace, out: Path) -> dict[str, Any]:
    """The config of the ablation."""
    return {
        "name": "losses",
        "ablations": str(out),
        "train": {
            "data": str(out / "windows"), "initial": arguments.initial, "image_size_px": WINDOW_PX, "batch": 16,
            "epochs": arguments.epochs, "validate_every": arguments.epochs,
            "augment": {"mosaic": 0, "fliplr": 0, "scale": 0.5},  # a mirrored sign is another sign
            "optimiser": {"lr": 1e-3, "warmup_epochs": 0.5},
            "execution": {"cpus_per_worker": 1, "loader_workers": 0},
        },
        "variants": ["n"],
        "losses": LOSSES,
        "seeds": list(range(arguments.seeds)),
        "max_concurrent": arguments.jobs,
    }  # fmt: skip


def main() -> None:
    """Cut, train, look at whole photographs, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", help="folder for the windows and the trainings")
    parser.add_argument("--data", required=True, help="GTSDB, labelled")
    parser.add_argument("--initial", help="weights to start from")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, help="trainings at once")
    arguments = parser.parse_args()
    out = Path(arguments.out).resolve()
    if not (out / "windows" / "data.yaml").exists():
        cut_windows(arguments.data, out / "windows")
    config = out / "ablate.yaml"
    config.write_text(yaml.safe_dump(ablation(arguments, out), sort_keys=False))
    roadscan("ablate", str(config))
    models: dict[str, list[str]] = {loss: [] for loss in LOSSES}
    for run in pq.read_table(out / "losses" / RUNS_TABLE).to_pylist():
        models[run["loss"]].append(f"{run['run_uri']}/model.zip")
    candidates = [f"{loss}={','.join(files)}" for loss, files in models.items()]
    roadscan(
        "compare", *candidates, "--data", arguments.data, "--split", "val", "--image-size", str(WHOLE_PX), "--markdown"
    )


def roadscan(*arguments: str) -> None:
    """Run a command as its user does."""
    # Threads that spin while they wait take the cores of the training beside them.
    environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"}
    subprocess.run([str(Path(sys.executable).with_name("roadscan")), *arguments], check=True, env=environment)


if __name__ == "__main__":
    main()
