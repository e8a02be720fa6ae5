"""Processes that are ready in a moment, to be killed: each is forked from an interpreter that has done nothing yet but
import a module, in which seconds would go by for every one.

As a program it is that interpreter: reads orders, one in a line, and answers each with how its process ended.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

_LONGEST = 600


@dataclass(frozen=True)
class Ended:
    """`code` is minus the signal that ended it, as subprocess has it."""

    code: int
    out: str
    err: str


@contextmanager
def forking(module: str, environment: Mapping[str, str] | None = None) -> Iterator[Callable[..., Ended]]:
    """Calls a function of the module in a process of its own and waits for it, ten minutes at the most. The module is
    imported while the caller goes on."""
    process = subprocess.Popen(
        [sys.executable, __file__, module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **(environment or {}), "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdin is not None and process.stdout is not None

    def call(function: str, *arguments: Any) -> Ended:
        process.stdin.write(json.dumps([function, arguments]) + "\n")
        process.stdin.flush()
        answer = process.stdout.readline()
        assert answer, f"the interpreter for {module} has ended: {process.wait()}"
        return Ended(**json.loads(answer))

    try:
        yield call
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait()


def _call(function: Callable[..., Any], arguments: list[Any], out: int, err: int) -> NoReturn:
    code = 1
    signal.alarm(_LONGEST)
    try:
        os.dup2(out, 1)
        os.dup2(err, 2)
        function(*arguments)
        sys.stdout.flush()
        code = 0
    except BaseException:  # noqa: BLE001  a process of its own: nobody else would say what went wrong in it
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _serve(module: str) -> None:
    # What is printed while it is imported must not be taken for an answer.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    functions = importlib.import_module(module)
    for line in sys.stdin:
        function, arguments = json.loads(line)
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            process = os.fork()
            if process == 0:
                _call(getattr(functions, function), arguments, out.fileno(), err.fileno())
            _, status = os.waitpid(process, 0)
            out.seek(0)
            err.seek(0)
            ended = {"code": os.waitstatus_to_exitcode(status), "out": out.read(), "err": err.read()}
        answers.write(json.dumps(ended) + "\n")
        answers.flush()


if __name__ == "__main__":
    _serve(sys.argv[1])
