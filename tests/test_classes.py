from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from support.built import CONFIG
from support.world import LINE, drive, make_world

from roadscan.classes import keep_taxonomy, read_taxonomy, taxonomy_of
from roadscan.errors import ConfigError
from roadscan.inventory import InventoryConfig, update_inventory
from roadscan.inventory.build import DriveTables, build
from roadscan.inventory.tiles.kept import Settings
from roadscan.inventory.update import audit_inventory
from roadscan.schemas import ASSETS
from roadscan.settings import keep_time_zone, time_zone
from roadscan.taxonomy import HIGHWAY, AssetClass, Geometry, Taxonomy
from roadscan.warehouse import Warehouse

SHIPPED = Path(__file__).parents[1] / "jobs/classes.yaml"


def read(path: Path, text: str) -> Taxonomy:
    path.write_text(text)
    return read_taxonomy(str(path))


def test_the_shipped_file_is_the_highways():
    assert read_taxonomy(str(SHIPPED)) == HIGHWAY == read_taxonomy("highway")


def test_a_file_tells_of_another_detectors_classes(tmp_path):
    found = read(
        tmp_path / "c.yaml",
        "classes:\n  pole: {height_m: 9, grounded: true}\n  barrier: {geometry: line}\n  car: {ignored: true}\n",
    )
    assert found.get("pole") == AssetClass("pole", height_m=9.0, grounded=True)
    assert found.get("barrier").geometry is Geometry.LINE
    assert (found.get("car").ignored, found.get("bus").ignored) == (True, False)
    assert read(tmp_path / "c.yaml", "classes: {pole: {}}\nothers: ignored\n").get("bus").ignored


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "got NoneType; expected a mapping with classes"),
        ("classes: {}\n", "classes"),
        ("classes: {pole: {hight_m: 9}}\n", "hight_m"),
        ("classes: {pole: {geometry: area}}\n", "geometry"),
        ("classes: {pole: {height_m: -1}}\n", "height_m: got -1"),
        ("classes: {pole: {}}\nothers: line\n", "others"),
        ("classes: [\n", "expected YAML with classes"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(tmp_path, text, words):
    with pytest.raises(ConfigError, match=words) as caught:
        read(tmp_path / "c.yaml", text)
    assert str(caught.value).startswith(f"taxonomy {tmp_path}/c.yaml")


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(
        ConfigError, match=r"^taxonomy: .*none\.yaml does not exist; expected a YAML file of classes, or highway: "
    ):
        read_taxonomy(str(tmp_path / "none.yaml"))


def renamed(tables: DriveTables, names: dict[str, str]) -> DriveTables:
    """The drive of a detector that calls classes by other names."""
    index = tables.observations.schema.get_field_index("class")
    column = pa.array([names.get(name, name) for name in tables.observations["class"].to_pylist()], pa.string())
    field = tables.observations.schema.field(index)
    return DriveTables(tables.drive_id, tables.frames, tables.observations.set_column(index, field, column))


def test_another_detectors_guardrail_is_a_line_and_its_cars_are_none():
    world = make_world(seed=3, length_m=900.0)
    theirs = renamed(drive(world, 0), {LINE: "barrier", "Warning Sign": "car"})
    known = Taxonomy((AssetClass("barrier", Geometry.LINE), AssetClass("car", ignored=True)))

    def assets(taxonomy: Taxonomy) -> pa.Table:
        ids = iter(range(10_000))
        return build([theirs], ASSETS.empty_table(), taxonomy, CONFIG, lambda: f"A{next(ids):05d}").assets

    before, after = assets(HIGHWAY), assets(known)
    of = {
        name: (before.filter(pc.field("class") == name), after.filter(pc.field("class") == name))
        for name in ("barrier", "car")
    }
    assert of["barrier"][0]["length_m"].null_count == of["barrier"][0].num_rows > 0  # points, as nothing is known of it
    assert of["barrier"][1]["length_m"].null_count == 0 < of["barrier"][1].num_rows
    assert of["car"][0].num_rows > 0 == of["car"][1].num_rows


def test_a_register_is_built_again_with_another_taxonomy(tmp_path):
    from support.world import commit

    warehouse = Warehouse(str(tmp_path / "w"))
    commit(warehouse, drive(make_world(seed=3, length_m=900.0), 0))
    config = InventoryConfig(warehouse=warehouse.store.uri)
    assert "Warning Sign" in update_inventory(config).assets
    (tmp_path / "c.yaml").write_text("classes: {Single-Arm Pole: {grounded: true}}\nothers: ignored\n")
    alone = update_inventory(config.model_copy(update={"taxonomy": str(tmp_path / "c.yaml")}))
    assert list(alone.assets) == ["Single-Arm Pole"]
    assert Settings.of(config).alone != Settings.of(config, read_taxonomy(str(tmp_path / "c.yaml"))).alone


def test_a_warehouse_keeps_the_taxonomy_it_was_given_until_it_is_given_another(tmp_path, caplog):
    from support.world import commit

    warehouse = Warehouse(str(tmp_path / "w"))
    commit(warehouse, drive(make_world(seed=3, length_m=900.0), 0))
    config = InventoryConfig(warehouse=warehouse.store.uri)
    (tmp_path / "c.yaml").write_text("classes: {Single-Arm Pole: {grounded: true, height_m: 9}}\nothers: ignored\n")
    first = update_inventory(config.model_copy(update={"taxonomy": str(tmp_path / "c.yaml")}))
    (tmp_path / "c.yaml").unlink()
    assert taxonomy_of(warehouse.store, None).others_ignored
    again = update_inventory(config)
    assert (again.published, again.tiles_built, again.assets) == (False, 0, first.assets)
    assert not caplog.records
    back = update_inventory(config.model_copy(update={"taxonomy": "highway"}))
    assert "Warning Sign" in back.assets
    assert "its taxonomy is another one from now on" in caplog.text
    assert taxonomy_of(warehouse.store, None) == HIGHWAY
    assert update_inventory(config).tiles_built == 0


def test_a_kept_taxonomy_that_is_none_is_told(tmp_path):
    store = Warehouse(str(tmp_path)).store
    store.write("settings.json", b'{"format": "roadscan.settings/1", "taxonomy": "classes: 3"}')
    with pytest.raises(ConfigError, match=r"^.*settings\.json:\n  classes: got 3; "):
        taxonomy_of(store, None)


def test_a_time_zone_and_a_taxonomy_are_kept_side_by_side(tmp_path):
    store = Warehouse(str(tmp_path)).store
    keep_time_zone(store, "Asia/Bangkok")
    every = AssetClass("x: #y", Geometry.LINE, 2.5, 0.1, grounded=True, merge_m=9.0, color_rgb=(1, 2, 3), ignored=True)
    mine = Taxonomy((every, AssetClass("sign")), others_ignored=True)
    keep_taxonomy(store, mine)
    keep_time_zone(store, "Asia/Tokyo")
    assert (time_zone(store), taxonomy_of(store, None)) == ("Asia/Tokyo", mine)
    keep_taxonomy(store, HIGHWAY)
    assert (time_zone(store), taxonomy_of(store, None)) == ("Asia/Tokyo", HIGHWAY)


def test_an_audit_that_is_published_keeps_its_taxonomy_too_and_one_that_is_not_keeps_none(tmp_path):
    from support.world import commit

    warehouse = Warehouse(str(tmp_path / "w"))
    commit(warehouse, drive(make_world(seed=3, length_m=900.0), 0))
    config = InventoryConfig(warehouse=warehouse.store.uri)
    update_inventory(config)
    (tmp_path / "c.yaml").write_text("classes: {Single-Arm Pole: {grounded: true}}\nothers: ignored\n")
    poles = config.model_copy(update={"taxonomy": str(tmp_path / "c.yaml")})
    assert audit_inventory(poles).differing
    assert taxonomy_of(warehouse.store, None) == HIGHWAY
    assert audit_inventory(poles, publish=True).published
    assert list(update_inventory(config).assets) == ["Single-Arm Pole"]
