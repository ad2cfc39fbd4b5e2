"""roadscan: survey drives in, a register of road assets out, on a Ray cluster."""

__version__ = "0.1.0"
