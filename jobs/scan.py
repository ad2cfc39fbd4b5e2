"""Scan survey drives.

``ray job submit --working-dir . -- python jobs/scan.py jobs/configs/scan.yaml [--set a.b=c]``
"""

import sys

from roadscan.cli import run

if __name__ == "__main__":
    sys.exit(run(["scan", *sys.argv[1:]]))
