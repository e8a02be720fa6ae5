"""The whole API against what a machine makes up: schemathesis, by the server's own OpenAPI document, as each of three
people. `make fuzz` runs it: python tests/fuzz_testing.py [--cases 10000] [--seed N] [--only NAME]

Values are made up by the document; names of things that are there are put among them, else most requests would end at a
model that is not there. The server is a process of its own on a registry of its own.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from pedigree_testing import candidate, digest
from programs_testing import program
from tfx_pedigree.lineage.graph import Edge, EdgeKind, Fragment, Node, NodeKind
from tfx_pedigree.lineage.lineage import Lineage
from tfx_pedigree.lineage.node_factory import version_node
from tfx_pedigree.registry import Action, Evidence, Facts, NewWebhook, Registry, Role, Verdict
from tfx_pedigree.service.tokens import make_token

MODEL, OTHER = "flight-delay", "other-model"
PEOPLE = (Role.VIEWER, Role.RELEASER, Role.ADMIN)
DOCUMENT = "/api/v1/openapi.json"
# What is in the registry, by the names that parameters and fields have.
THERE: Mapping[str, tuple[Any, ...]] = {
    "model": (MODEL, OTHER),
    "name": (MODEL, "hook", "ci"),
    "selector": ("latest", "champion", "1.0.0", "1.0.1", "canary", digest("a")),
    "reference": (f"{MODEL}@latest", f"{MODEL}@1.0.0"),
    "old": (f"{MODEL}@1.0.0", digest("a")),
    "new": (f"{MODEL}@1.0.1", digest("b")),
    "alias": ("canary", "shadow"),
    "digest": (digest("a"), digest("b")),
    "principal": ("bob", "*", "group:team"),
    "scope": ("*", MODEL),
    "text": (f"{MODEL}@1.0.0", "run:r", digest("a")),
    "url": ("http://127.0.0.1:9/hook",),
}
# Not for people's credentials: that is what tests/unit/server/test_role_matrix.py and test_credentials.py ask, and the
# server would soon refuse the fuzzer for its wrong tokens. Whether a request is one that this registry can carry out
# now, a document cannot say (`positive_data_acceptance`).
LEFT_OUT = ("ignored_auth", "positive_data_acceptance", "use_after_free", "ensure_resource_availability")
SECRET = "whsec_" + base64.b64encode(b"0" * 32).decode()
_CASES = re.compile(r"([\d,]+) generated")


@dataclass(frozen=True)
class Fuzzed:
    """`said` is the report for people."""

    who: str
    cases: int
    code: int
    said: str


def filled(folder: Path) -> dict[Role, str]:
    """A registry with something of everything, and a token for each of the people."""
    found = {}
    with Registry.create(folder / "registry", actor="ada") as registry:
        for model in (MODEL, OTHER):
            for seed in "abc":
                registry.add(model, candidate(seed), facts=Facts({"auc": 0.9}, {"team": "ops"}))
        registry.promote(f"{MODEL}@1.0.0")
        evidence = Evidence(digest("b"), digest("a"), Verdict.PASS, "auc is 2 % better")
        registry.attach_evidence(f"{MODEL}@1.0.1", evidence)
        registry.promote(f"{MODEL}@1.0.1")
        registry.set_alias("canary", f"{MODEL}@1.0.2")
        registry.note(MODEL, Action.RETRAIN, reason="new data", details={"span": 1})
        registry.protect(OTHER, 1)
        registry.request_promotion(f"{OTHER}@1.0.1")
        registry.add_webhook(NewWebhook("hook", "http://127.0.0.1:9/hook", SECRET, private=True))
        run, made = Node(NodeKind.RUN, {"pipeline": "p", "id": "7"}), version_node(MODEL, digest("a"))
        Lineage(registry).record(Fragment((run, made), (Edge(made.key, EdgeKind.PRODUCED_BY, run.key),)))
        for role in PEOPLE:
            registry.grant(f"{role}@example.com", role)
            found[role] = make_token(registry, f"fuzz-{role}", principal=f"{role}@example.com").text
    return found


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[str]:
    command = [sys.executable, "-c", "from tfx_pedigree.cli.main import main; main()"]
    command += ["--registry", str(folder / "registry"), "server", "--port", "0", "--json"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with (
        (folder / "server.log").open("w") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment) as process,
    ):
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(4)]
        try:
            yield str(json.loads("".join(lines))["address"])
        finally:
            process.terminate()


def document_of(address: str) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(address + DOCUMENT).raise_for_status().json()
    return found


def with_what_is_there(document: Any) -> Any:
    """The same document, in which what has a known name may also be one of the things that are there."""
    if isinstance(document, list):
        return [with_what_is_there(one) for one in document]
    if not isinstance(document, dict):
        return document
    found = {key: with_what_is_there(value) for key, value in document.items()}
    if isinstance(found.get("name"), str) and found["name"] in THERE and isinstance(found.get("schema"), dict):
        found["schema"] = _or_there(found["schema"], found["name"])
    if isinstance(found.get("properties"), dict):
        found["properties"] = {key: _or_there(one, key) for key, one in found["properties"].items()}
    return found


def _or_there(schema: Any, name: str) -> Any:
    if name not in THERE or not isinstance(schema, dict) or schema.get("type") != "string":
        return schema
    return {"anyOf": [{"enum": list(THERE[name])}, schema]}


def fuzz(address: str, token: str, who: str, folder: Path, examples: int, *more: str) -> Fuzzed:
    """So many cases at the most for each operation."""
    file = folder / "openapi.json"
    file.write_text(json.dumps(with_what_is_there(document_of(address))))
    command = [
        program("schemathesis"),
        "run",
        str(file),
        "--url",
        address,
        "--no-color",
        "--warnings",
        "off",
        "--continue-on-failure",
    ]
    command += ["--header", f"Authorization: Bearer {token}", "--generation-with-security-parameters", "false"]
    command += ["--exclude-checks", ",".join(LEFT_OUT), "--max-examples", str(examples), "--request-timeout", "30"]
    command += ["--generation-database", "none", "--suppress-health-check", "all", *more]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=folder)
    counted = _CASES.search(done.stdout)
    cases = int(counted[1].replace(",", "")) if counted else 0
    return Fuzzed(who, cases, done.returncode, done.stdout + done.stderr)


def troubles(folder: Path) -> str:
    """What the server had to say for itself: nothing but that a request was no HTTP."""
    lines = (folder / "server.log").read_text().splitlines()
    return "\n".join(line for line in lines if not line.endswith("Invalid HTTP request received."))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=10_000, help="at the least, of all people together")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", help="one operation, such as registry.promote")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, total, bad = Path(name), 0, 0
        tokens = filled(folder)
        more = ["--include-operation-id", options.only] if options.only else []
        with serving(folder) as address:
            operations = sum(len(one) for one in document_of(address)["paths"].values())
            examples, seed = 40, options.seed
            while total < options.cases:
                for role in PEOPLE:
                    found = fuzz(address, tokens[role], str(role), folder, examples, "--seed", str(seed), *more)
                    sys.stdout.write(f"{found.who}, seed {seed}: {found.cases} cases, exit code {found.code}\n")
                    if found.code:
                        sys.stdout.write(found.said)
                    sys.stdout.flush()
                    total, bad, seed = total + found.cases, bad + bool(found.code), seed + 1
                if options.only:
                    break
        log = troubles(folder)
        sys.stdout.write(f"{total} cases for {operations} operations; runs with failures: {bad}\n{log}")
    return 1 if bad or log else 0


if __name__ == "__main__":
    sys.exit(main())
