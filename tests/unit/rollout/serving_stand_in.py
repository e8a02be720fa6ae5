"""A stand-in for one TensorFlow Serving process that polls its model config file, for where there is no real one.

It encodes what was read in the server's source: a file is refused as a whole where a label names a version that is not
AVAILABLE yet, though it is remembered as the current one; a version that is no longer asked for is unloaded, also when
a label points to it; loading takes a while; a version that failed is not tried again. That the manager's suite passes
on it says nothing of the real server, on which the same suite runs where TFSERVING_ADDR is set.
"""

from __future__ import annotations

import json
import re
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_NAME = re.compile(r'name: "([^"]+)"')
_VERSIONS = re.compile(r"specific \{([^}]*)\}")
_LABEL = re.compile(r'version_labels \{ key: "([^"]+)" value: (\d+) \}')


@dataclass
class Model:
    wanted: set[int] = field(default_factory=set)
    states: dict[int, str] = field(default_factory=dict)
    ready_at: dict[int, float] = field(default_factory=dict)
    labels: dict[str, int] = field(default_factory=dict)


class ServingStandIn:
    def __init__(self, config: Path, folder: Path, poll: float = 0.02, loading: float = 0.05) -> None:
        self._config, self._folder, self._poll, self._loading = config, folder, poll, loading
        self.models: dict[str, Model] = {}
        self.refused = 0
        self.asleep = False  # it reads its file no more
        self._seen = ""
        self._lock = threading.Lock()
        self._over = threading.Event()
        handler = type("Handler", (_Handler,), {"serving": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.address = f"http://127.0.0.1:{self._http.server_port}"
        for work in (lambda: self._http.serve_forever(0.01), self._watch):
            threading.Thread(target=work, daemon=True).start()

    def stop(self) -> None:
        self._over.set()
        self._http.shutdown()
        self._http.server_close()

    def _watch(self) -> None:
        while not self._over.wait(self._poll):
            text = self._config.read_text("utf-8")
            with self._lock:
                if text != self._seen and not self.asleep:
                    self._seen = text  # remembered also where it is refused
                    self._take(text)
                self._advance()

    def _take(self, text: str) -> None:
        found = {name[1]: block for block in text.split("\n  config {")[1:] if (name := _NAME.search(block))}
        labels = {name: {key: int(n) for key, n in _LABEL.findall(block)} for name, block in found.items()}
        for name, mine in labels.items():
            states = self.models.get(name, Model()).states
            if any(states.get(number) != "AVAILABLE" for number in mine.values()):
                self.refused += 1
                return
        for name in [*self.models]:
            if name not in found:
                del self.models[name]
        for name, block in found.items():
            model, versions = self.models.setdefault(name, Model()), _VERSIONS.search(block)
            model.wanted = {int(number) for number in re.findall(r"\d+", versions[1] if versions else "")}
            model.labels = labels[name]

    def _advance(self) -> None:
        for model in self.models.values():
            for number in model.wanted - set(model.states):
                model.states[number], model.ready_at[number] = "LOADING", time.monotonic() + self._loading
            for number, state in list(model.states.items()):
                if state == "LOADING" and time.monotonic() >= model.ready_at[number]:
                    model.states[number] = self._loaded(number)
            if any(model.states.get(number) == "AVAILABLE" for number in model.wanted):
                for number in [number for number in model.states if number not in model.wanted]:
                    del model.states[number]

    def _loaded(self, number: int) -> str:
        file = self._folder / str(number) / "behaviour.json"
        return "AVAILABLE" if file.exists() and not json.loads(file.read_text("utf-8")).get("broken") else "FAILED"

    def status(self, path: str) -> tuple[int, object]:
        parts = path.strip("/").split("/")
        with self._lock:
            model = self.models.get(parts[2]) if len(parts) > 2 else None
            if model is None:
                return 404, {"error": "no such model"}
            numbers = list(model.states)
            if len(parts) == 5:
                number = model.labels.get(parts[4])
                if number is None or number not in model.states:
                    return 400, {"error": f"Unrecognized servable version label: {parts[4]}"}
                numbers = [number]
            return 200, {"model_version_status": [_row(number, model.states[number]) for number in numbers]}

    def predict(self, path: str) -> tuple[int, object]:
        parts = path.removesuffix(":predict").strip("/").split("/")
        with self._lock:
            model = self.models.get(parts[2], Model())
            number = model.labels.get(parts[4])
            if number is None or model.states.get(number) != "AVAILABLE":
                return 404, {"error": "Servable not found"}
            return 200, {"predictions": [number]}


def _row(number: int, state: str) -> dict[str, object]:
    if state == "FAILED":
        return {"version": str(number), "state": "END", "status": {"error_code": "INTERNAL", "error_message": "broken"}}
    return {"version": str(number), "state": state, "status": {"error_code": "OK", "error_message": ""}}


class _Handler(BaseHTTPRequestHandler):
    serving: ServingStandIn
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(*self.serving.status(self.path))

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(*self.serving.predict(self.path))

    def _answer(self, code: int, body: object) -> None:
        data = json.dumps(body).encode()
        head = f"HTTP/1.1 {code} X\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
        self.wfile.write(head.encode() + data)

    def log_message(self, format: str, *args: object) -> None:
        pass
