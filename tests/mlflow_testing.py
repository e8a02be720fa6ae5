"""MLflow's own client and server for tests, in processes of their own: they do not go with our packages."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from programs_testing import program

# Expressions come line by line, and what they are goes back: starting MLflow for each would take seconds.
LOOP = """
import json, os, sys, warnings
warnings.simplefilter("ignore")
if sys.argv[1] not in sys.path:
    sys.path.append(sys.argv[1])
import mlflow
from mlflow import MlflowClient
out, sys.stdout = sys.stdout, sys.stderr
print("ready", file=out, flush=True)
for line in sys.stdin:
    asked = json.loads(line)
    os.environ.update(asked["environ"])
    mlflow.set_registry_uri(asked["at"])
    if asked["tracking"]:
        mlflow.set_tracking_uri(asked["tracking"])
    client = MlflowClient(tracking_uri=asked["tracking"] or asked["at"], registry_uri=asked["at"])
    try:
        told = {"value": eval(asked["code"])}
    except Exception as error:
        told = {"code": getattr(error, "error_code", type(error).__name__), "message": str(error)}
    print(json.dumps(told, default=str), file=out, flush=True)
"""


class RefusedError(Exception):
    """What MLflow's client raised, by its code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Client:
    """`client` and `mlflow` of a process that has MLflow, used against a server."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.at, self.tracking = "", ""
        self.environ: dict[str, str] = {}

    def __call__(self, code: str) -> Any:
        """The value of the expression, as far as JSON can have it."""
        assert self._process.stdin is not None and self._process.stdout is not None
        asked = {"code": code, "at": self.at, "tracking": self.tracking, "environ": self.environ}
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        told = json.loads(self._process.stdout.readline())
        if "value" not in told:
            raise RefusedError(told["code"], told["message"])
        return told["value"]


@contextlib.contextmanager
def client_process(folder: Path, python: str | None = None) -> Iterator[Client]:
    """MLflow's venv has no TensorFlow: a `python` that has it takes from there only what it has not itself."""
    tree = Path(program("mlflow")).parent / "mlflow.d"
    # One that is refused for good is not asked again; what TensorFlow says at its start is of no use here.
    environ = {**os.environ, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "TF_CPP_MIN_LOG_LEVEL": "3"}
    environ = {key: value for key, value in environ.items() if not key.startswith(("PEDIGREE_", "PYTHON"))}
    [packages] = tree.glob("lib/python*/site-packages")
    words = [python or str(tree / "bin/python"), "-c", LOOP, str(packages)]
    with (
        (folder / "mlflow.log").open("w") as log,
        subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env=environ, cwd=folder
        ) as process,
    ):
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n", (folder / "mlflow.log").read_text()
            yield Client(process)
        finally:
            process.kill()


@contextlib.contextmanager
def server_process(folder: Path) -> Iterator[str]:
    """MLflow's own server over an SQLite file, and its address. The application alone: `mlflow server` starts workers
    for other things as well, and takes a minute of this computer for it."""
    tree = Path(program("mlflow")).parent / "mlflow.d"
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    environ = {
        "PATH": os.environ["PATH"],
        "_MLFLOW_SERVER_FILE_STORE": f"sqlite:///{folder / 'mlflow.db'}",
        "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
        "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": str(folder / "artifacts"),
    }
    words = [str(tree / "bin/python"), "-m", "flask", "--app", "mlflow.server:app", "run", "--port", str(port)]
    at = f"http://127.0.0.1:{port}"
    with (
        (folder / "server.log").open("w") as log,
        subprocess.Popen(words, stdout=log, stderr=log, env=environ) as process,
    ):
        try:
            give_up = time.monotonic() + 300
            while not _answers(at):
                assert process.poll() is None and time.monotonic() < give_up, (folder / "server.log").read_text()[
                    -2000:
                ]
                time.sleep(0.1)
            yield at
        finally:
            process.kill()


def _answers(at: str) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(f"{at}/health", timeout=10).status_code == 200
    return False
