"""Secrets where everybody sees them: a service shows parameters, arguments and environment of each task in its pages.

A finding never repeats the secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tfx_pedigree.orchestration.ir.compiled import CompiledPipeline, Task
from tfx_pedigree.orchestration.ir.findings import Finding, error
from tfx_pedigree.orchestration.ir.values import leaves
from tfx_pedigree.secrets import has_password, kind_of_secret

_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_SECRET_NAME = re.compile(
    r"(?:^|[_.-])(password|passwd|pwd|secret|api[_-]?key|access[_-]?key|private[_-]?key|credentials?|token)$"
)
# Models of language have tokens of another kind, and they are short: oov_token "[UNK]".
_SHORTEST_TOKEN = 16
_REFERENCE = re.compile(r"\$\{.*\}|\$\(.*\)|\{\{.*\}\}|\*+")
_FLAG = re.compile(r"--?([A-Za-z][\w.-]*)(?:=(.*))?", re.DOTALL)


def check_secrets(compiled: CompiledPipeline) -> Iterator[Finding]:
    for task in compiled.tasks.values():
        for where, name, value in _shown(task):
            what = secret_in(name, value)
            if what:
                yield _finding(task.key, where, what)
    for parameter in compiled.parameters:
        what = secret_in(parameter.name, parameter.default)
        if what:
            yield _finding(None, f"the default of its parameter `{parameter.name}`", what)
    given = compiled.document.get("runtimeConfig", {}).get("parameterValues", {})
    for name, value in sorted(given.items()):
        what = secret_in(name, value)
        if what:
            yield _finding(None, f"the value of its parameter `{name}`", what)


def _finding(task: str | None, where: str, what: str) -> Finding:
    return error(
        "secret",
        task,
        f"{where} holds {what}, and everybody who sees the pipeline can read it.",
        "Leave it out, withdraw it where it has been seen, and give it to the container's environment from a secret of "
        "the cluster, or to its service account.",
    )


def _shown(task: Task) -> Iterator[tuple[str, str, Any]]:
    for name in sorted(task.parameters):
        yield f"its parameter `{name}`", name, task.constant(name)
    for one in task.container.get("env", ()):
        yield f"the environment's {one.get('name')}", str(one.get("name")), one.get("value")
    if "importer" in task.executor:
        yield "what it imports", "", task.executor["importer"]
    hook = task.container.get("lifecycle", {}).get("preCacheCheck", {})
    for words in (task.container.get("command", ()), task.container.get("args", ()), hook.get("args", ())):
        yield from _arguments([str(one) for one in words])


def _arguments(words: list[str]) -> Iterator[tuple[str, str, Any]]:
    for number, word in enumerate(words):
        flag = _FLAG.fullmatch(word)
        following = words[number + 1] if number + 1 < len(words) else ""
        if flag is None:
            yield "one of its arguments", "", word
        elif flag[2] is not None:
            yield f"its argument --{flag[1]}", flag[1], flag[2]
        elif not following.startswith("-"):
            yield f"its argument --{flag[1]}", flag[1], following


def secret_in(name: str, value: Any) -> str | None:
    """What kind of secret is in `value`, which stands under `name`; None if there is none to be seen."""
    for key, leaf in leaves(value, name):
        if not isinstance(leaf, str) or not leaf or _REFERENCE.fullmatch(leaf):
            continue
        if has_password(leaf):
            return "an address with a password"
        what = kind_of_secret(leaf)
        if what is not None:
            return what
        named = _SECRET_NAME.search(_WORDS.sub("_", key).lower())
        if named and (named[1] != "token" or (len(leaf) >= _SHORTEST_TOKEN and not re.search(r"\s", leaf))):
            return f"what is called a {named[1]} (`{key}`)"
    return None
