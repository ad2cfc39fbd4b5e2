"""As much of a Kubernetes API server as creating the night's job asks for."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import yaml

from support.manifests import Manifest


@contextmanager
def api_server(template: Manifest, kubeconfig: Path) -> Iterator[dict[str, Manifest]]:
    """A server that has one RayJob; kubectl finds it by the kubeconfig.

    Yields:
        Its RayJobs by name, with those that are created.
    """
    server = ApiServer(template)
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "users": [{"name": "u", "user": {}}],
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "roadscan"}}],
    }
    kubeconfig.write_text(yaml.safe_dump(config))
    try:
        yield server.jobs
    finally:
        server.shutdown()
        serving.join()
        server.server_close()


class ApiServer(ThreadingHTTPServer):
    """Discovery, RayJobs to get, RayJobs to create."""

    daemon_threads = True

    def __init__(self, template: Manifest) -> None:
        super().__init__(("127.0.0.1", 0), ApiRequest)
        self.jobs: dict[str, Manifest] = {template["metadata"]["name"]: template}


class ApiRequest(BaseHTTPRequestHandler):
    server: ApiServer
    RESOURCES = "/apis/ray.io/v1"
    JOBS = f"{RESOURCES}/namespaces/roadscan/rayjobs"

    def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        version = {"groupVersion": "ray.io/v1", "version": "v1"}
        group = {"name": "ray.io", "versions": [version], "preferredVersion": version}
        openapi = {"apis/ray.io/v1": {"serverRelativeURL": "/openapi/v3/apis/ray.io/v1"}}
        kind = {"group": "ray.io", "version": "v1", "kind": "RayJob"}
        strict = {"parameters": [{"name": "fieldValidation", "in": "query"}], "x-kubernetes-group-version-kind": kind}
        rayjobs = {"name": "rayjobs", "singularName": "rayjob", "kind": "RayJob", "namespaced": True, "verbs": []}
        found = {
            "/api": {"kind": "APIVersions", "versions": ["v1"]},
            "/api/v1": {"kind": "APIResourceList", "groupVersion": "v1", "resources": []},
            "/apis": {"kind": "APIGroupList", "groups": [group]},
            self.RESOURCES: {"kind": "APIResourceList", "groupVersion": "ray.io/v1", "resources": [rayjobs]},
            "/openapi/v3": {"paths": openapi},
            "/openapi/v3/apis/ray.io/v1": {"paths": {f"{self.JOBS}/{{name}}": {"patch": strict}}},
            **{f"{self.JOBS}/{name}": job for name, job in self.server.jobs.items()},
        }  # fmt: skip
        self.answer(200, found[path]) if path in found else self.refuse(404, "NotFound")

    def do_POST(self) -> None:
        job = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        name = job["metadata"]["name"]
        path, _, query = self.path.partition("?")
        if path != self.JOBS or "fieldValidation=Strict" not in query or "resourceVersion" in job["metadata"]:
            self.refuse(422, "Invalid")
        elif name in self.server.jobs:
            self.refuse(409, "AlreadyExists")
        else:
            self.server.jobs[name] = job
            self.answer(201, job)

    def refuse(self, code: int, reason: str) -> None:
        status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": reason}
        self.answer(code, {**status, "code": code})

    def answer(self, code: int, body: Manifest) -> None:
        data = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
