"""Whom Pedigree asks over HTTP may answer with a few bytes that become many: nobody takes such an answer apart."""

from __future__ import annotations

import gzip
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tfx_pedigree import client
from tfx_pedigree.errors import PedigreeError
from tfx_pedigree.integrations.mlflow.rest import MlflowServer
from tfx_pedigree.rollout.traffic.asking import ask

BOMB = gzip.compress(bytes(64 << 20))


@pytest.fixture(scope="module")
def bombing() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            for name, text in (("content-encoding", "gzip"), ("content-length", str(len(BOMB)))):
                self.send_header(name, text)
            self.end_headers()
            self.wfile.write(BOMB)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


ASKING: dict[str, Callable[[str], object]] = {
    "client": lambda at: client.connect(at).models(),
    "mlflow": lambda at: MlflowServer.of(at, {"PEDIGREE_PATIENCE": "0"}).post("/x", {}),
    "traffic": lambda at: ask(at).json(at),
}


@pytest.mark.parametrize("asked", ASKING)
def test_a_compressed_answer_is_refused_as_it_is(bombing: str, asked: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(PedigreeError):
            ASKING[asked](bombing)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 32 << 20
