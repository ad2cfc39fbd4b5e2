"""Search for the loss, the variant and the learning rate to train with.

``ray job submit --working-dir . -- python jobs/tune.py jobs/configs/tune.yaml [--set a.b=c]``
"""

import sys

from roadscan.cli import run

if __name__ == "__main__":
    sys.exit(run(["tune", *sys.argv[1:]]))
