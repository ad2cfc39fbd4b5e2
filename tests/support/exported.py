"""A register to be exported: points, a guardrail, and an asset of a class that somebody else has named."""

from __future__ import annotations

from datetime import UTC, date, datetime

HOSTILE = "<img src=x onerror=alert(1)>'; DROP TABLE assets; --\x1b[2J"
HERE = {"lon": 100.5, "lat": 13.75}
SEEN = datetime(2026, 11, 1, 2, 3, 4, 123_456, tzinfo=UTC)
DAY = date(2026, 11, 1)
SIGN = {"last_seen": SEEN, "evidence_box_px": [1.0, 2.0, 3.0, 4.5]}
GONE = {"lon": 100.6, "control_id": "M-7"}
ODD = {"district": '{"a": [1]}', "control_id": "=1+1"}
RAIL = {"km_m": 100, "km_end_m": 250}
ROWS: tuple[dict, ...] = (
    HERE | {"asset_id": "sign", "route_code": "0002", "km_m": 2400} | SIGN,
    HERE | {"asset_id": "gone", "state": "missing", "route_code": "0002", "km_m": 9000} | GONE,
    HERE | {"asset_id": "odd", "class": HOSTILE, "state": "suspect"} | ODD,
    {"asset_id": "rail", "line": [(100.5, 13.7), (100.501, 13.701)], "route_code": "0035"} | RAIL,
)
