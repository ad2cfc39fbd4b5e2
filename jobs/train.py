"""Train a model.

``ray job submit --working-dir . -- python jobs/train.py jobs/configs/train.yaml [--set a.b=c]``
"""

import sys

from roadscan.cli import run

if __name__ == "__main__":
    sys.exit(run(["train", *sys.argv[1:]]))
