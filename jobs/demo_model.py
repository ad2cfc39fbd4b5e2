"""Train the demo model again: ``python jobs/demo_model.py jobs/configs/demo_model.yaml [--set a.b=c]``."""

import argparse

from rich.console import Console

from roadscan.config import load_config
from roadscan.demo.model import DemoModelConfig, train_demo_model


def main() -> None:
    """Train, and print the card."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config")
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="a.b=c")
    arguments = parser.parse_args()
    console = Console()
    card = train_demo_model(
        load_config(DemoModelConfig, arguments.config, arguments.overrides),
        lambda epoch, metrics: console.print(epoch, {name: round(value, 4) for name, value in metrics.items()}),
    )
    console.print_json(card.model_dump_json())


if __name__ == "__main__":
    main()
