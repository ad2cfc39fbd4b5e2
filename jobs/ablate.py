"""Find out what a loss is worth: each loss with each size of network and each seed, on the same images.

``ray job submit --working-dir . -- python jobs/ablate.py jobs/configs/ablate.yaml [--set a.b=c]``
"""

import sys

from roadscan.cli import run

if __name__ == "__main__":
    sys.exit(run(["ablate", *sys.argv[1:]]))
