"""MLMD's client in a process of its own: it waits for a database server without end, and holds Python's lock meanwhile.

Parent and child speak in frames over the child's standard input and output: a question is a line of JSON; an answer is
a line of JSON with the kind and the sizes of MLMD's messages, and then the messages. The connection config goes over
the same pipe, since it may hold a password, which would be seen among a process's arguments.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from ml_metadata.proto import metadata_store_pb2 as pb

import tfx_pedigree

_CHUNK = 1 << 20
# The first answer comes after Python has started and MLMD has connected.
_START_SECONDS = 60.0
_ROOT = str(Path(tfx_pedigree.__file__).parents[1])


class ClientProcess:
    """A connection as `reading.Connection` says. Raises RuntimeError when the child says no, dies, or is too slow."""

    def __init__(self, config: Any, seconds: float) -> None:
        self._later = seconds
        self._seconds = max(seconds, _START_SECONDS)
        paths = os.pathsep.join(filter(None, (_ROOT, os.environ.get("PYTHONPATH"))))
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # MLMD's library logs there; what matters comes back as an answer.
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": paths},
        )
        # Given, because both are pipes.
        self._questions: BinaryIO = self._process.stdin  # type: ignore[assignment]
        self._answers: BinaryIO = self._process.stdout  # type: ignore[assignment]
        try:
            self._send(config.SerializeToString().hex())
        except BaseException:
            self.close()
            raise

    def call(self, question: str, *arguments: Any) -> Sequence[Any]:
        self._send([question, *arguments])
        header = json.loads(self._line())
        self._seconds = self._later
        if "error" in header:
            raise RuntimeError(header["error"])
        kind: Any = getattr(pb, header["kind"]) if header["sizes"] else None
        data = self._exactly(sum(header["sizes"]))
        found, start = [], 0
        for size in header["sizes"]:
            found.append(kind.FromString(data[start : start + size]))
            start += size
        return found

    def close(self) -> None:
        """The child ends when nobody listens; one that hangs is ended."""
        self._process.kill()
        with contextlib.suppress(OSError):  # what was not sent yet
            self._questions.close()
        self._answers.close()
        self._process.wait()

    def _send(self, message: Any) -> None:
        self._deadline = time.monotonic() + self._seconds
        self._buffer = bytearray()
        try:
            self._questions.write(json.dumps(message).encode() + b"\n")
            self._questions.flush()
        except (OSError, ValueError):
            raise RuntimeError("the process that held the connection has ended") from None

    def _line(self) -> bytes:
        while b"\n" not in self._buffer:
            self._more()
        line, _, rest = bytes(self._buffer).partition(b"\n")
        self._buffer = bytearray(rest)
        return line

    def _exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            self._more()
        return bytes(self._buffer[:size])

    def _more(self) -> None:
        """Waits for more of the answer, until the deadline."""
        with selectors.DefaultSelector() as waiting:
            waiting.register(self._answers, selectors.EVENT_READ)
            if not waiting.select(max(0.0, self._deadline - time.monotonic())):
                self._process.kill()
                raise RuntimeError(f"no answer in {self._seconds:g} seconds")
        read = os.read(self._answers.fileno(), _CHUNK)
        if not read:
            raise RuntimeError("the process that held the connection has ended")
        self._buffer += read


def serve(questions: BinaryIO, answers: BinaryIO) -> None:
    """The child's side. The connection is made with the first question, so that a refusal is its answer."""
    from ml_metadata.metadata_store import metadata_store  # noqa: PLC0415  the parent has no use for them

    from tfx_pedigree.mlmd.questions import ask  # noqa: PLC0415

    config = pb.ConnectionConfig.FromString(bytes.fromhex(json.loads(questions.readline())))
    store: Any = None
    for line in questions:
        try:
            store = metadata_store.MetadataStore(config) if store is None else store
            found = ask(store, *json.loads(line))
        except Exception as error:  # noqa: BLE001  whatever it is, the parent tells it
            _answer(answers, {"error": str(error) or type(error).__name__}, b"")
            continue
        messages = [one.SerializeToString() for one in found]
        header = {"kind": type(found[0]).__name__ if found else "", "sizes": [len(one) for one in messages]}
        _answer(answers, header, b"".join(messages))


def _answer(answers: BinaryIO, header: Any, data: bytes) -> None:
    answers.write(json.dumps(header).encode() + b"\n" + data)
    answers.flush()


if __name__ == "__main__":
    # Whatever else is printed must not come between the frames.
    frames = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    serve(sys.stdin.buffer, frames)
