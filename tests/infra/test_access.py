"""Who may do what: the templates' own policies, enforced by moto."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import pytest

moto = pytest.importorskip("moto", reason="needs moto: pip install 'moto[ec2,iam]'")

from botocore.exceptions import ClientError  # noqa: E402
from infra.templates import INFRA, load, resolve  # noqa: E402
from moto.core import set_initial_no_auth_action_count  # noqa: E402

REGION = "ap-southeast-1"
BUCKETS = {"Raw": "hw-raw", "Warehouse": "hw-warehouse", "Models": "hw-models"}
OTHER = "hw-payroll"
VALUES = BUCKETS | {"Key": f"arn:aws:kms:{REGION}:123456789012:key/k", "Repositories": "roadscan*"}

# read, write, list of each bucket; nobody deletes anything, or reaches another bucket.
ALLOWED = {
    "ScanRole": {"hw-raw": "rl", "hw-warehouse": "rwl", "hw-models": "rl"},
    "TrainRole": {"hw-raw": "rl", "hw-models": "rwl"},
    "WorkerRole": {"hw-raw": "rl", "hw-warehouse": "rwl", "hw-models": "rwl"},
    "HeadRole": {"hw-raw": "rl", "hw-warehouse": "rwl", "hw-models": "rwl"},
}
CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "r": ("get_object", {"Key": "there"}),
    "w": ("put_object", {"Key": "new", "Body": b""}),
    "l": ("list_objects_v2", {}),
    "d": ("delete_object", {"Key": "there"}),
}


def policies(role: str, template: dict[str, Any]) -> dict[str, Any]:
    """The documents of a role, by the names of their policies."""
    resources = template["Resources"]
    names = [one["Ref"] for one in resources[role]["Properties"]["ManagedPolicyArns"]]
    return {name: resolve(resources[name]["Properties"]["PolicyDocument"], VALUES) for name in names}


@contextmanager
def acting_as(role: str, template: dict[str, Any]) -> Iterator[Any]:
    """S3 as a role meets it, with an object in each bucket."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "none")
        with moto.mock_aws():
            s3, iam = boto3.client("s3", REGION), boto3.client("iam", REGION)
            for bucket in (*BUCKETS.values(), OTHER):
                s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
                s3.put_object(Bucket=bucket, Key="there", Body=b"")
            trust = template["Resources"][role]["Properties"]["AssumeRolePolicyDocument"]
            arn = iam.create_role(RoleName=role, AssumeRolePolicyDocument=json.dumps(resolve(trust, VALUES)))["Role"]
            for name, document in policies(role, template).items():
                made = iam.create_policy(PolicyName=name, PolicyDocument=json.dumps(document))["Policy"]["Arn"]
                iam.attach_role_policy(RoleName=role, PolicyArn=made)
            given = boto3.client("sts", REGION).assume_role(RoleArn=arn["Arn"], RoleSessionName="job")["Credentials"]
            yield boto3.client(
                "s3", REGION, aws_access_key_id=given["AccessKeyId"], aws_secret_access_key=given["SecretAccessKey"],
                aws_session_token=given["SessionToken"],
            )  # fmt: skip


def may(s3: Any, bucket: str) -> str:
    """What of r, w, l and d a client may do in a bucket."""

    @set_initial_no_auth_action_count(0)
    def refusal(call: str, arguments: dict[str, Any]) -> str | None:
        try:
            getattr(s3, call)(Bucket=bucket, **arguments)
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return None

    refusals = {letter: refusal(call, arguments) for letter, (call, arguments) in CALLS.items()}
    assert set(refusals.values()) <= {None, "AccessDenied"}
    return "".join(letter for letter, refused in refusals.items() if not refused)


@pytest.mark.parametrize("role", ALLOWED)
def test_a_role_may_do_its_work_and_no_more(role: str) -> None:
    with acting_as(role, load(INFRA / "access.yaml")) as s3:
        got = {bucket: may(s3, bucket) for bucket in (*BUCKETS.values(), OTHER)}
    assert got == {bucket: ALLOWED[role].get(bucket, "") for bucket in got}


def test_the_matrix_sees_a_policy_that_allows_more() -> None:
    template = load(INFRA / "access.yaml")
    template["Resources"]["Scan"]["Properties"]["PolicyDocument"]["Statement"].append(
        {"Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::hw-raw/*"}
    )
    with acting_as("ScanRole", template) as s3:
        assert may(s3, "hw-raw") == "rwld"


def test_no_policy_names_an_action_that_deletes() -> None:
    template = load(INFRA / "access.yaml")
    for role in ALLOWED:
        for document in policies(role, template).values():
            for statement in document["Statement"]:
                actions = statement["Action"]
                for action in [actions] if isinstance(actions, str) else actions:
                    assert "Delete" not in action
                    assert "*" not in action
