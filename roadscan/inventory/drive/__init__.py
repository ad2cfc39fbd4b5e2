"""One drive alone, from its rows to what it says of the assets beside its road; nothing here knows of another drive.

frames, observations → passes: DrivePass → track → triangulate ─┐
→ lines ───────────────┴→ estimates: DriveEstimates
"""
