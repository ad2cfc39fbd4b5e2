"""The Kubernetes manifests: each kind by its schema, and what no schema says."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import jsonschema
import pytest
import yaml
from support.apiserver import api_server
from support.manifests import K8S, OVERLAYS, SCHEMA, Manifest, check, pods, render, tool, upstream

from roadscan.config import load_config
from roadscan.errors import ConfigError
from roadscan.nightly.config import NightlyConfig
from roadscan.scan.config import ScanConfig
from roadscan.train.config import TrainConfig
from roadscan.tune.config import TuneConfig

CONFIGS = {"nightly": NightlyConfig, "scan": ScanConfig, "train": TrainConfig, "tune": TuneConfig}
# Made by hand, as cluster/README.md says: no manifest may hold a secret.
DOCUMENTED = {("Secret", "ray-auth-token"), ("Secret", "roadscan-webhook")}
BUCKETS = {"EDIT-ME-raw": "raw", "EDIT-ME-warehouse": "warehouse", "EDIT-ME-models": "models"}


def find(manifests: list[Manifest], kind: str, name: str) -> Manifest:
    (one,) = [m for m in manifests if (m["kind"], m["metadata"]["name"]) == (kind, name)]
    return one


@pytest.fixture(scope="module")
def rendered() -> dict[str, list[Manifest]]:
    return {overlay: render(K8S / "overlays" / overlay) for overlay in OVERLAYS}


@pytest.fixture(scope="module")
def all_pods(rendered: dict[str, list[Manifest]]) -> dict[str, Manifest]:
    return {where: pod for manifests in rendered.values() for one in manifests for where, pod in pods(one)}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_manifest_fits_its_schema(rendered: dict[str, list[Manifest]], overlay: str, tmp_path: Path) -> None:
    check(rendered[overlay], tmp_path)


def test_the_operators_own_schemas_agree(rendered: dict[str, list[Manifest]]) -> None:
    if upstream("RayJob") is None:
        pytest.skip("set ROADSCAN_KUBERAY_CRDS to the folder crds/ of the chart kuberay-operator")
    for manifest in [m for manifests in rendered.values() for m in manifests if m["apiVersion"] == "ray.io/v1"]:
        jsonschema.validate(manifest, upstream(manifest["kind"]))


@pytest.mark.parametrize(
    ("overlay", "file", "text", "typo"),
    [
        ("production", "base/namespace.yaml", "  hard:", "  hrad:"),
        ("production", "base/service-accounts.yaml", "automountServiceAccountToken", "automountServiceAcountToken"),
        ("production", "base/network-policies.yaml", "podSelector: {}", "podSelectors: {}"),
        ("production", "jobs/nightly/cronjob.yaml", "concurrencyPolicy: Forbid", "concurrencyPolice: Forbid"),
        ("production", "jobs/nightly/cronjob.yaml", "startingDeadlineSeconds: 14400", "startingDeadlineSeconds: 4h"),
        ("production", "jobs/nightly/scheduler.yaml", "apiGroups: [ray.io]", "apiGroup: [ray.io]"),
        ("production", "jobs/nightly/scheduler.yaml", "roleRef:", "rolRef:"),
        ("production", "jobs/nightly/kustomization.yaml", "/spec/suspend", "/spec/suspended"),
        ("production", "jobs/base/rayjob.yaml", "shutdownAfterJobFinishes: true", "shutdownAfterJobFinish: true"),
        ("production", "jobs/base/rayjob.yaml", "readOnlyRootFilesystem", "readOnlyRootFileSystem"),
        ("production", "jobs/base/rayjob.yaml", "minReplicas: 0", "minReplica: 0"),
        ("production", "jobs/base/rayjob.yaml", "mode: token", "mode: tokn"),
        ("production", "jobs/base/kustomization.yaml", "rayjob.yaml", "rayjobs.yaml"),
        ("production/scan", "overlays/production/scan/kustomization.yaml", "components:", "component:"),
        ("production/train", "overlays/production/train/kustomization.yaml", "jobs/train", "jobs/trian"),
        ("production/tune", "overlays/production/tune/kustomization.yaml", "resources:", "resource:"),
        ("production/scan", "jobs/scan/kustomization.yaml", "/spec/entrypoint", "/spec/entrypiont"),
        ("production/train", "jobs/train/kustomization.yaml", "serviceAccountName", "serviceAcountName"),
        ("production/tune", "jobs/tune/kustomization.yaml", "/maxReplicas", "/maxReplica"),
        ("production", "overlays/production/kustomization.yaml", "configMapGenerator:", "configMapGenerators:"),
        ("production", "overlays/production/site/kustomization.yaml", "newName:", "newNam:"),
        ("production", "base/kustomization.yaml", "namespace.yaml", "namespaces.yaml"),
        ("development", "overlays/development/kustomization.yaml", "../../development", "../../developmnt"),
        ("development", "development/kustomization.yaml", "backend: rocksdb", "backend: rockdb"),
        ("development", "development/cluster/kustomization.yaml", "spec.rayClusterSpec", "spec.rayCluster"),
        ("development", "development/cluster/raycluster.yaml", "kind: RayCluster", "kind: RayClutser"),
    ],
)
def test_a_typo_is_caught(overlay: str, file: str, text: str, typo: str, tmp_path: Path) -> None:
    copy = tmp_path / "k8s"
    shutil.copytree(K8S, copy)  # that it is right as it is: test_every_manifest_fits_its_schema
    before = (copy / file).read_text()
    assert text in before
    (copy / file).write_text(before.replace(text, typo))
    with pytest.raises((ValueError, jsonschema.ValidationError)):
        check(render(copy / "overlays" / overlay), tmp_path)


def config(name: str) -> str:
    """A job's config, edited."""
    text = (K8S / "overlays/production/configs" / f"{name}.yaml").read_text()
    for marked, bucket in BUCKETS.items():
        text = text.replace(marked, bucket)
    assert "EDIT-ME" not in text
    return text


@pytest.mark.parametrize("name", CONFIGS)
def test_configs_of_the_jobs_load(name: str, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(config(name))
    load_config(CONFIGS[name], str(path), [])


@pytest.mark.parametrize(
    ("name", "text", "typo"),
    [
        ("nightly", "no_progress_s:", "no_progres_s:"),
        ("scan", "precision: half", "precision: hlaf"),
        ("train", "loader_workers:", "loader_worker:"),
        ("tune", "loss.gamma:", "loss.gama:"),
    ],
)
def test_a_typo_in_a_config_is_caught(name: str, text: str, typo: str, tmp_path: Path) -> None:
    assert text in config(name)
    path = tmp_path / "config.yaml"
    path.write_text(config(name).replace(text, typo))
    with pytest.raises(ConfigError, match=typo.split(":")[0]):
        load_config(CONFIGS[name], str(path), [])


def test_every_pod_is_confined_and_bounded(all_pods: dict[str, Manifest]) -> None:
    assert len(all_pods) == 15, "head, worker and submitter of four jobs; head and worker of a cluster; the scheduler's"
    for where, pod in all_pods.items():
        spec = pod["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True, where
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, where
        assert spec["serviceAccountName"].startswith("roadscan-"), where
        needs_api = where.endswith(("/head", "/job"))
        assert spec["automountServiceAccountToken"] is needs_api, f"{where}: only who asks the API server has its token"
        for container in spec["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}
            }, where  # fmt: skip
            assert {"cpu", "memory"} <= set(container["resources"]["limits"]), where
            mounts = {mount["name"] for mount in container["volumeMounts"]}
            assert mounts == {volume["name"] for volume in spec["volumes"]}, where
            image, _, tag = container["image"].rpartition(":")
            assert image, where
            assert tag[0].isdigit(), f"{where}: a tag that stays the same, got {tag}"


def test_every_ray_process_asks_for_the_token(all_pods: dict[str, Manifest]) -> None:
    for where, pod in all_pods.items():
        if not where.startswith("CronJob/"):
            environment = {one["name"]: one for one in pod["spec"]["containers"][0]["env"]}
            assert environment["RAY_AUTH_MODE"]["value"] == "token", where
            reference = environment["RAY_AUTH_TOKEN"]["valueFrom"]["secretKeyRef"]
            assert reference == {"name": "ray-auth-token", "key": "auth_token"}, where


def test_training_and_scanning_have_different_rights(all_pods: dict[str, Manifest]) -> None:
    who = {where: pod["spec"]["serviceAccountName"] for where, pod in all_pods.items()}
    for part in ("head", "gpu"):
        assert {who[f"RayJob/{job}/{part}"] for job in ("train", "tune")} == {"roadscan-train"}
        assert {who[f"RayJob/{job}/{part}"] for job in ("scan", "nightly")} == {"roadscan-scan"}


@pytest.mark.parametrize("overlay", ["development", "production"])
def test_whatever_is_named_exists(rendered: dict[str, list[Manifest]], overlay: str) -> None:
    jobs = [m for name in OVERLAYS if name.startswith(overlay) for m in rendered[name]]
    there = {(m["kind"], m["metadata"]["name"]) for m in rendered[overlay]} | DOCUMENTED
    named = {reference for one in jobs for _, pod in pods(one) for reference in references(pod["spec"])}
    named |= {("Secret", m["spec"]["authOptions"]["secretName"]) for m in jobs if m["kind"] == "RayCluster"}
    assert named <= there
    assert ("ConfigMap", "roadscan-configs") in named
    readme = (K8S.parent / "README.md").read_text()
    assert all(f"create secret generic {name}" in readme for _, name in DOCUMENTED)


def references(spec: Manifest) -> Iterator[tuple[str, str]]:
    yield "ServiceAccount", spec["serviceAccountName"]
    for volume in spec["volumes"]:
        if "configMap" in volume:
            yield "ConfigMap", volume["configMap"]["name"]
    for container in spec["containers"]:
        for source in container.get("envFrom", []):
            yield from (("ConfigMap", source[key]["name"]) for key in source if key == "configMapRef")
            yield from (("Secret", source[key]["name"]) for key in source if key == "secretRef")
        for one in container.get("env", []):
            if "valueFrom" in one:
                yield "Secret", one["valueFrom"]["secretKeyRef"]["name"]


def test_no_secret_and_no_unedited_registry_is_deployed(rendered: dict[str, list[Manifest]]) -> None:
    for manifests in rendered.values():
        assert not [m for m in manifests if m["kind"] == "Secret"]
        for one in manifests:
            for where, pod in pods(one):
                # .invalid is never a name (RFC 2606): the image cannot be pulled before the overlay is edited.
                assert pod["spec"]["containers"][0]["image"].startswith("EDIT-ME.invalid/"), where


def test_everything_is_denied_that_is_not_allowed(rendered: dict[str, list[Manifest]]) -> None:
    deny = find(rendered["production"], "NetworkPolicy", "deny-all")["spec"]
    assert deny == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for policy in [m for m in rendered["production"] if m["kind"] == "NetworkPolicy"]:
        for rule in policy["spec"].get("ingress", []):
            assert rule["from"], "from anywhere"
            assert not any("ipBlock" in peer for peer in rule["from"]), "from outside of the cluster"
        for rule in policy["spec"].get("egress", []):
            for block in [peer["ipBlock"] for peer in rule["to"] if "ipBlock" in peer]:
                assert block["cidr"] != "0.0.0.0/0" or "169.254.0.0/16" in block["except"], "the node's credentials"


def test_the_scheduler_may_only_get_the_template_and_create(rendered: dict[str, list[Manifest]]) -> None:
    rules = find(rendered["production"], "Role", "roadscan-scheduler")["rules"]
    assert all((rule["apiGroups"], rule["resources"]) == (["ray.io"], ["rayjobs"]) for rule in rules)
    assert [(rule["verbs"], rule.get("resourceNames")) for rule in rules] == [
        (["get"], ["nightly"]),
        (["create"], None),
    ]


def test_development_starts_from_no_gpu_and_survives_its_head(rendered: dict[str, list[Manifest]]) -> None:
    spec = find(rendered["development"], "RayCluster", "development")["spec"]
    assert spec["enableInTreeAutoscaling"] is True
    assert [(group["replicas"], group["minReplicas"]) for group in spec["workerGroupSpecs"]] == [(0, 0)]
    assert spec["gcsFaultToleranceOptions"] == {"backend": "rocksdb", "storage": {"size": "1Gi"}}


@pytest.mark.slow
def test_checkov_finds_nothing(
    all_pods: dict[str, Manifest], rendered: dict[str, list[Manifest]], tmp_path: Path
) -> None:
    others = [m for m in rendered["production"] if not m["apiVersion"].startswith("ray.io/")]
    rays = [pod for where, pod in all_pods.items() if not where.startswith("CronJob/")]
    (tmp_path / "all.yaml").write_text(yaml.safe_dump_all([*others, *rays]))
    command = [
        tool("checkov"),
        "--framework=kubernetes",
        "--skip-download",
        "--quiet",
        "--output=json",
        f"--file={tmp_path}/all.yaml",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    report = json.loads(done.stdout)
    assert report["summary"]["passed"] > 200
    failed = [(one["check_id"], one["check_name"], one["resource"]) for one in report["results"]["failed_checks"]]
    assert failed == []


def test_a_night_is_created_once(rendered: dict[str, list[Manifest]], tmp_path: Path) -> None:
    container = find(rendered["production"], "CronJob", "nightly")["spec"]["jobTemplate"]["spec"]["template"]["spec"][
        "containers"
    ][0]
    template = find(rendered["production"], "RayJob", "nightly")
    kept = json.loads(json.dumps(template))
    # As the API server gives it back.
    kept["metadata"] |= {"uid": "1", "resourceVersion": "7", "finalizers": ["ray.io/rayjob-finalizer"]}
    kept["status"] = {"jobDeploymentStatus": "Suspended"}
    script = container["args"][0].replace("/tmp/", f"{tmp_path}/")

    def night() -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": f"{Path(tool('kubectl')).parent}:/usr/bin:/bin",
            "HOME": str(tmp_path),
            "KUBECONFIG": f"{tmp_path}/kubeconfig",
        }
        return subprocess.run(
            [*container["command"], script], env=environment, capture_output=True, text=True, check=False
        )

    with api_server(kept, tmp_path / "kubeconfig") as jobs:
        before, first, after = today(), night(), today()
        assert first.returncode == 0, first.stderr
        (name,) = set(jobs) - {"nightly"}
        date = name.removeprefix("nightly-")
        assert date in (before, after)
        created = jobs[name]
        jsonschema.validate(created, SCHEMA)
        assert created["spec"] == {
            **template["spec"], "suspend": False, "entrypoint": f"{template['spec']['entrypoint']} --date {date}"
        }  # fmt: skip
        second = night()
        if today() == after:
            assert second.returncode != 0
            assert "AlreadyExists" in second.stderr
            assert len(jobs) == 2


def today() -> str:
    return datetime.now(ZoneInfo("Asia/Bangkok")).date().isoformat()


def test_the_template_starts_nothing_by_itself(rendered: dict[str, list[Manifest]]) -> None:
    cron = find(rendered["production"], "CronJob", "nightly")["spec"]
    assert find(rendered["production"], "RayJob", "nightly")["spec"]["suspend"] is True
    assert (cron["concurrencyPolicy"], cron["timeZone"]) == ("Forbid", "Asia/Bangkok")
    night = yaml.safe_load((K8S / "overlays/production/configs/nightly.yaml").read_text())
    assert night["time_zone"] == cron["timeZone"], "the job and its schedule mean the same date"
