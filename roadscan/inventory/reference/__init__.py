"""The linear reference: centrelines with chainage, and where on them points and drives are.

    ReferenceConfig → read_reference → LinearReference.locate | assign_track | locate_on | kilometres
                                       coverage, uncovered (rows of `schemas.COVERAGE`)

    features → centrelines → spans ──┐
                           → plane ──┴→ linear → kilometres
                           → track ──┘

Chainage is in metres everywhere (25556 is km 25+556) and grows along every centreline; offsets are to its right.
"""

from roadscan.inventory.reference.config import ReferenceConfig
from roadscan.inventory.reference.kilometres import coverage, uncovered
from roadscan.inventory.reference.linear import LinearReference, format_km, read_reference, reference_digest

__all__ = [
    "LinearReference",
    "ReferenceConfig",
    "coverage",
    "format_km",
    "read_reference",
    "reference_digest",
    "uncovered",
]
