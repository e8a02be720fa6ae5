"""GitHub and GitLab as far as a job sees them: steps with inputs and outputs, tokens, and comments."""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[3]
_EXPRESSION = re.compile(r"\$\{\{ (.*?) \}\}")


@dataclass
class Service:
    """The token of the job, whose audience it was asked for, and the comments of pull request 12."""

    url: str = ""
    audiences: list[str] = field(default_factory=list)
    comments: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def answer(self, method: str, path: str, body: Any, headers: Mapping[str, str]) -> Any:
        if path.startswith("/token?"):
            assert headers["authorization"] == "Bearer of-the-job"
            self.audiences.append(path.partition("audience=")[2])
            return {"value": "ci"}
        if path.startswith("/api/v4/"):
            assert (path, headers["private-token"]) == ("/api/v4/projects/3/merge_requests/12/notes", "of-the-project")
            self.notes.append(body["body"])
            return {}
        assert headers["authorization"] == "Bearer of-github"
        if (method, path) == ("POST", "/repos/o/r/issues/12/comments"):
            self.comments.append({"id": len(self.comments), "user": {"type": "Bot"}, **body})
        elif method == "PATCH":
            self.comments[int(path.removeprefix("/repos/o/r/issues/comments/"))] |= body
        else:
            assert path.startswith("/repos/o/r/issues/12/comments?"), path
            return self.comments if path.endswith("&page=1") else []
        return {}


@contextlib.contextmanager
def service() -> Iterator[Service]:
    made = Service()

    class Handler(BaseHTTPRequestHandler):
        def _reply(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)) or b"null")
            headers = {name.lower(): value for name, value in self.headers.items()}
            sent = json.dumps(made.answer(self.command, self.path, body, headers)).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        do_GET = do_POST = do_PATCH = _reply  # noqa: N815  the library's names

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()


def with_pedigree(folder: Path) -> dict[str, str]:
    """An environment in which `pedigree` is this code, and nothing else of ours is set."""
    program = folder / "bin" / "pedigree"
    program.parent.mkdir(exist_ok=True)
    start = "from tfx_pedigree.cli.main import main; main()"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{start}" "$@"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PEDIGREE", "GITHUB", "CI_"))}
    components = str(ROOT / "components")
    return {**kept, "PATH": f"{program.parent}:{os.environ['PATH']}", "PYTHONPATH": components, "NO_COLOR": "1"}


@dataclass
class Job:
    """What ran of the action: its exit code, all that was printed, its outputs and its summary."""

    code: int
    log: str
    outputs: dict[str, dict[str, str]]
    summary: str


def run_action(folder: Path, environ: Mapping[str, str], inputs: Mapping[str, str], **context: str) -> Job:
    """The steps of action.yml one after the other, in bash with the options that GitHub gives it."""
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    given = {name: str(one.get("default", "")) for name, one in action["inputs"].items()} | dict(inputs)
    given["github-token"] = "of-github"
    outputs: dict[str, dict[str, str]] = {}
    known, log, code = dict(environ), "", 0
    summary = folder / "summary.md"
    summary.touch()
    for number, step in enumerate(action["runs"]["steps"]):
        if "if" in step and not _holds(step["if"], given, context):
            continue
        files = {name: folder / f"{name}-{number}" for name in ("GITHUB_ENV", "GITHUB_OUTPUT")}
        for file in files.values():
            file.touch()
        own = {key: _filled(value, given, outputs) for key, value in step.get("env", {}).items()}
        at = {
            key: str(value) for key, value in {**files, "GITHUB_STEP_SUMMARY": summary, "RUNNER_TEMP": folder}.items()
        }
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
        done = subprocess.run(
            command, cwd=folder, env={**known, **own, **at}, capture_output=True, text=True, check=False, timeout=300
        )
        log += done.stdout + done.stderr
        known |= _lines(files["GITHUB_ENV"])
        outputs[step.get("id", str(number))] = _lines(files["GITHUB_OUTPUT"])
        code = done.returncode
        if code:
            break
    return Job(code, log, outputs, summary.read_text())


def _lines(file: Path) -> dict[str, str]:
    return {name: value for name, _, value in (line.partition("=") for line in file.read_text().splitlines())}


def _filled(text: str, inputs: Mapping[str, str], outputs: Mapping[str, Mapping[str, str]]) -> str:
    def value(found: re.Match[str]) -> str:
        if found[1] == "github.event.repository.default_branch":
            return "main"
        words = found[1].split(".")
        return inputs[words[1]] if words[0] == "inputs" else outputs.get(words[1], {}).get(words[3], "")

    return _EXPRESSION.sub(value, text)


def _holds(expression: str, inputs: Mapping[str, str], context: Mapping[str, str]) -> bool:
    found = _EXPRESSION.fullmatch(expression)
    assert found, expression
    sides = [term.split(" == ") for term in found[1].split(" && ")]
    names = {**{f"inputs.{name}": value for name, value in inputs.items()}, "github.event_name": context["event"]}
    return all(names[name] == value.strip("'") for name, value in sides)
