"""Train the demo model again: ``python jobs/demo_model.py jobs/configs/demo_model.yaml [--set a.b=c]``."""

import argparse
from dataclasses import asdict

from roadscan.config import load_config
from roadscan.demo.model import DemoModelConfig, make_images
from roadscan.terminal import console, epoch_progress, progress
from roadscan.train.launch import run_training


def main() -> None:
    """Train, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config")
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="a.b=c")
    arguments = parser.parse_args()
    config = load_config(DemoModelConfig, arguments.config, arguments.overrides)
    with progress("images") as bar:
        make_images(config, bar)
    with epoch_progress() as epochs:
        console.print(asdict(run_training(config.train, epochs)))


if __name__ == "__main__":
    main()
