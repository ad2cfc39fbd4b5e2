"""The SQL views that every query sees beside the tables, by name: plain DuckDB, no extensions.

A class is data: no view knows one. An asset without a linear reference is in every count, with null for its route; it
is only left out where there is no order without kilometres. A kilometre that no drive surveyed is unsurveyed, which is
not missing: a missing asset was looked for. An id that is no longer given stands for the asset that it is part of now.

Those that read the whole register for any question (`STORED`) are computed once, when it is published, and are tables
of the release; in a release without them they are views like the others.
"""

# ruff: noqa: S608 - statements are put together from the constants of this file alone
from __future__ import annotations

from collections.abc import Mapping

import duckdb
import pyarrow as pa

STORED = ("assets_per_km", "asset_gaps", "changes_since")

# Metres of a line that lie in its first kilometre: it is counted where it begins, and measured where it is.
_FIRST_KM_LENGTH = """coalesce(
    length_m * (least(km_end_m, km_m // 1000 * 1000 + 1000) - km_m) / nullif(km_end_m - km_m, 0), length_m)"""

# By state, without those that a reviewer rejected; `length_km` is of the confirmed ones.
_COUNTS = """
    count(*) FILTER (state = 'confirmed') AS confirmed, count(*) FILTER (state = 'suspect') AS suspect,
    count(*) FILTER (state = 'candidate') AS candidate, count(*) FILTER (state = 'missing') AS missing"""

_CHANGES = """
    SELECT coalesce(l.asset_id, c.asset_id) AS asset_id, c.class, c.change, c.drive_id, c.changed_at, c.lon, c.lat
    FROM asset_changes AS c LEFT JOIN asset_alias AS l ON l.alias_id = c.asset_id"""

# The usable frames that have a change's place in view, 5 to 60 m away; whether their drive is one after the change.
# Found by cells of 0.001 degrees, the nine about the place, so that it is linear in the frames.
_LOOKED = """
    SELECT n, asset_id, drive_id, frame_id, image_uri, captured_at, began, began >= since AS after, distance_m
    FROM (
        SELECT place.n, place.asset_id, place.since, f.*, d.began,
            (place.lon - f.camera_lon) * 111195 * cos(radians(place.lat)) AS east_m,
            (place.lat - f.camera_lat) * 111195 AS north_m,
            sqrt(east_m ** 2 + north_m ** 2) AS distance_m,
            abs((degrees(atan2(east_m, north_m)) - f.heading_deg + 900) % 360 - 180) AS off_axis_deg
        FROM (
            SELECT c.n, c.asset_id, c.lon, c.lat, coalesce(d.began, c.changed_at) AS since,
                floor(c.lon * 1000)::INTEGER + i.i AS x, floor(c.lat * 1000)::INTEGER + j.i AS y
            FROM change AS c LEFT JOIN drive AS d USING (drive_id), range(-1, 2) AS i(i), range(-1, 2) AS j(i)) AS place
        JOIN frames AS f
            ON floor(f.camera_lon * 1000)::INTEGER = place.x AND floor(f.camera_lat * 1000)::INTEGER = place.y
        JOIN drive AS d ON d.drive_id = f.drive_id
        WHERE f.status = 'ok' AND f.captured_at IS NOT NULL)
    WHERE distance_m BETWEEN 5 AND 60 AND off_axis_deg <= fov_deg / 2"""

_KILOMETRES = """
    SELECT route_code, section_code, district, km, any_value(length_m) AS length_m, any_value(lon) AS lon,
        any_value(lat) AS lat, count(drive_id) AS drives, min(first_at) AS first_at, max(last_at) AS last_at,
        (epoch_us(now()) - epoch_us(max(last_at))) // 86400000000 AS days
    FROM coverage GROUP BY route_code, section_code, district, km"""

VIEWS = {
    # What stands today as far as the drives tell; `state` says how sure that is.
    "assets_current": "SELECT * FROM assets WHERE state NOT IN ('missing', 'rejected')",
    "assets_per_class": """
        SELECT class, state, count(*) AS assets, round(sum(length_m) / 1000, 3) AS length_km
        FROM assets GROUP BY ALL ORDER BY class, state""",
    "assets_per_km": f"""
        SELECT route_code, section_code, km, class,
            count(*) FILTER (counts AND state = 'confirmed') AS confirmed,
            count(*) FILTER (counts AND state = 'suspect') AS suspect,
            count(*) FILTER (counts AND state = 'candidate') AS candidate,
            count(*) FILTER (counts AND state = 'missing') AS missing,
            sum(length_m) FILTER (state = 'confirmed') AS length_m
        FROM (
            SELECT route_code, section_code, km_m // 1000 AS km, class, state, true AS counts,
                {_FIRST_KM_LENGTH} AS length_m
            FROM assets WHERE state <> 'rejected'
            UNION ALL
            SELECT route_code, section_code, km, class, state, false,
                length_m * (least(km_end_m, km * 1000 + 1000) - km * 1000) / (km_end_m - km_m)
            FROM (
                SELECT *, unnest(range(km_m // 1000 + 1, (km_end_m - 1) // 1000 + 1))::INTEGER AS km
                FROM assets WHERE state <> 'rejected' AND km_end_m > km_m // 1000 * 1000 + 1000))
        GROUP BY route_code, section_code, km, class ORDER BY ALL""",
    "assets_per_district": f"""
        SELECT district, class, {_COUNTS}, round(sum(length_m) FILTER (state = 'confirmed') / 1000, 3) AS length_km
        FROM assets WHERE state <> 'rejected' GROUP BY district, class ORDER BY district, class""",
    # Of every class of lines.
    "guardrail_km": """
        SELECT class, route_code, section_code, side, count(*) AS lines, round(sum(length_m) / 1000, 3) AS length_km
        FROM assets WHERE length_m IS NOT NULL AND state = 'confirmed' GROUP BY ALL ORDER BY ALL""",
    # From one confirmed asset of a class to the next on the same side. A gap that no drive saw whole proves nothing.
    "asset_gaps": """
        SELECT gap.*, coalesce(len(list_intersect(never.kms, range(from_m // 1000, to_m // 1000 + 1))), 0)
            AS unsurveyed_km
        FROM (
            SELECT class, route_code, section_code, carriageway, side, from_m, km_m AS to_m, km_m - from_m AS gap_m,
                asset_id AS to_id, lon AS to_lon, lat AS to_lat
            FROM (
                SELECT class, route_code, section_code, carriageway, side, km_m, asset_id, lon, lat,
                    max(coalesce(km_end_m, km_m)) OVER (
                        PARTITION BY class, route_code, section_code, carriageway, side ORDER BY km_m, asset_id
                        ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS from_m
                FROM assets WHERE state = 'confirmed' AND km_m IS NOT NULL)
            WHERE km_m > from_m) AS gap
        LEFT JOIN (
            SELECT route_code, section_code, list(km::BIGINT) AS kms
            FROM coverage WHERE drive_id IS NULL GROUP BY route_code, section_code) AS never
        USING (route_code, section_code)
        ORDER BY route_code, section_code, class, carriageway, side, from_m, to_id""",
    # With where on the network, under the ids of now.
    "changes_since": f"""
        SELECT c.changed_at, c.change, c.class, c.asset_id, a.route_code, a.section_code, a.district, a.km_m, a.side,
            c.lon, c.lat, c.drive_id, a.state, a.evidence_uri
        FROM ({_CHANGES}) AS c LEFT JOIN assets AS a USING (asset_id)
        ORDER BY c.changed_at, c.change, c.asset_id""",
    "changes": "SELECT changed_at, change, class, asset_id, lon, lat, drive_id, state, evidence_uri FROM changes_since",
    # Dated photographs of a change's place: of the drive that showed it, or the first after a review, and of the last
    # drive before. A photograph in which the asset was detected has its box, and goes before one that only looks there.
    "change_photographs": f"""
        WITH change AS NOT MATERIALIZED (
            SELECT *, row_number() OVER (PARTITION BY asset_id ORDER BY changed_at, change, drive_id) AS n
            FROM changes_since),
        drive AS (SELECT drive_id, started_at AS began FROM runs),
        looked AS ({_LOOKED}),
        shown AS (
            SELECT asset_id, drive_id, frame_id, any_value(box_px) AS box_px
            FROM (
                SELECT asset_id, drive_id, frame_id, box_px FROM asset_observations
                UNION ALL
                SELECT l.asset_id, o.drive_id, o.frame_id, o.box_px
                FROM asset_alias AS l JOIN asset_observations AS o ON o.asset_id = l.alias_id)
            GROUP BY asset_id, drive_id, frame_id),
        photo AS (
            SELECT looked.*, shown.box_px FROM looked LEFT JOIN shown USING (asset_id, drive_id, frame_id)
            QUALIFY row_number() OVER (PARTITION BY asset_id, n, after ORDER BY
                CASE WHEN after THEN epoch_us(began) ELSE -epoch_us(began) END,
                box_px IS NULL, abs(distance_m - 20), frame_id) = 1)
        SELECT c.changed_at, c.change, c.class, c.asset_id, c.drive_id,
            b.image_uri AS before_uri, b.captured_at AS before_at, b.box_px AS before_box_px,
            b.drive_id AS before_drive,
            a.image_uri AS after_uri, a.captured_at AS after_at, a.box_px AS after_box_px,
            a.drive_id AS after_drive
        FROM change AS c
        LEFT JOIN photo AS b ON b.asset_id = c.asset_id AND b.n = c.n AND NOT b.after
        LEFT JOIN photo AS a ON a.asset_id = c.asset_id AND a.n = c.n AND a.after
        ORDER BY c.changed_at, c.asset_id, c.change""",
    # Looked for, and not found.
    "missing_assets": f"""
        SELECT a.asset_id, a.class, a.route_code, a.section_code, a.district, a.km_m, a.side, a.lon, a.lat,
            a.last_seen, m.missing_since, m.drive_id, a.existence, a.evidence_uri
        FROM assets AS a
        LEFT JOIN (
            SELECT asset_id, max(changed_at) AS missing_since, arg_max(drive_id, changed_at) AS drive_id
            FROM ({_CHANGES}) WHERE change = 'missing' GROUP BY asset_id) AS m USING (asset_id)
        WHERE a.state = 'missing'""",
    # Every id that was ever given and still means something, and the asset that it means now.
    "asset_ids": """
        SELECT asset_id AS id, asset_id, NULL AS reason, NULL AS since FROM assets
        UNION ALL SELECT alias_id, asset_id, reason, since FROM asset_alias""",
    # What each drive had to say of an asset.
    "asset_timeline": """
        SELECT h.asset_id, h.class, h.looked_at, h.drive_id, h.seen, h.hits, h.covering, h.score, c.changes,
            h.lon, h.lat, h.pos_sigma_m, a.route_code, a.section_code, a.km_m, a.state
        FROM (
            SELECT * FROM asset_history WHERE asset_id NOT IN (SELECT alias_id FROM asset_alias)
            UNION ALL BY NAME
            SELECT l.asset_id, h.* EXCLUDE (asset_id)
            FROM asset_alias AS l JOIN asset_history AS h ON h.asset_id = l.alias_id) AS h
        LEFT JOIN (
            SELECT asset_id, drive_id, list_sort(list(change)) AS changes
            FROM changes_since GROUP BY asset_id, drive_id) AS c USING (asset_id, drive_id)
        LEFT JOIN assets AS a USING (asset_id)
        ORDER BY route_code, section_code, km_m, asset_id, looked_at, drive_id""",
    # Every kilometre of the network: `days` since the last drive, null where there never was one.
    "survey_age": f"SELECT * FROM ({_KILOMETRES}) ORDER BY route_code, section_code, km, district",
    # Where no drive was, so that nothing is known: neither what stands there nor what is missing.
    "unsurveyed_km": """
        SELECT route_code, section_code, district, km, length_m, lon, lat FROM coverage WHERE drive_id IS NULL
        ORDER BY route_code, section_code, km, district""",
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


def stored_views(tables: Mapping[str, pa.Table]) -> dict[str, pa.Table]:
    """The views of `STORED` over a register that is about to be published.

    Args:
        tables: assets, asset_changes, asset_alias and coverage.
    """
    with duckdb.connect(":memory:") as connection:
        connection.execute("SET TimeZone = 'UTC'")  # never the machine's
        for name, table in tables.items():
            connection.register(name, table)
        return {name: connection.sql(VIEWS[name]).to_arrow_table() for name in STORED}
