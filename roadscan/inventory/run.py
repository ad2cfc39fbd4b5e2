"""The entry of the stage: a config to a published register, built on this machine or on a Ray cluster."""

from __future__ import annotations

import os

from roadscan.cluster import refuse_lost_outputs
from roadscan.inventory.config import InventoryConfig
from roadscan.inventory.summary import InventoryAudit, InventorySummary, TileSummary
from roadscan.inventory.tiles.execute import BuildTiles, Step, on_this_machine
from roadscan.inventory.tiles.partition import read_tile
from roadscan.inventory.update import (
    Accept,
    always,
    audit_inventory,
    build_alone,
    update_inventory,
)
from roadscan.progress import OnProgress, Progress, silent


def run_inventory(
    config: InventoryConfig, on_progress: OnProgress = silent, *, accept: Accept = always
) -> InventorySummary:
    """`update_inventory` on this machine or, with `execution.on_ray`, on the Ray cluster; both give the same register.

    Raises:
        ConfigError: a submitted job would write into its copy of the working directory.
        RoadscanError: what `update_inventory` raises, or Ray ended a task more often than it tries again.
    """
    refuse_lost_outputs({"warehouse": config.warehouse}, os.environ)
    return update_inventory(config, _stepper(on_progress), _where(config), accept)


def run_audit(config: InventoryConfig, on_progress: OnProgress = silent, *, publish: bool = False) -> InventoryAudit:
    """`audit_inventory` where `run_inventory` would build.

    Raises:
        ConfigError: a submitted job would write into its copy of the working directory.
        RoadscanError: what `audit_inventory` raises.
    """
    refuse_lost_outputs({"warehouse": config.warehouse}, os.environ)
    return audit_inventory(config, _stepper(on_progress), _where(config), publish=publish)


def _where(config: InventoryConfig) -> BuildTiles:
    if not config.execution.on_ray:
        return on_this_machine
    from roadscan.inventory.tiles.ray import on_ray  # late: without a cluster nobody waits for Ray's import

    return on_ray


def run_tile(config: InventoryConfig, tile: str, on_progress: OnProgress = silent) -> TileSummary:
    """`build_alone` of a tile by its name, such as ``1005,137``: to find out why an inventory run fails at it.

    Raises:
        ConfigError: it is no tile, or no drive has frames in it.
        RoadscanError: it cannot be built, and why.
    """
    return build_alone(config, read_tile(tile), _stepper(on_progress))


def _stepper(on_progress: OnProgress) -> Step:
    """A callback for steps that sends each as an event."""
    return lambda done, total, unit: on_progress(Progress("inventory", done, total, unit))
