"""Recordings of road cameras: which pictures they have, where each was taken, and the pictures themselves."""
