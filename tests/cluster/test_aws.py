"""The cluster of virtual machines: Ray and EC2 (moto's) take the file, and machines come out as they should."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml

moto = pytest.importorskip("moto", reason="needs moto: pip install 'moto[ec2,iam]'")

from botocore.exceptions import ClientError, ParamValidationError  # noqa: E402
from click import ClickException  # noqa: E402
from jsonschema import ValidationError  # noqa: E402
from ray.autoscaler._private.aws import config as ray_aws  # noqa: E402
from ray.autoscaler._private.aws import utils as ray_aws_utils  # noqa: E402
from ray.autoscaler._private.aws.node_provider import AWSNodeProvider  # noqa: E402
from ray.autoscaler._private.util import prepare_config, validate_config  # noqa: E402
from ray.autoscaler.node_launch_exception import NodeLaunchException  # noqa: E402

FILE = Path(__file__).parents[2] / "cluster" / "aws.yaml"
REGION = "ap-southeast-1"
PROFILES = {"head": "roadscan-ray-head", "gpu-a": "roadscan-ray-worker", "gpu-b": "roadscan-ray-worker"}

Instance = dict[str, Any]

pytestmark = pytest.mark.slow  # whoever comes first makes the account, which takes three seconds


@pytest.fixture(scope="module")
def account() -> Iterator[dict[str, str]]:
    """An account with what the file asks for; what to write in place of each EDIT-ME."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "none")
        patch.setattr("moto.settings.ENABLE_AMI_VALIDATION", True)
        ray_aws_utils.resource_cache.cache_clear()
        ray_aws_utils.client_cache.cache_clear()
        with moto.mock_aws():
            ec2, iam = boto3.client("ec2", REGION), boto3.client("iam", REGION)
            subnets = ec2.describe_subnets()["Subnets"]
            assert all(subnet["MapPublicIpOnLaunch"] for subnet in subnets), "public by default: the file must say no"
            group = ec2.create_security_group(GroupName="ray", Description="ray", VpcId=subnets[0]["VpcId"])
            ec2.create_key_pair(KeyName="roadscan-ray")
            for profile in set(PROFILES.values()):
                iam.create_instance_profile(InstanceProfileName=profile)
            yield {
                "ami-EDIT-ME": ec2.describe_images()["Images"][0]["ImageId"],
                "subnet-EDIT-ME-b": subnets[1]["SubnetId"],
                "subnet-EDIT-ME": subnets[0]["SubnetId"],
                "sg-EDIT-ME": group["GroupId"],
                "EDIT-ME.invalid": "registry.test",
            }


def edited(values: dict[str, str]) -> str:
    text = FILE.read_text()
    for old, new in values.items():
        text = text.replace(old, new)
    return text


def launch(text: str) -> dict[str, Instance]:
    """One machine of each type, by the code that `ray up` and the autoscaler run."""
    config = prepare_config(yaml.safe_load(text))
    validate_config(config)
    config = ray_aws.bootstrap_aws(config)
    provider = AWSNodeProvider(config["provider"], config["cluster_name"])
    made = {
        name: provider.create_node(kind["node_config"], {"ray-user-node-type": name}, 1)
        for name, kind in config["available_node_types"].items()
    }
    return {name: machine(*created) for name, created in made.items()}


def machine(identity: str) -> Instance:
    (found,) = boto3.client("ec2", REGION).describe_instances(InstanceIds=[identity])["Reservations"]
    return found["Instances"][0]


def everything() -> list[object]:
    """What costs or opens something in the account."""
    ec2, iam = boto3.client("ec2", REGION), boto3.client("iam", REGION)
    return [
        ec2.describe_instances()["Reservations"],
        ec2.describe_security_groups()["SecurityGroups"],
        ec2.describe_key_pairs()["KeyPairs"],
        iam.list_roles()["Roles"],
    ]


def test_head_is_on_demand_and_workers_are_spot(account: dict[str, str]) -> None:
    made = launch(edited(account))
    assert {name: one.get("InstanceLifecycle") for name, one in made.items()} == {
        "head": None, "gpu-a": "spot", "gpu-b": "spot"
    }  # fmt: skip
    assert made["gpu-a"]["SubnetId"] != made["gpu-b"]["SubnetId"], "two zones"


def test_machines_have_our_profiles_and_no_public_address(account: dict[str, str]) -> None:
    for name, made in launch(edited(account)).items():
        assert made["IamInstanceProfile"]["Arn"].endswith(f"/{PROFILES[name]}")
        assert made.get("PublicIpAddress") is None
        assert made["MetadataOptions"]["HttpTokens"] == "required"
    assert boto3.client("iam", REGION).list_roles()["Roles"] == [], "Ray made no role of its own"


def test_without_the_line_the_machine_would_be_public(account: dict[str, str]) -> None:
    text = re.sub(r"(AssociatePublicIpAddress: )false", r"\1true", edited(account))
    assert all(made.get("PublicIpAddress") for made in launch(text).values())


@pytest.mark.parametrize("left", ["ami-EDIT-ME", "subnet-EDIT-ME", "sg-EDIT-ME"])
def test_nothing_is_made_until_the_file_is_edited(account: dict[str, str], left: str) -> None:
    before = everything()
    # Ray gives up by an assertion or by click; EC2 refuses, which reaches us as one of the last two.
    with pytest.raises((AssertionError, ClickException, ClientError, NodeLaunchException)):
        launch(edited({old: new for old, new in account.items() if not old.startswith(left)}))
    assert everything() == before


def test_workers_start_from_none_and_the_secret_is_asked_for_everywhere() -> None:
    config = prepare_config(yaml.safe_load(FILE.read_text()))
    validate_config(config)
    types = config["available_node_types"]
    assert [types[name]["min_workers"] for name in ("gpu-a", "gpu-b")] == [0, 0]
    assert config["provider"]["use_internal_ips"] is True
    assert "--env=RAY_AUTH_MODE=token" in config["docker"]["run_options"]
    assert config["file_mounts"] == {"~/.ray/auth_token": "~/.ray/auth_token"}
    for who in ("head", "worker"):
        assert any("test -s ~/.ray/auth_token" in line for line in config[f"{who}_setup_commands"])
        assert not config["docker"][f"{who}_image"].endswith(":latest")


@pytest.mark.parametrize(
    ("line", "typo", "error"),
    [
        ("idle_timeout_minutes: 5", "idle_timout_minutes: 5", ValidationError),
        ("  run_options:", "  run_optoins:", ValidationError),
        ("head_node_type: head", "head_node_type: haed", ValueError),
        ("      MetadataOptions: *metadata", "      MetadataOption: *metadata", ParamValidationError),
        ("        MarketType: spot", "        MarketTyp: spot", ParamValidationError),
        ("          AssociatePublicIpAddress: false", "          AsociatePublicIpAddress: false", ParamValidationError),
        (
            "      IamInstanceProfile: {Name: roadscan-ray-worker}",
            "      IamInstanceProfil: {Name: w}",
            ParamValidationError,
        ),
    ],
)
def test_a_typo_is_caught(account: dict[str, str], line: str, typo: str, error: type[Exception]) -> None:
    text = edited(account)
    assert text.count(f"{line}\n") + text.count(f"{line} #") >= 1
    with pytest.raises(error):
        launch(text.replace(line, typo))
