"""A small server of models: loads the newest SavedModel of a folder with TensorFlow, and speaks as much of TensorFlow
Serving's REST protocol as a rollout needs.

    python rollout_server.py MODEL PORT FOLDER

A folder of a number is a version. It is loaded beside the one that serves, and then answers in its place; one whose
folder is gone is unloaded.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import tensorflow as tf

POLL_SECONDS = 0.1


class Models:
    """What is loaded, by number."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.states: dict[int, dict[str, Any]] = {}
        self._signatures: dict[int, Any] = {}

    def watch(self) -> None:
        while True:
            there = {int(child.name) for child in self._folder.iterdir() if child.name.isdecimal()}
            for number in sorted(there - set(self.states)):
                self._load(number)
            for number in set(self.states) - there:
                del self.states[number]
                self._signatures.pop(number, None)
            time.sleep(POLL_SECONDS)

    def _load(self, number: int) -> None:
        self.states[number] = {"state": "LOADING", "status": {"error_code": "OK"}}
        try:
            loaded = tf.saved_model.load(str(self._folder / str(number)))
            signature = loaded.signatures["serving_default"]
            signature.loaded = loaded  # its variables live as long as it does
            self._signatures[number] = signature
            self.states[number] = {"state": "AVAILABLE", "status": {"error_code": "OK"}}
        except (OSError, KeyError, ValueError, tf.errors.OpError) as error:
            message = {"error_code": "INTERNAL", "error_message": str(error)[:200]}
            self.states[number] = {"state": "END", "status": message}

    def newest(self) -> tuple[int, Any] | None:
        """The version that answers, and its signature."""
        return max(list(self._signatures.items()), default=None, key=lambda one: one[0])


class Handler(BaseHTTPRequestHandler):
    models: Models
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        rows = [{"version": str(number), **one} for number, one in sorted(self.models.states.items())]
        self._answer(200 if rows else 404, {"model_version_status": rows} if rows else {"error": "no version"})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        newest = self.models.newest()
        if newest is None:
            self._answer(404, {"error": "no version is loaded"})
            return
        number, signature = newest
        try:
            inputs = {
                name: tf.constant([one[name] for one in body["instances"]], spec.dtype)
                for name, spec in signature.structured_input_signature[1].items()
            }
            late = signature(**inputs)["late"].numpy().tolist()
        except (KeyError, ValueError, tf.errors.OpError) as error:
            self._answer(500, {"error": str(error).splitlines()[0][:200]}, number)
            return
        self._answer(200, {"predictions": late}, number)

    def _answer(self, code: int, body: object, version: int | None = None) -> None:
        data = json.dumps(body).encode()
        head = f"HTTP/1.1 {code} -\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n"
        head += "" if version is None else f"X-Model-Version: {version}\r\n"
        self.wfile.write(head.encode() + b"\r\n" + data)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet: the load balancer counts."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


def main(model: str, port: int, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    Handler.models = Models(folder)
    threading.Thread(target=Handler.models.watch, daemon=True).start()
    print(f"serving {model} from {folder} on {port}", flush=True)
    Server(("127.0.0.1", port), Handler).serve_forever()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
