"""CloudFormation and images: each file by its linter and by checkov, which catch what is mistyped."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import yaml
from cluster.manifests import tool
from infra.templates import INFRA, TEMPLATES, load

REGION = "ap-southeast-1"
DOCKERFILES = [INFRA / "Dockerfile", INFRA / "Dockerfile.cpu"]
ROOT = INFRA.parent

pytestmark = pytest.mark.slow


def lint(path: Path) -> subprocess.CompletedProcess[str]:
    if path.suffix == ".yaml":
        command = [tool("cfn-lint"), "--regions", REGION, "--template", str(path)]
    else:
        command = [tool("hadolint"), str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("path", [*TEMPLATES, *DOCKERFILES], ids=lambda path: path.name)
def test_a_file_is_right(path: Path) -> None:
    done = lint(path)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "line", "typo"),
    [
        ("storage.yaml", "EventBridgeEnabled: true", "EventBridgeEnable: true"),
        ("storage.yaml", "Type: AWS::KMS::Alias", "Type: AWS::KMS::Alais"),
        ("storage.yaml", "!GetAtt Key.Arn", "!GetAtt Kye.Arn"),
        ("registry.yaml", "ImageTagMutability: IMMUTABLE", "ImageTagMutability: IMUTABLE"),
        ("network.yaml", "!Ref SubnetB]", "!Ref SubnetC]"),
        ("network.yaml", "VpcEndpointType: Gateway", "VpcEndpointTyp: Gateway"),
        ("access.yaml", "Effect: Allow", "Efect: Allow"),
        ("access.yaml", "Action: s3:ListBucket", "Action: s3:ListBuckets3"),
        ("cluster.yaml", "CapacityType: SPOT", "CapacityType: SPTO"),
        ("cluster.yaml", "Effect: NO_SCHEDULE", "Effect: NoSchedule"),
        ("alarm.yaml", "TreatMissingData: breaching", "TreatMissingDate: breaching"),
        ("alarm.yaml", "LessThanThreshold", "LesThanThreshold"),
        ("Dockerfile", "WORKDIR /app", "WORKDR /app"),
        ("Dockerfile", "COPY --from=build", "COPY --form=build"),
        ("Dockerfile.cpu", "USER 1000:1000", "USER root"),
        ("Dockerfile.cpu", "--no-install-recommends ", ""),
    ],
)
def test_a_typo_is_caught(tmp_path: Path, name: str, line: str, typo: str) -> None:
    text = (INFRA / name).read_text()
    assert line in text
    path = tmp_path / name
    path.write_text(text.replace(line, typo, 1))
    assert lint(path).returncode != 0


def test_checkov_finds_nothing() -> None:
    command = [
        tool("checkov"), "--framework", "cloudformation", "dockerfile", "--skip-download", "--quiet", "--output=json",
        "--directory", str(INFRA),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    reports = json.loads(done.stdout)
    assert {report["check_type"] for report in reports} == {"cloudformation", "dockerfile"}
    for report in reports:
        assert report["summary"]["passed"] > 100
        assert [(one["check_id"], one["resource"]) for one in report["results"]["failed_checks"]] == []


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_every_parameter_and_output_says_what_it_is(path: Path) -> None:
    template = load(path)
    assert template["Description"].startswith("roadscan - ")
    for name, one in (template["Parameters"] | template.get("Outputs", {})).items():
        assert one.get("Description"), name


def test_what_one_stack_asks_for_another_gives() -> None:
    given = {name for path in TEMPLATES for name in load(path).get("Outputs", {})}
    asked = {
        (path.name, name)
        for path in TEMPLATES
        for name, one in load(path)["Parameters"].items()
        if "output of this name" in one["Description"]
    }
    assert asked
    assert {name for _, name in asked} <= given


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_an_image_is_built_from_what_the_repository_has(path: Path) -> None:
    ignored = [line for line in Path(f"{path}.dockerignore").read_text().splitlines() if line.startswith("!")]
    sources = [
        word
        for line in path.read_text().splitlines()
        if line.startswith("COPY") and "--from" not in line
        for word in line.split()[1:-1]
    ]
    assert {"jobs", "roadscan", ".ci/constraints.txt"} <= set(sources)
    for source in sources:
        assert (ROOT / source).exists(), source
        assert any(source.startswith(one[1:]) for one in ignored), f"{source} is not sent to the builder"
    assert "USER 1000:1000" in path.read_text()


def test_the_cluster_is_what_the_manifests_count_on() -> None:
    resources = load(INFRA / "cluster.yaml")["Resources"]
    gpu = resources["Gpu"]["Properties"]
    assert (gpu["CapacityType"], gpu["ScalingConfig"]["MinSize"]) == ("SPOT", 0)
    assert gpu["Taints"][0]["Key"] == "nvidia.com/gpu"
    network = resources["Cluster"]["Properties"]["ResourcesVpcConfig"]
    assert (network["EndpointPrivateAccess"], network["EndpointPublicAccess"]) == (True, False)
    accounts = {
        one["metadata"]["name"]
        for one in yaml.safe_load_all((ROOT / "cluster/k8s/base/service-accounts.yaml").read_text())
        if one["kind"] == "ServiceAccount"
    }
    pods = [one["Properties"] for one in resources.values() if one["Type"] == "AWS::EKS::PodIdentityAssociation"]
    ours = {one["ServiceAccount"] for one in pods if one["Namespace"] == "roadscan"}
    assert ours == {"roadscan-scan", "roadscan-train"}
    assert ours <= accounts


def test_every_bucket_is_private_versioned_and_for_tls_alone() -> None:
    resources = load(INFRA / "storage.yaml")["Resources"]
    buckets = [name for name, one in resources.items() if one["Type"] == "AWS::S3::Bucket"]
    assert set(buckets) == {"Logs", "Raw", "Warehouse", "Models"}
    for name in buckets:
        properties = resources[name]["Properties"]
        assert properties["VersioningConfiguration"] == {"Status": "Enabled"}
        assert set(properties["PublicAccessBlockConfiguration"].values()) == {True}
        assert any("AbortIncompleteMultipartUpload" in one for one in properties["LifecycleConfiguration"]["Rules"])
        statements = resources[f"{name}Policy"]["Properties"]["PolicyDocument"]["Statement"]
        (tls,) = [one for one in statements if one["Effect"] == "Deny"]
        assert tls["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        assert resources[name]["DeletionPolicy"] == "Retain"


def test_the_alarm_rings_where_nothing_comes() -> None:
    alarm = load(INFRA / "alarm.yaml")["Resources"]["Stale"]["Properties"]
    assert alarm["TreatMissingData"] == "breaching"
    assert alarm["EvaluationPeriods"] == alarm["DatapointsToAlarm"] == {"Ref": "Hours"}
