"""Assets as arrays to the register's tables: rows, ids that last, moves, kilometres, GeoParquet.

PointAssets → point_rows ─┐
LineAssets  → line_rows ──┴→ rows: Rows → moves → identity → tables → referencing
"""
