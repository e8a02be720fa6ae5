"""What the server costs: questions and changes over HTTP beside the bare framework, bytes beside a local store.

    python benchmarks/server.py [--rounds 6] [--calls 500] [--versions 1000] [--megabytes 1024]
                                [--mlflow PYTHON] [--json FILE]

Every server is a process of its own on SQLite, asked over one connection that is kept open; the rounds of all of them
alternate, and the best median of a round counts: on a shared machine the rest is others' work. "Bare" is Starlette with
uvicorn over one raw SQLite statement on the same file. With --mlflow, the Python of a venv that has MLflow, its own
server answers the same questions about as many versions.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import http.client
import itertools
import json
import math
import os
import re
import selectors
import shutil
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

from tfx_pedigree import connect
from tfx_pedigree.registry import Candidate, Facts, Registry
from tfx_pedigree.store import Store
from tfx_pedigree.versioning import ModelDescription

MODEL = "flight-delay"
READY = 180.0
BARE = """
import json, sqlite3, sys
import uvicorn
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

database = sqlite3.connect(sys.argv[1], check_same_thread=False)
query = '''SELECT v.* FROM models m JOIN aliases a ON a.model_id = m.id JOIN model_versions v ON v.id = a.version_id
WHERE m.name = ? AND a.name = ?'''

async def by_alias(request):
    cursor = database.execute(query, (request.path_params["model"], request.path_params["alias"]))
    names = [one[0] for one in cursor.description]
    return Response(json.dumps(dict(zip(names, cursor.fetchone()))), media_type="application/json")

app = Starlette(routes=[Route("/models/{model}/versions/{alias}", by_alias)])
uvicorn.run(app, port=int(sys.argv[2]), log_level="error", access_log=False, loop="uvloop", http="httptools")
"""


class Asked:
    """One connection to a server, kept open."""

    def __init__(self, port: int, headers: dict[str, str] | None = None) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._headers = headers or {}

    def __call__(self, method: str, path: str, body: Any = None) -> bytes:
        content = None if body is None else json.dumps(body)
        headers = {**self._headers, **({"content-type": "application/json"} if content else {})}
        try:
            self._connection.request(method, path, content, headers)
            answer = self._connection.getresponse()
        except (http.client.RemoteDisconnected, ConnectionError):  # closed while others were asked
            self._connection.close()
            self._connection.request(method, path, content, headers)
            answer = self._connection.getresponse()
        found = answer.read()
        assert answer.status < 400, (answer.status, path, found[:300])
        return found


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port: int = held.getsockname()[1]
    return port


@contextlib.contextmanager
def process(
    words: list[str], port: int, ready: str, within: float = READY, **options: Any
) -> Iterator[tuple[int, float]]:
    """The process's number, and after how many seconds it answered. What it started ends with it."""
    began = time.monotonic()
    quiet: Any = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}
    with subprocess.Popen(words, **quiet, **options) as running:
        try:
            while True:
                assert running.poll() is None, f"{words[:3]} ended"
                assert time.monotonic() - began < within, f"{words[:3]} does not answer"
                with contextlib.suppress(OSError, http.client.HTTPException, AssertionError):
                    Asked(port)("GET", ready)
                    break
                time.sleep(0.01)
            yield running.pid, time.monotonic() - began
        finally:
            os.killpg(running.pid, signal.SIGTERM)
            running.wait(30)


def memory(pid: int) -> float:
    """What of it lies in memory now, in MiB."""
    line = next(one for one in Path(f"/proc/{pid}/status").read_text().splitlines() if one.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def digest(number: object) -> str:
    return "sha256:" + hashlib.sha256(str(number).encode()).hexdigest()


def filled(folder: Path, versions: int) -> Path:
    with Registry.create(folder / "registry", actor="bench") as registry:
        for number in range(versions):
            found = Candidate(digest(number), ModelDescription())
            registry.add(MODEL, found, facts=Facts({"auc": 0.9, "loss": 0.3}, {"team": "ops"}))
        registry.set_alias("probe", f"{MODEL}@1.0.0")
        registry.promote(f"{MODEL}@latest")
    return folder / "registry"


def pedigree(registry: Path, port: int) -> list[str]:
    main = "from tfx_pedigree.cli.main import main; main()"
    return [sys.executable, "-c", main, "--registry", str(registry), "server", "--as", "bench", "--port", str(port)]


def medians(calls: dict[str, Callable[[], object]], rounds: int, many: int) -> dict[str, list[float]]:
    """Of each round, in milliseconds; the rounds of all alternate."""
    found: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            times = []
            for _ in range(many):
                began = time.perf_counter()
                call()
                times.append(time.perf_counter() - began)
            found[name].append(1000 * statistics.median(times))
    return found


def throughput(port: int, path: str, clients: int = 16, seconds: float = 3.0) -> float:
    """Answers a second to so many connections, each of which asks again as soon as it is answered.

    One loop on plain sockets serves them all: HTTP clients in threads would take more of the two cores than the server.
    """
    request = f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n\r\n".encode()
    waiting, arrived, done = selectors.DefaultSelector(), [b""] * clients, 0
    with contextlib.ExitStack() as stack:
        stack.callback(waiting.close)
        for number in range(clients):
            one = stack.enter_context(socket.create_connection(("127.0.0.1", port), 60))
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            waiting.register(one, selectors.EVENT_READ, number)
            one.sendall(request)
        began = time.monotonic()
        while time.monotonic() < began + seconds:
            for key, _ in waiting.select(60):
                asked, number = cast(socket.socket, key.fileobj), key.data
                arrived[number] += asked.recv(1 << 16)
                if is_whole(arrived[number]):
                    arrived[number], done = b"", done + 1
                    asked.sendall(request)
        return done / (time.monotonic() - began)


def is_whole(answer: bytes) -> bool:
    """Whether all of an answer is there; nothing but 200 counts as one."""
    head, end, content = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 "[: len(head)]) and head, answer[:300]
    if not end:
        return False
    length = re.search(rb"content-length: ([0-9]+)", head, re.IGNORECASE)
    assert length, head
    return len(content) >= int(length[1])


def of_questions(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    registry, ports = filled(folder, options.versions), [free_port() for _ in range(3)]
    bare = [sys.executable, "-c", BARE, str(registry / "registry.db"), str(ports[1])]
    where = f"/api/v1/models/{MODEL}/versions"
    with contextlib.ExitStack() as stack:
        pid, started = stack.enter_context(process(pedigree(registry, ports[0]), ports[0], "/readyz"))
        at_start = memory(pid)
        stack.enter_context(process(bare, ports[1], f"/models/{MODEL}/versions/probe"))
        ours, raw = Asked(ports[0]), Asked(ports[1])
        tag = {"if-none-match": etag(ports[0], f"{where}/probe")}
        unchanged = Asked(ports[0], tag)
        flips, fresh = itertools.cycle(["1.0.1", "1.0.2"]), iter(range(3, options.versions - 1))
        calls: dict[str, Callable[[], object]] = {
            "bare: get by alias": lambda: raw("GET", f"/models/{MODEL}/versions/probe"),
            "get by alias": lambda: ours("GET", f"{where}/probe"),
            "get the champion": lambda: ours("GET", f"{where}/champion"),
            "get by alias, unchanged": lambda: unchanged("GET", f"{where}/probe"),
            "health": lambda: ours("GET", "/healthz"),
        }
        changes: dict[str, Callable[[], object]] = {
            "move an alias": lambda: ours("PUT", f"/api/v1/models/{MODEL}/aliases/probe", {"selector": next(flips)}),
            "promote": lambda: ours("POST", f"{where}/1.0.{next(fresh)}/promote", {}),
        }
        if options.mlflow:
            more, moves = stack.enter_context(mlflow(options, folder, ports[2]))
            calls |= more
            changes |= moves
        found = medians(calls, options.rounds, options.calls)
        few = max(1, min(options.calls // 5, (options.versions - 6) // options.rounds))
        found |= medians(changes, options.rounds, few)
        rate = throughput(ports[0], f"{where}/probe"), throughput(ports[1], f"/models/{MODEL}/versions/probe")
        return {
            "seconds to the first answer": started,
            "MiB at the start": at_start,
            "MiB after all requests": memory(pid),
            "milliseconds": found,
            "16 clients, requests a second": {"pedigree": rate[0], "bare": rate[1]},
        }


def etag(port: int, path: str) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("GET", path)
    found = connection.getresponse().headers["etag"]
    connection.close()
    return str(found)


# Of the package that starts everything it can for other work, only the server: on two cores, the job runners that
# `mlflow server` starts otherwise kept it from answering for minutes.
MLFLOW_ENVIRON = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
MLFLOW_READY = 900.0


@contextlib.contextmanager
def mlflow(
    options: argparse.Namespace, folder: Path, port: int
) -> Iterator[tuple[dict[str, Callable[[], object]], dict[str, Callable[[], object]]]]:
    """MLflow's own server on an SQLite file with as many versions."""
    file = folder / "mlflow.db"
    words = [options.mlflow, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{file}"]
    words += ["--port", str(port), "--workers", "1"]
    api = "/api/2.0/mlflow"
    with process(words, port, "/health", MLFLOW_READY, cwd=folder, env={**os.environ, **MLFLOW_ENVIRON}) as (
        _,
        started,
    ):
        fill_mlflow(file, options.versions)
        print(f"mlflow server answered after {started:.0f} s")
        ask = Asked(port)
        alias = f"{api}/registered-models/alias"
        flips = itertools.cycle(["2", "3"])
        questions: dict[str, Callable[[], object]] = {
            "mlflow: get by alias": lambda: ask("GET", f"{alias}?name={MODEL}&alias=probe")
        }

        def move() -> None:
            ask("POST", alias, {"name": MODEL, "alias": "probe", "version": next(flips)})

        moves: dict[str, Callable[[], object]] = {"mlflow: move an alias": move}
        yield questions, moves


def fill_mlflow(file: Path, versions: int) -> None:
    """Into MLflow's own tables, as its server would fill them in many minutes; each version has a run with metrics."""
    at, ids = 1_796_000_000_000, [f"{number:032x}" for number in range(1, versions + 1)]
    with contextlib.closing(sqlite3.connect(file, timeout=60)) as database, database:
        put = database.executemany
        put("INSERT INTO registered_models(name, creation_time, last_updated_time) VALUES (?, ?, ?)", [(MODEL, at, at)])
        put(
            "INSERT INTO model_versions(name, version, creation_time, last_updated_time, user_id, current_stage, "
            "source, run_id, status) VALUES (?, ?, ?, ?, 'bench', 'None', ?, ?, 'READY')",
            ((MODEL, number, at, at, f"mlflow-artifacts:/{run}/model", run) for number, run in enumerate(ids, 1)),
        )
        put(
            "INSERT INTO model_version_tags(key, value, name, version) VALUES ('team', 'ops', ?, ?)",
            ((MODEL, number) for number in range(1, versions + 1)),
        )
        put("INSERT INTO registered_model_aliases(alias, version, name) VALUES ('probe', 1, ?)", [(MODEL,)])
        put(
            "INSERT INTO runs(run_uuid, name, user_id, status, start_time, lifecycle_stage, artifact_uri, "
            "experiment_id) VALUES (?, 'run', 'bench', 'FINISHED', ?, 'active', 'mlflow-artifacts:/0', 0)",
            ((run, at) for run in ids),
        )
        put(
            "INSERT INTO latest_metrics(key, value, timestamp, step, is_nan, run_uuid) VALUES (?, ?, ?, 0, 0, ?)",
            ((key, value, at, run) for run in ids for key, value in (("auc", 0.9), ("loss", 0.3))),
        )


def of_bytes(folder: Path, megabytes: int, rounds: int) -> dict[str, float]:
    """The fewest seconds for one model of the given size, here and through the server. Its files are in the page cache,
    and new in each round."""
    model, found = folder / "model", dict[str, float]()
    model.mkdir()

    def timed(name: str, work: Callable[[], Any]) -> Any:
        os.sync()
        began = time.monotonic()
        result = work()
        found[name] = min(found.get(name, math.inf), time.monotonic() - began)
        return result

    def once(place: Path) -> None:
        with (model / "variables").open("wb") as file:
            for _ in range(megabytes):
                file.write(os.urandom(1 << 20))
        with Registry.create(place / "bytes", actor="bench"):
            pass
        local, port = Store.open(place / "local", create=True), free_port()
        with process(pedigree(place / "bytes", port), port, "/readyz") as (pid, _):
            far = connect(f"http://127.0.0.1:{port}").store
            manifest = timed("put, local", lambda: local.put(model))
            timed("put, server", lambda: far.put(model))
            timed("put again, local", lambda: local.put(model))
            timed("put again, server", lambda: far.put(model))
            timed("pull, local", lambda: local.materialise(manifest.digest, place / "out-local"))
            timed("pull, server", lambda: far.materialise(manifest.digest, place / "out-server"))
            timed("verify, server", lambda: far.verify([manifest.digest]))
            found["MiB of the server afterwards"] = memory(pid)
        shutil.rmtree(place)

    for number in range(rounds):
        once(folder / str(number))
    for what in ("put", "pull"):
        found[f"{what}: local over server (0.6 wanted)"] = found[f"{what}, local"] / found[f"{what}, server"]
    return found


def everywhere(options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """On the disk, which flushes may rule, and in memory, where nothing hides what the way costs."""
    found = {}
    for name, where in (("disk", None), ("memory", Path("/dev/shm"))):  # noqa: S108
        if where is None or where.is_dir():
            with tempfile.TemporaryDirectory(dir=where) as folder:
                found[name] = of_bytes(Path(folder), options.megabytes, 3)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("rounds", 6), ("calls", 500), ("versions", 1000), ("megabytes", 1024)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--mlflow", type=os.path.abspath, help="the Python of a venv that has MLflow")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        questions = of_questions(Path(folder), options)
    content = everywhere(options) if options.megabytes else {}
    for name, value in questions.items():
        if name == "milliseconds":
            for call, rounds in value.items():
                print(
                    f"{call:<28} {min(rounds):8.3f} ms (medians of the rounds: {min(rounds):.3f} to {max(rounds):.3f})"
                )
        else:
            print(f"{name:<34} {value}")
    for place, some in content.items():
        for name, seconds in some.items():
            print(f"{place}: {name:<40} {seconds:8.2f}")
    if options.json:
        options.json.write_text(json.dumps({**questions, "bytes": content}, indent=2))


if __name__ == "__main__":
    main()
