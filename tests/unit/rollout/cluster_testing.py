"""A loopback server that speaks as much of Kubernetes' protocol as custom objects need: reading, and replacing under
`resourceVersion`. What a controller in a cluster does to an object is given as a function.
"""

from __future__ import annotations

import copy
import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

Controller = Callable[[dict[str, Any]], None]


class Cluster:
    """Objects by path. `controller` plays the cluster's side: it is given each object a moment after it changed."""

    def __init__(self, controller: Controller, delay: float = 0.03) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.requests: list[tuple[str, str]] = []
        self._controller, self._delay = controller, delay
        self._lock = threading.Lock()
        self._changed_at: dict[str, float] = {}
        handler = type("Handler", (_Handler,), {"cluster": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=lambda: self._http.serve_forever(0.01), daemon=True).start()

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def kubeconfig(self, folder: Path) -> Path:
        file = folder / "kubeconfig"
        server = f"http://127.0.0.1:{self._http.server_port}"
        found = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "clusters": [{"name": "here", "cluster": {"server": server}}],
            "users": [{"name": "me", "user": {"token": "t"}}],
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
        }
        file.write_text(json.dumps(found), "utf-8")
        return file

    def put(self, path: str, body: dict[str, Any]) -> None:
        """As `kubectl apply` from elsewhere."""
        with self._lock:
            self._store(path, copy.deepcopy(body))

    def get(self, path: str) -> tuple[int, dict[str, Any]]:
        with self._lock:
            found = self.objects.get(path)
            if found is None:
                return 404, _status(404, "not found")
            if time.monotonic() - self._changed_at[path] >= self._delay:
                self._controller(found)
            return 200, copy.deepcopy(found)

    def replace(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        with self._lock:
            found = self.objects.get(path)
            if found is None:
                return 404, _status(404, "not found")
            if body["metadata"].get("resourceVersion") != found["metadata"]["resourceVersion"]:
                return 409, _status(
                    409, "the object has been modified; please apply your changes to the latest version"
                )
            body.setdefault("status", found.get("status", {}))
            self._store(path, body)
            return 200, copy.deepcopy(self.objects[path])

    def _store(self, path: str, body: dict[str, Any]) -> None:
        before = self.objects.get(path)
        meta = body.setdefault("metadata", {})
        old = before["metadata"] if before else {"generation": 0, "resourceVersion": "100"}
        changed = before is None or before.get("spec") != body.get("spec")
        meta["generation"] = old["generation"] + changed
        meta["resourceVersion"] = str(int(old["resourceVersion"]) + 1)
        self.objects[path], self._changed_at[path] = body, time.monotonic()


def _status(code: int, message: str) -> dict[str, Any]:
    return {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": code}


class _Handler(BaseHTTPRequestHandler):
    cluster: Cluster
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(*self.cluster.get(self.path))

    def do_PUT(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._answer(*self.cluster.replace(self.path, body))

    def _answer(self, code: int, body: dict[str, Any]) -> None:
        self.cluster.requests.append((self.command, self.path))
        data = json.dumps(body).encode()
        head = f"HTTP/1.1 {code} X\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
        self.wfile.write(head.encode() + data)

    def log_message(self, format: str, *args: object) -> None:
        pass
