"""Labelled images: read, checked, split by drive, and brought to a node's own disk."""
