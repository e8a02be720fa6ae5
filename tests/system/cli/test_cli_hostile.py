"""Whatever stands in a command or a file is used, or refused with a sentence: Pedigree itself never fails."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from cli_testing import MODELS, Pedigree
from click.testing import CliRunner

from tfx_pedigree.cli import exits
from tfx_pedigree.cli.app import App
from tfx_pedigree.cli.main import cli

DIGITS = "9" * 30
# What every argument and option that takes a text must bear.
VALUES = [
    "",
    " ",
    "\x00",
    "\udcff",
    "\x1b[2J\u202e",
    "x" * 70_000,
    DIGITS,
    "-1",
    "1e999",
    "NaN",
    "../../etc/passwd",
    "@",
    "@@",
    "flight-delay@",
    f"flight-delay@{DIGITS}",
    f"flight-delay@{DIGITS}.{DIGITS}.{DIGITS}",
    "flight-delay@sha256:",
    "flight-delay@sha256:" + "0" * 64,
    "flight-delay@\x00",
    "flight-delay@champion@1",
    "tag.\x00=\udcff",
    f"metric.auc>{DIGITS}e{DIGITS}",
    "metric.auc<\u0661",
    "a=b=c",
    "=",
    "auc=1e999",
    f"auc={'9' * 5000}",
    "a=" + "[" * 3000,
    "a=\udcff",
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-23:59",
    "2026-02-30",
    base64.b64encode(b"\xff").decode(),
    f"999999{DIGITS}d",
    "https://u:p@[::1/x",
    "postgresql://u@\x00/x",
    "sqlite:///\x00",
    "s3://",
    "file:///",
    "{" * 3000,
]
DEEP = "[" * 3000 + "]" * 3000
DIGEST = "sha256:" + "0" * 64
EVIDENCE = {"format": "pedigree.evidence/1", "challenger": DIGEST, "champion": None, "verdict": "PASS", "reason": "x"}
# What every file must bear.
FILES = {
    "empty": b"",
    "null": b"\x00" * 100,
    "latin": b"\xff\xfe{}",
    "mark": b"\xef\xbb\xbf{}",
    "deep.json": DEEP.encode(),
    "deep": b'{"a":' * 3000,
    "huge": b'{"auc": 1' + b"0" * 5000 + b"}",
    "infinite": b'{"auc": 1e999, "x": Infinity}',
    "word": b'{"auc": NaN}',
    "half": b'{"format": "\\ud800", "auc": "\\ud800"}',
    "list": b"[1, 2, 3]",
    "number": b"7",
    "text": b'"x"',
    "table": b'{"": null}',
    "twice": b'{"a": 1, "a": 2}',
    "evidence": json.dumps({**EVIDENCE, "reason": 5, "details": [], "metrics": {"a": 1}}).encode(),
    "verdict": json.dumps({**EVIDENCE, "verdict": ["PASS"], "champion": 7}).encode(),
    "digest": json.dumps({**EVIDENCE, "challenger": {"a": 1}}).encode(),
    "numbers": json.dumps({**EVIDENCE, "metrics": {"auc": {"value": "x" * 10_000, "n": 10**30}}}).encode(),
    "format": b'{"format": ["pedigree.model-description/1"]}',
    "description": b'{"format": "pedigree.model-description/1", "kind": {}, "tags": 5, "signatures": [[]]}',
    "anchor": b'{"format": "pedigree.anchor/1", "at": "9999-99-99", "chains": {"a": 1e999}}',
    "chains": b'{"format": "pedigree.anchor/1", "at": 5, "chains": [[["x"]]], "registry": {}}',
    "aliases.yaml": b"a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n",
    "itself.yaml": b"a: &a [*a]",
    "pipeline.yaml": b"pipeline: {create: 5, settings: [1], spans: {pattern: {a: 1}}}\ntarget: [7]\npolicy: 3",
    "date.yaml": b"pipeline: {create: 'a:b', settings: {d: 2026-99-99}}",
    "key.yaml": b"? [1]\n: 2\n1: 3\n",
    "deep.yaml": b"- " * 3000,
    "dotted.toml": b"a." * 30_000 + b"b = 1",
    "deep.toml": b"a = " + b"[" * 3000,
    "spec.json": b'{"pipelineSpec": {"pipelineInfo": {"name": {}}, "root": {"dag": {"tasks": {"a": {"b": 5}}}}}}',
    "loop.json": json.dumps(
        {
            "pipelineInfo": {"name": "x"},
            "root": {"dag": {"tasks": {"a": {"componentRef": {"name": "c"}}}}},
            "components": {"c": {"dag": {"tasks": {"a": {"componentRef": {"name": "c"}}}}}},
        }
    ).encode(),
    "tar": b"pedigree.json".ljust(100, b"\x00") + b"0" * 412 + b"\x00" * 1024,
}
# Valid values, so that only one thing is wrong at a time.
GOOD = {
    "model": "flight-delay",
    "ref": "flight-delay@1.0.0",
    "other": "flight-delay@1.0.1",
    "version": "flight-delay@1.0.1",
    "v1": "flight-delay@1.0.0",
    "node": "flight-delay@1.0.0",
    "a": "flight-delay@1.0.0",
    "b": "flight-delay@1.0.1",
    "name": "canary",
    "reason": "so",
    "time": "2026-11-20T15:00:00Z",
    "shell": "bash",
    "role": "viewer",
    "terms": "metric.auc>0.5",
    "tags": "a=b",
    "source": "sqlite:///none.db",
    "first": "1",
    "last": "1",
    "folder": str(MODELS / "keras"),
    "target": "out",
    "file": "out.file",
}
# Given where they are not what is wrong: a whole answer takes long.
LITTLE = {"runs": "10"}
# They are about this machine's environment and start other programs.
LEFT_OUT = {"completion"}


def _commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from _commands(found, (*path, name))
    elif path[0] not in LEFT_OUT:
        yield path, command


COMMANDS = dict(_commands(cli))


# Every command takes them, and treats them alike.
COMMON = {"registry", "store", "actor", "config"}
WITH_COMMON = (("models",), ("init",), ("register",))


def _taking(path: tuple[str, ...], *, files: bool) -> list[click.Parameter]:
    """The parameters that take a file, or any other value."""
    command = COMMANDS[path]
    kinds = (click.Path, click.File)
    given = [
        one
        for one in command.params
        if not getattr(one, "is_flag", False) and (path in WITH_COMMON or one.name not in COMMON)
    ]
    return [one for one in given if isinstance(one.type, kinds) == files or (files and one.name == "config")]


def _words(path: tuple[str, ...], wrong: click.Parameter, value: str) -> list[str]:
    options: list[str] = []
    arguments: list[str] = []
    for one in COMMANDS[path].params:
        chosen = value if one is wrong else (GOOD if one.required else LITTLE).get(one.name or "")
        if chosen is None:
            continue
        if isinstance(one, click.Argument):
            arguments.append(chosen)
        else:
            options += [one.opts[-1], chosen]
    return [*path, *options, "--", *arguments]


def _check(pedigree: Pedigree, words: list[str], stdin: bytes | None = None) -> None:
    env = {"PEDIGREE_REGISTRY": str(pedigree.registry), "PEDIGREE_ACTOR": "mia", "PEDIGREE_PATIENCE": "0"}
    result = CliRunner(env=env).invoke(cli, words, input=stdin, prog_name="pedigree", obj=App(clock=pedigree.clock))
    told = [word[:80] for word in words]
    assert result.exit_code != exits.INTERNAL, f"{told}: {result.output[-1500:]}"
    assert "Traceback" not in result.output, told
    assert result.exception is None or isinstance(result.exception, SystemExit), f"{told}: {result.exception!r}"


@pytest.fixture(autouse=True)
def nothing_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """What runs until somebody stops it begins, and ends at once."""
    monkeypatch.setattr("tfx_pedigree.server.running.serve", lambda *_: None)
    monkeypatch.setattr("tfx_pedigree.cli.monitor.keep_looking", lambda *_: None)
    monkeypatch.setattr("tfx_pedigree.server.running.serve_locally", lambda *_: None)
    monkeypatch.setattr("tfx_pedigree.service.rollouts.desk.RolloutDesk.run_controller", lambda *_, **__: None)


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_any_value_is_used_or_refused(pedigree: Pedigree, path: tuple[str, ...]) -> None:
    for wrong in _taking(path, files=False):
        for value in VALUES:
            _check(pedigree, _words(path, wrong, value))


@pytest.mark.parametrize("path", [path for path in COMMANDS if _taking(path, files=True)], ids=" ".join)
def test_any_file_is_used_or_refused(pedigree: Pedigree, tmp_path: Path, path: tuple[str, ...]) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    for name, data in FILES.items():
        (folder / name).write_bytes(data)
    for wrong in _taking(path, files=True):
        for name in [*FILES, "none", "", ".", "/dev/null", "x" * 300]:
            _check(pedigree, _words(path, wrong, str(folder / name)))
