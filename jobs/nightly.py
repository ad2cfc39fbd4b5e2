"""One night, or several: new drives, scan, register, release, summary.

``ray job submit --working-dir . -- python jobs/nightly.py jobs/configs/nightly.yaml [--date 2026-11-01] [--set a.b=c]``
"""

import sys

from roadscan.cli import run

if __name__ == "__main__":
    sys.exit(run(["nightly", *sys.argv[1:]]))
