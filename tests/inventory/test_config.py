from __future__ import annotations

from pathlib import Path

import pytest

from roadscan.config import load_config
from roadscan.errors import ConfigError
from roadscan.inventory import InventoryConfig
from roadscan.nightly.config import NightlyConfig

SHIPPED = Path(__file__).resolve().parents[2] / "jobs" / "configs" / "inventory.yaml"

# The fields that had no group in 0.1.0, and where each is now.
FLAT = {
    "workers": "execution.workers",
    "on_ray": "execution.on_ray",
    "min_score": "tracking.min_score",
    "bearing_sigma_deg": "noise.bearing_sigma_deg",
    "yaw_sigma_deg": "noise.yaw_sigma_deg",
    "pose_jitter_m": "noise.pose_jitter_m",
    "gnss_sigma_m": "noise.gnss_sigma_m",
    "track_gap_m": "tracking.gap_m",
    "candidate_hits": "tracking.candidate_hits",
    "confirm_sigma_m": "existence.confirm_sigma_m",
    "match_gate_m": "matching.gate_m",
    "overhead_gate_m": "matching.overhead_gate_m",
    "shift_window_m": "matching.bias_window_m",
    "gnss_memory_m": "noise.gnss_memory_m",
    "move_m": "matching.move_m",
    "coverage_near_m": "visibility.near_m",
    "coverage_far_m": "visibility.far_m",
    "coverage_frames": "visibility.line_opportunities",
    "occlusion_probability": "existence.occlusion_probability",
    "change_probability": "existence.change_probability",
    "line_bin_m": "lines.bin_m",
    "line_far_m": "lines.far_m",
    "line_hit_ratio": "lines.hit_ratio",
    "line_gap_m": "lines.gap_m",
    "line_min_length_m": "lines.min_length_m",
    "line_overlap_m": "lines.overlap_m",
}


def test_the_shipped_config_says_every_default():
    shipped = load_config(InventoryConfig, SHIPPED)
    assert shipped == InventoryConfig(warehouse=shipped.warehouse)
    text = SHIPPED.read_text()
    single = ("warehouse", "reviews", "time_zone", "reference", "control", "taxonomy")
    groups = [name for name in InventoryConfig.model_fields if name not in single]
    for group in groups:
        fields = InventoryConfig.model_fields[group].annotation.model_fields
        assert f"\n{group}:" in text
        assert all(f"\n  {field}: " in text for field in fields), group


@pytest.mark.parametrize(("before", "now"), FLAT.items())
def test_a_field_without_its_group_is_refused_with_where_it_is_now(before, now):
    with pytest.raises(ConfigError) as caught:
        load_config(InventoryConfig, None, ["warehouse=w", f"{before}=1"])
    assert str(caught.value) == f"config:\n  {before}: is now {now}; set that instead"
    group, field = now.split(".")
    assert field in InventoryConfig.model_fields[group].annotation.model_fields


def test_in_a_nights_config_too():
    fields = ["warehouse=w", "scan.drives=[d]", "inventory.on_ray=true"]
    with pytest.raises(ConfigError, match=r"inventory\.on_ray: is now inventory\.execution\.on_ray; set that instead"):
        load_config(NightlyConfig, None, fields)


def test_an_unknown_field_of_a_group_is_named_with_those_it_has():
    with pytest.raises(ConfigError, match=r"tracking\.gap: unknown field; known fields: candidate_hits, gap_m, min_sc"):
        load_config(InventoryConfig, None, ["warehouse=w", "tracking.gap=3"])


def test_a_sigma_of_nothing_is_refused_with_the_least_that_there_is():
    """What a drive's bias changes by is divided by, so that none at all has no smooth bias."""
    with pytest.raises(ConfigError, match=r"noise\.gnss_sigma_m: got 0; .* greater than or equal to 0\.01"):
        load_config(InventoryConfig, None, ["warehouse=w", "noise.gnss_sigma_m=0"])
