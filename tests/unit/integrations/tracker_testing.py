"""A stand-in for an MLflow server: it keeps one run, and says what it was asked."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

RUNS = Path(__file__).parents[2] / "goldens" / "tracker_runs"
KERAS, WRITER = RUNS / "keras", RUNS / "writer"
WANDB = RUNS / "wandb" / "offline-run-20261130_120000-run1flights"
ID = "0a1b2c3d4e5f"


def run_as_json() -> dict[str, Any]:
    """As MLflow 3.17 answers `runs/get`."""
    return {
        "info": {"run_id": ID, "experiment_id": "7", "status": "FINISHED", "run_name": "november"},
        "data": {
            "params": [{"key": "learning_rate", "value": "0.01"}, {"key": "shuffle", "value": "True"}],
            "metrics": [
                {"key": "auc", "value": 0.91, "timestamp": 1, "step": 3},
                {"key": "diverged", "value": "Infinity", "timestamp": 1, "step": 3},
            ],
            "tags": [{"key": "mlflow.user", "value": "ci"}],
        },
        "inputs": {
            "dataset_inputs": [
                {
                    "tags": [{"key": "mlflow.data.context", "value": "training"}],
                    "dataset": {"name": "flights", "digest": "2485371048", "source_type": "http", "source": "{}"},
                }
            ]
        },
    }


@dataclass
class MlflowServer:
    """`answers` are given first, one for each request; then what a server with this run says."""

    url: str = ""
    run: Any = field(default_factory=run_as_json)
    answers: list[tuple[int, Any]] = field(default_factory=list)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    marked: dict[str, str] = field(default_factory=dict)

    def answer(self, path: str, body: Any) -> tuple[int, Any]:
        if self.answers:
            return self.answers.pop(0)
        if path == f"/api/2.0/mlflow/runs/get?run_id={ID}":
            return 200, {"run": self.run}
        if path == "/api/2.0/mlflow/runs/log-batch" and body["run_id"] == ID:
            self.marked |= {tag["key"]: tag["value"] for tag in body["tags"]}
            return 200, {}
        return 404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "Run not found"}


@contextlib.contextmanager
def mlflow_server() -> Iterator[MlflowServer]:
    served = MlflowServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._reply()

        def do_POST(self) -> None:
            self._reply()

        def _reply(self) -> None:
            content = self.rfile.read(int(self.headers.get("content-length") or 0))
            served.asked.append((f"{self.command} {self.path}", {k.lower(): v for k, v in self.headers.items()}))
            status, answer = served.answer(self.path, json.loads(content or b"{}"))
            sent = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(status)
            if status in (301, 302, 307):
                self.send_header("location", f"{served.url}/api/2.0/mlflow/runs/get?run_id={ID}")
            self.send_header("content-length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
