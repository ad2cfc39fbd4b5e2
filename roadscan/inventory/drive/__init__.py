"""One drive alone, from its rows to what it says of the assets beside its road; only `gather` knows of another drive.

frames, observations → order → passes: DrivePass → track → triangulate → join ─┐
→ lines ──────────────────────┴→ estimates: DriveEstimates
"""
