"""Manifests as Kubernetes gets them, and what checks them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

K8S = Path(__file__).parents[2] / "cluster" / "k8s"
SCHEMA = yaml.safe_load((Path(__file__).parent / "schemas" / "kuberay.yaml").read_text())
OVERLAYS = ("development", "production", "production/scan", "production/train", "production/tune")

Manifest = dict[str, Any]


def tool(name: str) -> str:
    """A checker in the environment's own folder of tools, or a skipped test."""
    path = Path(sys.prefix) / "tools" / "bin" / name
    if not path.exists():
        pytest.skip(f"needs {name} in {path.parent}")
    return str(path)


def render(folder: Path) -> list[Manifest]:
    """What `kubectl apply -k` would send.

    Raises:
        ValueError: kustomize refuses.
    """
    done = subprocess.run([tool("kubectl"), "kustomize", str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ValueError(done.stderr)
    return list(yaml.safe_load_all(done.stdout))


def pods(manifest: Manifest) -> Iterator[tuple[str, Manifest]]:
    """Every pod that comes of a manifest: where it stands, and the pod."""
    spec, kind, name = manifest.get("spec", {}), manifest["kind"], manifest["metadata"]["name"]
    cluster = spec.get("rayClusterSpec", spec)
    templates = {
        "head": cluster.get("headGroupSpec", {}).get("template"),
        **{group["groupName"]: group["template"] for group in cluster.get("workerGroupSpecs", [])},
        "submitter": spec.get("submitterPodTemplate"),
        "job": spec.get("jobTemplate", {}).get("spec", {}).get("template"),
    }
    for part, template in templates.items():
        if template:
            metadata = {
                **template.get("metadata", {}),
                "name": f"{kind.lower()}-{name}-{part}",
                "namespace": "roadscan",
            }
            yield (
                f"{kind}/{name}/{part}",
                {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]},
            )


def check(manifests: list[Manifest], folder: Path) -> None:
    """Check all of them by their schemas, the Ray kinds' pods as Pods.

    Raises:
        jsonschema.ValidationError: a Ray kind is not as it should be.
        ValueError: any other, with what kubernetes-validate says.
    """
    builtin = []
    for manifest in manifests:
        if manifest["apiVersion"].startswith("ray.io/"):
            jsonschema.validate(manifest, SCHEMA)
            builtin += [pod for _, pod in pods(manifest)]
        else:
            builtin.append(manifest)
    file = folder / "manifests.yaml"
    file.write_text(yaml.safe_dump_all(builtin))
    command = [tool("kubernetes-validate"), "--strict", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode or "Couldn't find schema" in done.stdout + done.stderr:
        raise ValueError(done.stdout + done.stderr)


def upstream(kind: str) -> Manifest | None:
    """KubeRay's own schema of a kind, made strict; from the chart's crds/, which ROADSCAN_KUBERAY_CRDS names."""
    folder = os.environ.get("ROADSCAN_KUBERAY_CRDS")
    if folder is None:
        return None
    definition = yaml.safe_load((Path(folder) / f"ray.io_{kind.lower()}s.yaml").read_text())
    (version,) = [one for one in definition["spec"]["versions"] if one["name"] == "v1"]
    schema = _strict(version["schema"]["openAPIV3Schema"])
    schema["properties"]["metadata"] = {"type": "object"}  # the API server knows it without being told
    return schema


def _strict(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: _strict(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and "type" in schema:
        made.setdefault("additionalProperties", False)
    if made.pop("x-kubernetes-int-or-string", False):
        made["type"] = ["integer", "string"]
    return made
