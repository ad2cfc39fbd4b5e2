"""A warehouse as an analyst reads it: Arrow, pandas, GeoPandas, Polars; SQL; time travel; messages."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import geopandas
import polars
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

import roadscan


def files_of(folder: Path, table: str) -> list[Path]:
    """The Parquet files of a table, found as any program would: by the pointer, the release and the table's log."""
    pointer = json.loads((folder / "current.json").read_text())
    release = json.loads((folder / pointer["path"]).read_text())
    version = release["tables"][table]["version"]
    uris = DeltaTable(folder / table, version=version).file_uris()
    return sorted(Path(uri.removeprefix("file://")) for uri in uris)


@pytest.mark.parametrize("name", ["assets", "observations", "frames"])
def test_a_table_is_its_files_in_all_four_libraries(surveyed: Path, warehouse: roadscan.Warehouse, name: str) -> None:
    on_disk = pa.concat_tables([pq.read_table(path, partitioning=None) for path in files_of(surveyed, name)])
    table = warehouse.table(name)
    assert table.to_arrow().to_pylist() == on_disk.to_pylist()
    assert table.columns == on_disk.column_names
    assert len(table) == len(on_disk) > 0
    assert table.to_pandas().equals(on_disk.to_pandas())
    assert table.to_polars().equals(polars.concat([polars.read_parquet(path) for path in files_of(surveyed, name)]))
    assert len(table.to_geopandas()) == len(on_disk)


def test_assets_are_where_geopandas_itself_reads_them(surveyed: Path, warehouse: roadscan.Warehouse) -> None:
    (path,) = files_of(surveyed, "assets")
    theirs, ours = geopandas.read_parquet(path), warehouse.table("assets").to_geopandas()
    assert ours.geometry.geom_equals(theirs.geometry).all()
    assert ours.crs == theirs.crs
    assert ours.to_crs(theirs.estimate_utm_crs()).length.sum() == pytest.approx(ours["length_m"].sum(), rel=0.02)


def test_frames_are_points_where_the_camera_was(warehouse: roadscan.Warehouse) -> None:
    frames = warehouse.table("frames", columns=["frame_id", "camera_lon", "camera_lat"]).to_geopandas()
    assert list(frames.columns) == ["frame_id", "camera_lon", "camera_lat", "geometry"]
    assert (frames.geometry.x == frames["camera_lon"]).all()
    assert (frames.geometry.y == frames["camera_lat"]).all()


def test_rows_without_a_place_are_no_map(warehouse: roadscan.Warehouse) -> None:
    with pytest.raises(
        roadscan.WarehouseError, match="got the columns class, score; expected geometry, or lon and lat"
    ):
        warehouse.table("observations", columns=["class", "score"]).to_geopandas()


def test_a_query_reads_views_too(warehouse: roadscan.Warehouse) -> None:
    counted = warehouse.query(
        "SELECT class, sum(assets)::INTEGER AS n FROM assets_per_class GROUP BY class"
    ).to_pandas()
    expected = Counter(warehouse.table("assets").to_arrow()["class"].to_pylist())
    assert dict(zip(counted["class"], counted["n"], strict=True)) == expected


def test_each_release_can_be_read_again(warehouse: roadscan.Warehouse) -> None:
    releases = warehouse.releases()
    assert [release.number for release in releases] == [1, 2, 3, 4]  # a night's detections, its register; twice
    assert [release.rows.get("frames") for release in releases] == [90, 90, 180, 180]  # 900 m, a frame every 10 m
    for release in releases:
        assert len(warehouse.table("frames", as_of=release.created_at)) == release.rows["frames"]
        (row,) = warehouse.query("SELECT count(*) AS n FROM assets", as_of=release.created_at).to_arrow().to_pylist()
        assert row["n"] == release.rows.get("assets", 0)


def test_a_moment_without_a_zone_is_refused(warehouse: roadscan.Warehouse) -> None:
    for ask in (lambda at: warehouse.table("assets", as_of=at), lambda at: warehouse.query("FROM assets", as_of=at)):
        with pytest.raises(roadscan.ConfigError, match="as_of: got 2026-11-01T00:00:00 without a zone"):
            ask(datetime(2026, 11, 1))
        with pytest.raises(roadscan.WarehouseError, match="nothing was published by 2001"):
            ask(datetime(2001, 1, 1, tzinfo=UTC))


def test_a_wrong_address_is_an_error_and_no_empty_table(tmp_path: Path) -> None:
    for uri in (tmp_path, tmp_path / "warehuose"):
        with pytest.raises(roadscan.WarehouseError, match=f"{uri}: no warehouse here, current.json is missing"):
            roadscan.open_warehouse(str(uri))
    assert not (tmp_path / "warehuose").exists()


@pytest.mark.s3
def test_a_wrong_address_in_a_store_is_an_error_too(s3: object) -> None:
    for uri in ("s3://warehouse/typo", "s3://no-such-bucket/highways"):
        with pytest.raises(roadscan.RoadscanError, match=f"{uri}.*(no warehouse here|no such)"):
            roadscan.open_warehouse(uri)


def test_a_wrong_table_or_column_is_named_with_those_that_there_are(warehouse: roadscan.Warehouse) -> None:
    with pytest.raises(roadscan.WarehouseError, match=r"table: got 'asets'; expected one of observations, .*assets"):
        warehouse.table("asets")
    with pytest.raises(roadscan.WarehouseError, match=r"columns: got 'lng'; assets has asset_id, .*lon, lat"):
        warehouse.table("assets", columns=["lng"])


def test_a_table_says_what_it_is(warehouse: roadscan.Warehouse) -> None:
    assert repr(warehouse.query("SELECT 1 AS a, 2 AS b")) == "Table(1 rows: a, b)"
    assert repr(warehouse) == f"Warehouse({warehouse.uri!r})"


def test_a_library_that_is_missing_is_named(warehouse: roadscan.Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "polars", None)
    with pytest.raises(
        roadscan.RoadscanError, match=r"polars is not installed; run: pip install 'roadscan\[analysis\]'"
    ):
        warehouse.table("assets").to_polars()
