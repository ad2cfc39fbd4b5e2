"""CloudFormation: each template by its linter and by checkov, which catch typing errors; and what no linter knows."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from support.manifests import tool
from support.templates import INFRA, TEMPLATES, load

from roadscan.warehouse.warehouse import POINTER

REGION = "ap-southeast-1"
K8S = INFRA.parent / "cluster" / "k8s"
NAMES = [path.stem for path in TEMPLATES]


#: What a line of a template is mistyped as, and the rule that knows it.
TYPOS = (
    ("storage", "EventBridgeEnabled: true", "EventBridgeEnable: true", "E3002"),
    ("storage", "Type: AWS::KMS::Alias", "Type: AWS::KMS::Alais", "E3006"),
    ("storage", "!GetAtt Key.Arn", "!GetAtt Kye.Arn", "E1010"),
    ("storage", "DeletionPolicy: Retain", "DeletionPolicy: Retian", "E3035"),
    ("registry", "ImageTagMutability: IMMUTABLE", "ImageTagMutability: IMUTABLE", "E3030"),
    ("network", "!Ref SubnetB]", "!Ref SubnetC]", "E1020"),
    ("network", "VpcEndpointType: Gateway", "VpcEndpointTyp: Gateway", "E3002"),
    ("access", "Effect: Allow", "Efect: Allow", "E3510"),
    ("access", "Action: s3:ListBucket", "Action: s3:ListBuckets3", "W3037"),
    ("access", "s3:AbortMultipartUpload", "s3:AbortMultiPartUplaod", "W3037"),
    ("access", "${Warehouse}/*", "${Warehous}/*", "E1019"),
    ("cluster", "CapacityType: SPOT", "CapacityType: SPTO", "E3030"),
    ("cluster", "Effect: NO_SCHEDULE", "Effect: NoSchedule", "E3030"),
    ("cluster", "MinSize: 0", "MinSiez: 0", "E3002"),
    ("alarm", "TreatMissingData: breaching", "TreatMissingDate: breaching", "E3002"),
    ("alarm", "LessThanThreshold", "LesThanThreshold", "E3030"),
)


def lint(*paths: Path) -> dict[str, set[str]]:
    """Templates -> the rules that each breaks, by its path; in one run of the linter, which takes a second to start."""
    command = [tool("cfn-lint"), "--regions", REGION, "--format", "json", "--template", *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    broken: dict[str, set[str]] = {str(path): set() for path in paths}
    for one in json.loads(done.stdout):
        broken[one["Filename"]].add(one["Rule"]["Id"])
    return broken


@pytest.mark.slow
def test_a_template_is_right() -> None:
    assert lint(*TEMPLATES) == {str(path): set() for path in TEMPLATES}


@pytest.mark.slow
def test_a_typo_is_caught(tmp_path: Path) -> None:
    rules = {}
    for number, (name, line, typo, rule) in enumerate(TYPOS):
        text = (INFRA / f"{name}.yaml").read_text()
        assert line in text
        path = tmp_path / f"{number}-{name}.yaml"
        path.write_text(text.replace(line, typo, 1))
        rules[path] = rule
    broken = lint(*rules)
    assert {path.name: rule for path, rule in rules.items() if rule not in broken[str(path)]} == {}


@pytest.mark.slow
def test_checkov_finds_nothing() -> None:
    frameworks = ("cloudformation", "dockerfile")
    command = [
        tool("checkov"), "--framework", *frameworks, "--skip-download", "--quiet", "--output=json",
        "--directory", str(INFRA),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    reports = {report["check_type"]: report for report in json.loads(done.stdout)}
    assert reports.keys() == set(frameworks)
    for report in reports.values():
        assert report["summary"]["passed"] > 100
        assert [(one["check_id"], one["resource"]) for one in report["results"]["failed_checks"]] == []


@pytest.mark.parametrize("name", NAMES)
def test_a_check_that_is_skipped_says_why(name: str) -> None:
    for resource in load(name)["Resources"].values():
        for skipped in resource.get("Metadata", {}).get("checkov", {}).get("skip", []):
            assert re.fullmatch(r"CKV_AWS_\d+", skipped["id"])
            assert len(skipped["comment"].split()) > 4


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_and_output_says_what_it_is(name: str) -> None:
    template = load(name)
    assert template["Description"].startswith("roadscan - ")
    for parameter, one in (template["Parameters"] | template.get("Outputs", {})).items():
        assert one.get("Description"), parameter
        assert ("AllowedPattern" in one) == ("ConstraintDescription" in one), f"{parameter}: say what is allowed"


def test_what_one_stack_asks_for_another_gives() -> None:
    outputs = {name: set(load(name).get("Outputs", {})) for name in NAMES}
    asked = [
        (name, parameter, one["Description"])
        for name in NAMES
        for parameter, one in load(name)["Parameters"].items()
        if "output of this name" in one["Description"]
    ]
    assert len(asked) > 10
    for name, parameter, description in asked:
        (giver,) = [one for one in NAMES if f"{one}.yaml's output" in description]
        assert parameter in outputs[giver], f"{name} asks {giver} for {parameter}"


def test_the_cluster_is_what_the_manifests_count_on() -> None:
    resources = load("cluster")["Resources"]
    network = resources["Cluster"]["Properties"]["ResourcesVpcConfig"]
    assert (network["EndpointPrivateAccess"], network["EndpointPublicAccess"]) == (True, False)
    assert json.loads(resources["Network"]["Properties"]["ConfigurationValues"]) == {"enableNetworkPolicy": "true"}
    accounts = {
        one["metadata"]["name"]
        for one in yaml.safe_load_all((K8S / "base/service-accounts.yaml").read_text())
        if one["kind"] == "ServiceAccount"
    }
    pods = [one["Properties"] for one in resources.values() if one["Type"] == "AWS::EKS::PodIdentityAssociation"]
    ours = {one["ServiceAccount"] for one in pods if one["Namespace"] == "roadscan"}
    assert ours == {"roadscan-scan", "roadscan-train"}
    assert ours <= accounts


def test_workers_tolerate_the_gpu_nodes_and_nobody_else_does() -> None:
    gpu = load("cluster")["Resources"]["Gpu"]["Properties"]
    assert (gpu["CapacityType"], gpu["ScalingConfig"]["MinSize"], gpu["ScalingConfig"]["DesiredSize"]) == ("SPOT", 0, 0)
    (taint,) = gpu["Taints"]
    cluster = yaml.safe_load((K8S / "jobs/base/rayjob.yaml").read_text())["spec"]["rayClusterSpec"]
    (worker,) = [group["template"]["spec"] for group in cluster["workerGroupSpecs"]]
    assert [(one["key"], one["effect"]) for one in worker["tolerations"]] == [(taint["Key"], "NoSchedule")]
    assert "tolerations" not in cluster["headGroupSpec"]["template"]["spec"]
    assert gpu["Labels"]["nvidia.com/gpu.present"] == "true", "without it the device plug-in has no node to go to"


def test_nodes_are_encrypted_and_keep_their_role_from_pods() -> None:
    template = load("cluster")["Resources"]["Template"]["Properties"]["LaunchTemplateData"]
    assert template["MetadataOptions"] == {"HttpTokens": "required", "HttpPutResponseHopLimit": 1}
    assert all(one["Ebs"]["Encrypted"] for one in template["BlockDeviceMappings"])


def test_the_network_has_no_way_out() -> None:
    kinds = {one["Type"] for one in load("network")["Resources"].values()}
    assert not kinds & {"AWS::EC2::InternetGateway", "AWS::EC2::NatGateway", "AWS::EC2::Route", "AWS::EC2::EIP"}


def test_every_bucket_is_private_versioned_and_for_tls_alone() -> None:
    resources = load("storage")["Resources"]
    buckets = [name for name, one in resources.items() if one["Type"] == "AWS::S3::Bucket"]
    assert set(buckets) == {"Logs", "Raw", "Warehouse", "Models"}
    for name in buckets:
        properties = resources[name]["Properties"]
        assert properties["VersioningConfiguration"] == {"Status": "Enabled"}
        assert set(properties["PublicAccessBlockConfiguration"].values()) == {True}
        assert len(properties["PublicAccessBlockConfiguration"]) == 4
        rules = properties["LifecycleConfiguration"]["Rules"]
        assert any("AbortIncompleteMultipartUpload" in one for one in rules)
        assert any("NoncurrentVersionExpiration" in one for one in rules)
        assert name == "Logs" or not any("ExpirationInDays" in one for one in rules), "data itself is never expired"
        statements = resources[f"{name}Policy"]["Properties"]["PolicyDocument"]["Statement"]
        (tls,) = [one for one in statements if one["Effect"] == "Deny"]
        assert tls["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        assert (tls["Principal"], tls["Action"], len(tls["Resource"])) == ("*", "s3:*", 2)
        assert resources[name]["DeletionPolicy"] == resources[name]["UpdateReplacePolicy"] == "Retain"


def test_the_alarm_rings_where_nothing_comes() -> None:
    alarm = load("alarm")["Resources"]["Stale"]["Properties"]
    assert alarm["TreatMissingData"] == "breaching"
    assert alarm["EvaluationPeriods"] == alarm["DatapointsToAlarm"] == {"Ref": "Hours"}
    assert alarm["Period"] == 3600, "so that Hours are hours"
    assert alarm["Dimensions"][0]["Value"] == {"Ref": "Published"}


def test_the_alarm_watches_what_the_night_writes() -> None:
    config = yaml.safe_load((K8S / "overlays/production/configs/nightly.yaml").read_text())
    root = config["warehouse"].removeprefix("s3://").partition("/")[2]
    assert load("alarm")["Parameters"]["Pointer"]["Default"] == f"{root}/{POINTER}"
