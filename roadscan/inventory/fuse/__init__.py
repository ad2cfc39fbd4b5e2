"""The estimates of all drives to assets: where each stands, and whether it does.

DriveEstimates of each drive
→ pool → associate ⇄ bias → duplicates → points: PointAssets ─┐
aligned drives → lines: LineAssets ──────────┴→ rows of the register
visibility (which drive should have shown what) → existence (does it stand) judges both
both, without the drives that were driven over often enough since (window) → fold: the Prior of the next build
"""
