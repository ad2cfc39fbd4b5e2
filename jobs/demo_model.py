"""Train the demo model again: ``python jobs/demo_model.py jobs/configs/demo_model.yaml [--set a.b=c]``."""

import argparse
import sys

from roadscan.config import load_config
from roadscan.demo.model import DemoModelConfig, make_images
from roadscan.errors import RoadscanError
from roadscan.live import epoch_progress, progress
from roadscan.terminal import (
    errors,
    print_training,
)
from roadscan.train.run import run_train


def main() -> int:
    """Simulate, train, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config")
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="a.b=c")
    arguments = parser.parse_args()
    try:
        config = load_config(DemoModelConfig, arguments.config, arguments.overrides)
        with progress("images") as images:
            make_images(config, images)
        with epoch_progress() as epochs:
            summary = run_train(config.train, epochs)
    except RoadscanError as error:
        errors.print("error:", str(error))
        return 1
    print_training(config.train.out, summary)
    return 0


if __name__ == "__main__":
    sys.exit(main())
