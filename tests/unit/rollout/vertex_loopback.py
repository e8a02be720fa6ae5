"""As much of Vertex AI's REST API on loopback as one endpoint needs, for Google's own client.

It keeps state, and refuses what Google's documents say is refused: calls without a token, an old etag, a split that is
not 100, ids that are taken, labels that are none, undeploying what has traffic.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

PARENT = "/v1/projects/flights/locations/europe-west4"
NUMBERED = "projects/1234567/locations/europe-west4"  # answers name the project by its number
_LABEL = re.compile(r"[a-z0-9_-]{0,63}")
_TYPE = "type.googleapis.com/google.cloud.aiplatform.v1"


class RefusedError(Exception):
    def __init__(self, code: int, status: str, message: str) -> None:
        super().__init__(message)
        self.code, self.status = code, status


@dataclass
class Running:
    """A long-running operation: `end` is carried out when its time has come, and says what failed."""

    at: float
    end: Callable[[], str | None]
    ended: bool = False
    error: str | None = None


@dataclass
class VertexEndpoint:
    delay: float = 0.03
    deploying: float | None = None  # seconds that a deployment takes, if another time
    broken: Callable[[dict[str, Any]], bool] = lambda model: model["artifactUri"].split("/")[-1].startswith("9-")
    endpoint: dict[str, Any] = field(default_factory=lambda: {"displayName": "penguin", "labels": {"team": "a"}})
    models: dict[str, dict[str, Any]] = field(default_factory=dict)
    operations: dict[str, Running] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    underway: list[str] = field(default_factory=list)
    changed: int = 1
    answer: Callable[[str, dict[str, Any]], Any] = lambda call, body: body  # what is said instead

    def ask(self, method: str, path: str, query: dict[str, list[str]], body: dict[str, Any]) -> Any:
        for one in self.operations.values():
            if not one.ended and time.monotonic() >= one.at:
                one.ended, one.error = True, one.end()
        rest = path.removeprefix(PARENT)
        if method != "GET":
            self.calls.append(f"{method} {rest}")
        what, _, name = rest[1:].partition("/")
        if "/operations/" in path:
            return self._operation(path.removeprefix("/v1/"))
        if what == "models" and name:
            return self._model(name) if method == "GET" else self._label(name, body)
        answers: dict[str, Callable[[], Any]] = {
            "GET /endpoints/42": self._shown,
            "PATCH /endpoints/42": lambda: self._update(set(query["updateMask"][0].split(",")), body),
            "POST /models:upload": lambda: self._upload(body),
            "POST /endpoints/42:deployModel": lambda: self._deploy(body),
            "POST /endpoints/42:undeployModel": lambda: self._undeploy(body["deployedModelId"]),
        }
        if f"{method} {rest}" not in answers:
            raise RefusedError(404, "NOT_FOUND", f"no {method} {path}")
        return answers[f"{method} {rest}"]()

    def finish(self) -> None:
        """All that is going on has had its time."""
        self.deploying = None
        for one in self.operations.values():
            one.at = 0

    @property
    def deployed(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.endpoint.setdefault("deployedModels", [])
        return found

    def _shown(self) -> dict[str, Any]:
        return {**self.endpoint, "name": f"{NUMBERED}/endpoints/42", "etag": f"AMEw9yN{self.changed}"}

    def _update(self, mask: set[str], body: dict[str, Any]) -> dict[str, Any]:
        if body.get("etag") not in (None, f"AMEw9yN{self.changed}"):
            raise RefusedError(409, "ABORTED", "Etag mismatch")
        split = body.get("trafficSplit", {})
        if "trafficSplit" in mask:
            if split and sum(split.values()) != 100:
                raise RefusedError(400, "INVALID_ARGUMENT", "The traffic split must add up to 100")
            if not set(split) <= {one["id"] for one in self.deployed}:
                raise RefusedError(400, "INVALID_ARGUMENT", "The traffic split names a model that is not deployed")
            self.endpoint["trafficSplit"] = split
        if "labels" in mask:
            _check_labels(body.get("labels", {}))
            self.endpoint["labels"] = body.get("labels", {})
        self.changed += 1
        return self._shown()

    def _upload(self, body: dict[str, Any]) -> dict[str, Any]:
        name, model = body["modelId"], body["model"]
        if name in self.models:
            raise RefusedError(409, "ALREADY_EXISTS", f"The model {name} exists")
        if not re.fullmatch(r"[a-z_-][a-z0-9_-]{0,62}", name):
            raise RefusedError(400, "INVALID_ARGUMENT", "model_id")

        def end() -> str | None:
            if name in self.models:
                return f"The model {name} exists"
            self.models[name] = {**model, "name": f"{NUMBERED}/models/{name}", "versionId": "1", "etag": "m1"}
            return None

        return self._begin(f"{NUMBERED}/models/{name}", "UploadModel", end)

    def _model(self, name: str) -> dict[str, Any]:
        if name not in self.models:
            raise RefusedError(404, "NOT_FOUND", f"The model {name} does not exist")
        return self.models[name]

    def _label(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        _check_labels(body.get("labels", {}))
        self._model(name)["labels"] = body.get("labels", {})
        return self._model(name)

    def _deploy(self, body: dict[str, Any]) -> dict[str, Any]:
        wanted = dict(body["deployedModel"])
        model = self._model(wanted["model"].rpartition("/")[2])
        if not re.fullmatch("[0-9]{1,10}", wanted["id"]) or "machineSpec" not in wanted["dedicatedResources"]:
            raise RefusedError(400, "INVALID_ARGUMENT", "id or machine")
        going = {one["id"] for one in self.deployed} | set(self.underway)
        if wanted["id"] in going:
            raise RefusedError(409, "ALREADY_EXISTS", f"A deployed model {wanted['id']} exists")
        self.underway.append(wanted["id"])

        def end() -> str | None:
            self.underway.remove(wanted["id"])
            if self.broken(model):
                return "Model server exited unexpectedly"
            self.deployed.append({**wanted, "model": f"{NUMBERED}/models/{wanted['model'].rpartition('/')[2]}"})
            self.changed += 1
            return None

        return self._begin(f"{NUMBERED}/endpoints/42", "DeployModel", end)

    def _undeploy(self, name: str) -> dict[str, Any]:
        if name not in {one["id"] for one in self.deployed}:
            raise RefusedError(404, "NOT_FOUND", f"no deployed model {name}")
        if self.endpoint.get("trafficSplit", {}).get(name):
            raise RefusedError(400, "FAILED_PRECONDITION", f"The deployed model {name} has traffic")

        def end() -> str | None:
            self.endpoint["deployedModels"] = [one for one in self.deployed if one["id"] != name]
            self.changed += 1
            return None

        return self._begin(f"{NUMBERED}/endpoints/42", "UndeployModel", end)

    def _begin(self, parent: str, kind: str, end: Callable[[], str | None]) -> dict[str, Any]:
        number = str(7_000_000 + len(self.operations))
        seconds = self.deploying if kind == "DeployModel" and self.deploying is not None else self.delay
        self.operations[number] = Running(time.monotonic() + seconds, end)
        return {
            "name": f"{parent}/operations/{number}",
            "metadata": {"@type": f"{_TYPE}.{kind}OperationMetadata"},
        }

    def _operation(self, name: str) -> dict[str, Any]:
        found = self.operations.get(name.rpartition("/")[2])
        if found is None:
            raise RefusedError(404, "NOT_FOUND", "no such operation")
        if not found.ended:
            return {"name": name}
        if found.error:
            return {"name": name, "done": True, "error": {"code": 9, "message": found.error}}
        return {"name": name, "done": True, "response": {"@type": f"{_TYPE}.UndeployModelResponse"}}


def _check_labels(labels: dict[str, str]) -> None:
    if not all(re.fullmatch(r"[a-z][a-z0-9_-]{0,62}", key) and _LABEL.fullmatch(labels[key]) for key in labels):
        raise RefusedError(400, "INVALID_ARGUMENT", "labels")


class VertexLoopback:
    def __init__(self, service: VertexEndpoint) -> None:
        self.service = service
        self._lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"server_of": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.address = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=lambda: self._http.serve_forever(0.01), daemon=True).start()

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def ask(self, method: str, url: str, body: dict[str, Any], token: str) -> tuple[int, Any]:
        parts = urlsplit(url)
        with self._lock:
            try:
                if not token.startswith("Bearer "):
                    raise RefusedError(401, "UNAUTHENTICATED", "Request is missing required authentication credential")
                found = self.service.ask(method, parts.path, parse_qs(parts.query), body)
                return 200, self.service.answer(f"{method} {parts.path.removeprefix(PARENT)}", found)
            except RefusedError as error:
                return error.code, {"error": {"code": error.code, "status": error.status, "message": str(error)}}


class _Handler(BaseHTTPRequestHandler):
    server_of: VertexLoopback
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._tell()

    def do_POST(self) -> None:
        self._tell()

    def do_PATCH(self) -> None:
        self._tell()

    def _tell(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(size)) if size else {}
        code, found = self.server_of.ask(self.command, self.path, body, self.headers.get("Authorization", ""))
        data = found if isinstance(found, bytes) else json.dumps(found).encode()
        head = f"HTTP/1.1 {code} X\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
        self.wfile.write(head.encode() + data)

    def log_message(self, format: str, *args: object) -> None:
        pass


def write_account(folder: Path) -> Path:
    """A service account that nobody knows. Its tokens are signed here and asked of nobody."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    account = {
        "type": "service_account",
        "project_id": "flights",
        "private_key_id": "1",
        "private_key": private.decode(),
        "client_email": "controller@flights.example",
        "token_uri": "https://localhost/token",
    }
    file = folder / "account.json"
    file.write_text(json.dumps(account), "utf-8")
    return file
