"""The estimates of all drives to assets: where each stands, and whether it does.

DriveEstimates of each drive
→ pool → associate ⇄ bias → duplicates → points: PointAssets ─┐
aligned drives → lines: LineAssets ──────────┴→ rows of the register
visibility (which drive should have shown what) → existence (does it stand) judges both
"""
