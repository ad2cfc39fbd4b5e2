"""Registers for the map: a small one of three nights with photographs, and ones of rows; pages that are served."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import uvicorn

from roadscan.inventory import InventoryConfig, update_inventory
from roadscan.view import prepare
from roadscan.view.register import MapRegister, load_register
from roadscan.view.site import Site
from roadscan.warehouse import Warehouse
from support.drives import jpeg
from support.registers import register as register_of
from support.world import commit, drive, make_world

NIGHTS = 3


def nights(folder: Path, count: int = NIGHTS, length_m: float = 400.0) -> Warehouse:
    """A warehouse with a register after each of some nights; every frame is there. One asset goes after the first."""
    world, warehouse = make_world(seed=3, length_m=length_m), Warehouse(str(folder / "warehouse"))
    world.assets[3].last_night = 0
    picture = jpeg(width=1280, height=720)
    for night in range(count):
        made = drive(world, night)
        images = folder / f"night-{night}"
        (images / "images").mkdir(parents=True)
        for name in made.frames["image_uri"].to_pylist():
            (images / name).write_bytes(picture)
        frames, observations = (_moved(table, images) for table in (made.frames, made.observations))
        commit(warehouse, replace(made, frames=frames, observations=observations))
        update_inventory(InventoryConfig(warehouse=warehouse.store.uri))
    return warehouse


def _moved(table: pa.Table, folder: Path) -> pa.Table:
    uris = pa.array([str(folder / name) for name in table["image_uri"].to_pylist()])
    return table.set_column(table.column_names.index("image_uri"), table.schema.field("image_uri"), uris)


def warehouse_of(folder: Path, *rows: dict[str, Any], **tables: pa.Table) -> Warehouse:
    """A warehouse whose one release has assets as `support.registers.register` makes them, and other tables."""
    built, warehouse = register_of(*rows), Warehouse(str(folder))
    parts = {"assets": built.assets, "asset_alias": built.aliases, "asset_changes": built.changes} | tables
    files = [warehouse.write(name, table) for name, table in parts.items()]
    warehouse.publish(lambda release: warehouse.replacement(release, files, "rows"))
    return warehouse


def map_register(folder: Path, *rows: dict[str, Any]) -> MapRegister:
    """The register in memory of such a warehouse."""
    warehouse = warehouse_of(folder, *rows)
    return load_register(warehouse, warehouse.current())


@dataclass(frozen=True)
class Answer:
    """What a server answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Pages:
    """A site that is served on this machine."""

    site: Site
    address: str

    @property
    def key(self) -> str:
        return str(self.site.releases.newest()["key"])

    def get(self, path: str, headers: dict[str, str] | None = None) -> Answer:
        return self.ask(path, headers or {})

    def post(self, path: str, tree: Any, headers: dict[str, str] | None = None) -> Answer:
        own = {"Content-Type": "application/json", "X-Roadscan": "1"}
        return self.ask(path, own if headers is None else headers, json.dumps(tree).encode())

    def ask(self, path: str, headers: dict[str, str], data: bytes | None = None) -> Answer:
        request = urllib.request.Request(self.address + path, data, headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return Answer(answer.status, dict(answer.headers), answer.read())
        except urllib.error.HTTPError as error:
            return Answer(error.code, dict(error.headers), error.read())


@contextmanager
def served(site: Site, host: str = "127.0.0.1") -> Iterator[Pages]:
    """Serve a site on a free port for the length of a block."""
    prepared = prepare(site, host, 0)
    server = uvicorn.Server(uvicorn.Config(prepared.app, log_config=None, access_log=False, lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [prepared.listening]})
    thread.start()
    try:
        yield Pages(site, f"http://127.0.0.1:{prepared.listening.getsockname()[1]}/")
    finally:
        server.should_exit = True
        thread.join()
        prepared.listening.close()
