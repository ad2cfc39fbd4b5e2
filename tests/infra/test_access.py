"""Who may do what: the templates' own policies, enforced by moto on each call and on the program itself."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from typing import Any

import boto3
import pytest
import yaml

moto = pytest.importorskip("moto", reason="needs moto: pip install 'moto[ec2,iam]'")

from botocore.exceptions import ClientError  # noqa: E402
from moto.core import set_initial_no_auth_action_count  # noqa: E402
from support.templates import INFRA, Template, as_list, load, resolve  # noqa: E402

from roadscan.doctor import store as doctor  # noqa: E402
from roadscan.errors import AccessDenied  # noqa: E402
from roadscan.storage import open_store  # noqa: E402
from roadscan.warehouse import Change, Warehouse  # noqa: E402

REGION = "ap-southeast-1"
VALUES = {
    "Raw": "hw-raw",
    "Warehouse": "hw-warehouse",
    "Models": "hw-models",
    "Key": f"arn:aws:kms:{REGION}:123456789012:key/k",
    "Labelled": "labelled",
}
# What may be done where: read, write, list (a bucket as a whole). No job may delete, or look into a bucket of others.
PLACES = ("hw-raw/drives", "hw-raw/labelled", "hw-warehouse/highways", "hw-models/runs", "hw-payroll/2026")
MATRIX = {
    "ScanRole": ("rl", "rl", "rwl", "rl", ""),
    "TrainRole": ("l", "rl", "", "rwl", ""),
    "WorkerRole": ("rl", "rl", "rwl", "rwl", ""),
    "HeadRole": ("rl", "rl", "rwl", "rwl", ""),
}
SUSPENDED = {"Status": "Suspended"}
EXPIRED = {"Rules": [{"ID": "all", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}]}
NEVER: dict[str, dict[str, Any]] = {  # ways to lose data, or to show it to others
    "delete_object": {"Key": "drives/there"},
    "delete_objects": {"Delete": {"Objects": [{"Key": "drives/there"}]}},
    "delete_bucket": {},
    "delete_bucket_policy": {},
    "put_bucket_policy": {"Policy": "{}"},
    "put_bucket_versioning": {"VersioningConfiguration": SUSPENDED},
    "put_bucket_lifecycle_configuration": {"LifecycleConfiguration": EXPIRED},
}

Credentials = dict[str, str]


def policies(role: str, template: Template) -> dict[str, Any]:
    """The documents of a role, by the names of their policies."""
    resources = template["Resources"]
    names = [one["Ref"] for one in resources[role]["Properties"]["ManagedPolicyArns"]]
    return {name: resolve(resources[name]["Properties"]["PolicyDocument"], VALUES) for name in names}


def statements(role: str, template: Template) -> list[dict[str, Any]]:
    return [one for document in policies(role, template).values() for one in document["Statement"]]


@contextmanager
def account() -> Iterator[pytest.MonkeyPatch]:
    """An account with an object in each place, and nothing of this machine's own settings."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "none")
        patch.setenv("AWS_DEFAULT_REGION", REGION)
        with moto.mock_aws():
            s3 = boto3.client("s3")
            for bucket in sorted({place.split("/")[0] for place in PLACES}):
                s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
            for place in PLACES:
                bucket, folder = place.split("/")
                s3.put_object(Bucket=bucket, Key=f"{folder}/there", Body=b"bytes")
            yield patch


def assume(role: str, documents: dict[str, Any]) -> Credentials:
    """What a job with that role gets, as boto3's arguments."""
    iam = boto3.client("iam")
    trust = load("access")["Resources"][role]["Properties"]["AssumeRolePolicyDocument"]
    made = iam.create_role(RoleName=role, AssumeRolePolicyDocument=json.dumps(resolve(trust, VALUES)))["Role"]
    for name, document in documents.items():
        policy = iam.create_policy(PolicyName=name, PolicyDocument=json.dumps(document))["Policy"]
        iam.attach_role_policy(RoleName=role, PolicyArn=policy["Arn"])
    given = boto3.client("sts").assume_role(RoleArn=made["Arn"], RoleSessionName="job")["Credentials"]
    return {
        "aws_access_key_id": given["AccessKeyId"],
        "aws_secret_access_key": given["SecretAccessKey"],
        "aws_session_token": given["SessionToken"],
    }


@set_initial_no_auth_action_count(0)
def refused(call: Callable[..., Any], **arguments: Any) -> bool:
    """Whether a call is refused for want of a right; another error fails the test."""
    try:
        answer = call(**arguments)
    except ClientError as error:
        if error.response["Error"]["Code"] in ("AccessDenied", "UnauthorizedOperation"):
            return True
        raise
    return bool(answer.get("Errors"))  # of many objects, each is answered for itself


def rights(s3: Any) -> tuple[str, ...]:
    """What a client may do in each of the places."""
    found = []
    for place in PLACES:
        bucket, folder = place.split("/")
        calls = {
            "r": lambda bucket=bucket, folder=folder: refused(s3.get_object, Bucket=bucket, Key=f"{folder}/there"),
            "w": lambda bucket=bucket, folder=folder: refused(s3.put_object, Bucket=bucket, Key=f"{folder}/new"),
            "l": lambda bucket=bucket: refused(s3.list_objects_v2, Bucket=bucket),
        }
        found.append("".join(letter for letter, no in calls.items() if not no()))
    return tuple(found)


@pytest.mark.parametrize("role", MATRIX)
def test_a_role_may_do_its_work_and_no_more(role: str) -> None:
    with account():
        s3 = boto3.client("s3", **assume(role, policies(role, load("access"))))
        assert rights(s3) == MATRIX[role]
        for bucket in ("hw-raw", "hw-warehouse", "hw-models"):
            for call, arguments in NEVER.items():
                assert refused(getattr(s3, call), Bucket=bucket, **arguments), f"{call} in {bucket}"


@pytest.mark.parametrize(
    ("role", "policy", "statement", "change"),
    [
        ("ScanRole", "Scan", "Write", {"Resource": "*"}),
        ("ScanRole", "Scan", "Write", {"Action": "s3:*", "Resource": "arn:aws:s3:::hw-models/*"}),
        ("ScanRole", "Scan", "Read", {"Resource": "arn:aws:s3:::hw-*"}),
        ("ScanRole", "Scan", "Find", {"Resource": "*"}),
        ("TrainRole", "Train", "Read", {"Resource": ["arn:aws:s3:::hw-raw/*", "arn:aws:s3:::hw-models/*"]}),
        ("WorkerRole", "Train", "Read", {"Action": "s3:*"}),
    ],
)
def test_the_matrix_sees_a_loosened_policy(role: str, policy: str, statement: str, change: dict[str, Any]) -> None:
    template = load("access")
    (found,) = [
        one
        for one in template["Resources"][policy]["Properties"]["PolicyDocument"]["Statement"]
        if one["Sid"] == statement
    ]
    found.update(change)
    with account():
        assert rights(boto3.client("s3", **assume(role, policies(role, template)))) != MATRIX[role]


def test_a_right_to_delete_would_be_seen() -> None:
    documents = policies("ScanRole", load("access"))
    documents["Scan"]["Statement"].append({"Effect": "Allow", "Action": "s3:Delete*", "Resource": "*"})
    with account():
        s3 = boto3.client("s3", **assume("ScanRole", documents))
        assert not refused(s3.delete_object, Bucket="hw-raw", Key="drives/there")


@pytest.mark.parametrize("role", MATRIX)
def test_every_right_is_named(role: str) -> None:
    for statement in statements(role, load("access")):
        assert statement["Effect"] == "Allow"
        for action in as_list(statement["Action"]):
            assert "*" not in action
            assert "Delete" not in action


def test_a_vacuum_deletes_in_the_warehouse_and_writes_nowhere() -> None:
    documents = policies("VacuumRole", load("access"))
    assert [
        action for one in documents["Vacuum"]["Statement"] for action in as_list(one["Action"]) if "*" in action
    ] == []
    with account():
        s3 = boto3.client("s3", **assume("VacuumRole", documents))
        assert rights(s3) == ("", "", "rl", "", "")
        for bucket in ("hw-raw", "hw-models"):
            for call, arguments in NEVER.items():
                assert refused(getattr(s3, call), Bucket=bucket, **arguments), f"{call} in {bucket}"
        assert not refused(s3.delete_object, Bucket="hw-warehouse", Key="highways/there")
        assert refused(s3.delete_bucket, Bucket="hw-warehouse")


def as_job(patch: pytest.MonkeyPatch, credentials: Credentials) -> None:
    for name, value in credentials.items():
        patch.setenv(name.upper(), value)


def test_the_program_works_with_a_scans_rights() -> None:
    @set_initial_no_auth_action_count(0)
    def night() -> None:
        assert open_store("s3://hw-raw/drives").read("there") == b"bytes"
        assert open_store("s3://hw-models/runs").read("there") == b"bytes"
        warehouse = Warehouse("s3://hw-warehouse/highways")
        for note in ("first", "second"):
            warehouse.publish(lambda _, note=note: Change(note))
        assert warehouse.current().note == "second"
        found = list(doctor.warehouse("s3://hw-warehouse/highways"))
        assert [one.check for one in found if one.status != "ok"] == []
        for uri in ("s3://hw-raw/drives", "s3://hw-models/runs", "s3://hw-payroll/2026"):
            with pytest.raises(AccessDenied):
                open_store(uri).write("there", b"other bytes")

    with account() as patch:
        as_job(patch, assume("ScanRole", policies("ScanRole", load("access"))))
        night()


def test_a_training_may_not_publish() -> None:
    @set_initial_no_auth_action_count(0)
    def training() -> None:
        assert open_store("s3://hw-raw/labelled").read("there") == b"bytes"
        open_store("s3://hw-models/runs").write("highways.zip", b"weights")
        with pytest.raises(AccessDenied):
            Warehouse("s3://hw-warehouse/highways").publish(lambda _: Change("forged"))
        with pytest.raises(AccessDenied):
            open_store("s3://hw-raw/drives").read("there")

    with account() as patch:
        as_job(patch, assume("TrainRole", policies("TrainRole", load("access"))))
        training()


@pytest.mark.slow
def test_only_the_head_may_start_machines() -> None:
    """Ray's own calls, by the head; moto knows no addresses and conditions in EC2, so here each action stands alone."""
    from ray.autoscaler._private.aws.node_provider import AWSNodeProvider

    @set_initial_no_auth_action_count(0)
    def life(credentials: Credentials) -> None:
        settings = {"region": REGION, "cache_stopped_nodes": False, "aws_credentials": credentials}
        provider = AWSNodeProvider(settings, "roadscan")
        (made,) = provider.create_node({"ImageId": image, "InstanceType": "g6.2xlarge", "SubnetIds": [subnet]}, {}, 1)
        assert provider.non_terminated_nodes({}) == [made]
        provider.set_node_tags(made, {"ray-node-status": "up-to-date"})
        provider.terminate_node(made)

    template = load("access")
    with account():
        ec2 = boto3.client("ec2")
        image, subnet = ec2.describe_images()["Images"][0]["ImageId"], ec2.describe_subnets()["Subnets"][0]["SubnetId"]
        for role in MATRIX:
            documents = policies(role, template)
            for one in [one for document in documents.values() for one in document["Statement"]]:
                one.pop("Condition", None)
                if "ec2:" in str(one["Action"]):
                    one["Resource"] = "*"
            credentials = assume(role, {f"{role}-{name}": document for name, document in documents.items()})
            if role == "HeadRole":
                life(credentials)
            else:
                assert refused(boto3.client("ec2", **credentials).describe_instances)


def test_the_head_may_end_no_other_machine_and_lend_no_other_role() -> None:
    name = yaml.safe_load((INFRA.parent / "cluster/aws.yaml").read_text())["cluster_name"]
    for statement in statements("HeadRole", load("access")):
        for action in as_list(statement["Action"]):
            tags = statement.get("Condition", {}).get("StringLike", {})
            on_instances = any("instance/" in one for one in as_list(statement["Resource"]))
            if action == "ec2:TerminateInstances" or (action == "ec2:RunInstances" and on_instances):
                (pattern,) = tags.values()
                assert fnmatch(name, pattern)
                assert pattern != "*"
            if action == "iam:PassRole":
                assert statement["Resource"].endswith(":role/WorkerRole")


@pytest.mark.parametrize(("role", "pods"), [("ScanRole", "ScanPods"), ("TrainRole", "TrainPods")])
def test_a_role_is_given_to_its_own_service_account_alone(role: str, pods: str) -> None:
    (trust,) = load("access")["Resources"][role]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    cluster = load("cluster")["Resources"]
    association = cluster[pods]["Properties"]
    assert association["RoleArn"] == {"Ref": role}
    assert trust["Condition"]["StringEquals"] == {
        "aws:SourceAccount": {"Ref": "AWS::AccountId"},
        "aws:RequestTag/eks-cluster-name": cluster["Cluster"]["Properties"]["Name"],
        "aws:RequestTag/kubernetes-namespace": association["Namespace"],
        "aws:RequestTag/kubernetes-service-account": association["ServiceAccount"],
    }
