"""What `roadscan config` prints: a file to start from, which loads as the defaults."""

from __future__ import annotations

import json
from itertools import takewhile
from pathlib import Path
from typing import get_args

import pytest
import yaml

from roadscan.config import load_config
from roadscan.errors import ConfigError
from roadscan.manual.commented import commented_yaml
from roadscan.manual.jobs import JOBS, JobName
from roadscan.model.losses import LossConfig

#: Fields that have no default, and a value that each may have.
REQUIRED = {
    "ingest": {"kind": "exif", "source": "images", "out": "drive"},
    "simulate": {},
    "scan": {"drives": ["a"], "warehouse": "w"},
    "inventory": {"warehouse": "w"},
    "nightly": {"warehouse": "w", "scan.drives": ["a"]},
    "report": {"warehouse": "w"},
    "train": {"data": "d"},
    "tune": {"train.data": "d", "space": {"loss.gamma": [0, 2]}},
    "ablate": {"train.data": "d"},
    "demo": {},
    "demo_model": {"train.data": "d"},
}


def overrides(name: str) -> list[str]:
    return [f"{field}={json.dumps(value)}" for field, value in REQUIRED[name].items()]


@pytest.fixture
def printed(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "printed.yaml"
    path.write_text(commented_yaml(request.param))
    return path


@pytest.mark.parametrize(("name", "printed"), [(name, name) for name in JOBS], indirect=["printed"])
def test_what_is_printed_loads_as_the_defaults(name: JobName, printed: Path) -> None:
    model = JOBS[name].model()
    assert load_config(model, printed, overrides(name)) == load_config(model, None, overrides(name))


@pytest.mark.parametrize(
    ("name", "printed"), [(name, name) for name, fields in REQUIRED.items() if fields], indirect=["printed"]
)
def test_a_required_field_that_nobody_filled_in_is_named(name: JobName, printed: Path) -> None:
    for field in REQUIRED[name]:
        others = [pair for pair in overrides(name) if not pair.startswith(f"{field}=")]
        with pytest.raises(ConfigError, match=f"{field}: required, and not given"):
            load_config(JOBS[name].model(), printed, others)


@pytest.mark.parametrize(("name", "printed"), [("scan", "scan"), ("ingest", "ingest")], indirect=["printed"])
def test_what_stands_in_comments_is_yaml_too(name: JobName, printed: Path) -> None:
    """A group that is not there by default can be taken out of its comment as it stands."""
    lines, groups = printed.read_text().splitlines(), {"scan": "grows_to", "ingest": "cameras"}
    first = lines.index(f"# {groups[name]}:")
    last = next(number for number in range(first + 1, len(lines)) if not lines[number].startswith("#  "))
    tree = yaml.safe_load("\n".join(line.removeprefix("# ") for line in lines[first:last]))
    expected = {
        "scan": {"grows_to": {"nodes": None, "cpus": None, "gpus": None}},
        "ingest": {"cameras": [{"camera_id": "front", "width_px": None, "height_px": None,
                                "projection": None, "focal_px": None, "hfov_deg": None, "intrinsics": None,
                                "lens": None, "mount_height_m": 1.8, "mount_yaw_deg": 0.0,
                                "mount_pitch_deg": 0.0}]},
    }  # fmt: skip
    assert tree == expected[name]


def test_a_field_has_its_meaning_above_it_and_its_bounds_behind_it() -> None:
    lines = commented_yaml("scan").splitlines()
    at = lines.index("shard_frames: 512 # whole number; ≥ 1; ≤ 65536")
    assert lines[at - 1] == "# most frames a shard, the unit of commit and of resumption"
    assert "# warehouse: # text; required" in lines


def test_groups_that_have_names_are_shown_with_one() -> None:
    lines = commented_yaml("ablate").splitlines()
    at = lines.index("# losses:")
    shown = takewhile(lambda line: line.startswith("#  "), lines[at + 1 :])
    example = yaml.safe_load("\n".join(line.removeprefix("#") for line in shown))
    assert set(example["a name"]) == set(LossConfig.model_fields)


def test_every_job_of_the_command_line_is_there() -> None:
    assert list(JOBS) == list(get_args(JobName))
