"""The SQL views that every query sees beside the tables, by name."""

from __future__ import annotations

VIEWS = {
    # What stands today as far as the drives tell; `state` says how sure that is.
    "assets_current": "SELECT * FROM assets WHERE state <> 'missing'",
    "assets_per_class": """
        SELECT class, state, count(*) AS assets, round(sum(length_m) / 1000, 3) AS length_km
        FROM assets GROUP BY ALL ORDER BY class, state""",
    "changes": """
        SELECT c.changed_at, c.change, c.class, c.asset_id, c.lon, c.lat, c.drive_id, a.state, a.evidence_uri
        FROM asset_changes AS c LEFT JOIN assets AS a USING (asset_id) ORDER BY c.changed_at, c.change, c.asset_id""",
    "guardrail_km": """
        SELECT class, side, count(*) AS lines, round(sum(length_m) / 1000, 3) AS length_km
        FROM assets WHERE length_m IS NOT NULL AND state = 'confirmed' GROUP BY ALL ORDER BY class, side""",
    # Places and times that a camera really looked at: what is not here is unsurveyed, which is not missing.
    "surveyed_frames": """
        SELECT drive_id, frame_id, captured_at, camera_lon, camera_lat, heading_deg, fov_deg, n_detections
        FROM frames WHERE status = 'ok' AND camera_lon IS NOT NULL AND camera_lat IS NOT NULL""",
    "drive_coverage": """
        SELECT drive_id, min(captured_at) AS started_at, max(captured_at) AS ended_at, count(*) AS frames,
            count(*) FILTER (status = 'ok') AS frames_ok, sum(n_detections)::BIGINT AS detections
        FROM frames GROUP BY drive_id ORDER BY started_at, drive_id""",
    "quarantine": """
        SELECT drive_id, frame_id, image_uri, status, reason, captured_at
        FROM frames WHERE status <> 'ok' ORDER BY drive_id, frame_id""",
}
