"""Runs a TFX pipeline on this machine so that a person can follow: a line for each component, all noise in a file.

TensorFlow, Beam and pip write to the terminal behind Python's back: during a run the process's own standard output and
error lead into the log, and the lines go to a copy of what they led to before. Nothing is thrown away. One run at a
time in a process.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from absl import logging as absl_logging

if TYPE_CHECKING:
    from tfx.orchestration.pipeline import Pipeline

LOADING = "loading TFX"
PREPARING = "preparing"

# What TFX 1.16 and 1.21 log of a component; there is no other way to hear of it from outside.
_RUNNING, _FINISHED, _REUSED = "Component %s is running.", "Component %s is finished.", "A cached execution %d is used."


@dataclass(frozen=True)
class ComponentProgress:
    """A component, or what comes before the first one. `reused`: TFX took the outputs of an earlier run."""

    name: str
    seconds: float
    reused: bool = False

    def __str__(self) -> str:
        return f"  {self.name:<24}{self.seconds:6.1f} s{'  (taken from an earlier run)' if self.reused else ''}"


class Follower(logging.Handler):
    """Turns the runner's log into steps, and writes each when it ends."""

    def __init__(self, terminal: TextIO) -> None:
        super().__init__(logging.INFO)
        self.steps: list[ComponentProgress] = []
        self._terminal = terminal
        self._current, self._since, self._reused = "", 0.0, False

    def start(self, name: str) -> None:
        if self._current:
            self.end()
        self._current, self._since, self._reused = name, time.monotonic(), False
        if self._terminal.isatty():
            self._write(f"  {name} …")

    def end(self) -> None:
        self.steps.append(ComponentProgress(self._current, time.monotonic() - self._since, self._reused))
        self._write(f"{self._over()}{self.steps[-1]}\n")
        self._current = ""

    def failed(self, log: Path) -> None:
        where = self._current or "The run"
        self._write(
            f"{self._over()}  {where} failed after {time.monotonic() - self._since:.1f} s. The full log is in {log}\n"
        )

    def emit(self, record: logging.LogRecord) -> None:
        if record.msg == _RUNNING and isinstance(record.args, tuple):
            self.start(str(record.args[0]))
        elif record.msg == _FINISHED:
            self.end()
        elif record.msg == _REUSED:
            self._reused = True

    def _over(self) -> str:
        return "\r\x1b[K" if self._terminal.isatty() else ""

    def _write(self, text: str) -> None:
        self._terminal.write(text)
        self._terminal.flush()


def run_local(
    make_pipeline: Callable[[], Pipeline], log: Path, terminal: TextIO | None = None
) -> list[ComponentProgress]:
    """Makes the pipeline and runs it, and gives the time of each step. An error of a component passes through.

    Import no TFX before: `make_pipeline` is called where its noise goes into the log.
    """
    with quiet(log) as own, _logged(log):
        follower = Follower(terminal or own)
        absl_logging.get_absl_logger().addHandler(follower)
        try:
            follower.start(LOADING)
            from tfx.orchestration.local.local_dag_runner import LocalDagRunner  # noqa: PLC0415  some ten seconds

            pipeline = make_pipeline()
            # Before its first component the runner compiles the pipeline and packs the modules.
            follower.start(PREPARING)
            LocalDagRunner().run(pipeline)
        except BaseException:
            follower.failed(log)
            raise
        finally:
            absl_logging.get_absl_logger().removeHandler(follower)
        return follower.steps


@contextlib.contextmanager
def quiet(log: Path) -> Iterator[TextIO]:
    """Leads the process's standard output and error to the end of `log`; gives what standard error led to before.

    Python's own may be something else than the process's, in a notebook for instance: they are led there as well.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    kept = os.dup(1), os.dup(2)
    with log.open("ab") as file, os.fdopen(os.dup(2), "w", encoding="utf-8") as terminal:
        try:
            for descriptor in (1, 2):
                os.dup2(file.fileno(), descriptor)
            with (
                log.open("a", encoding="utf-8", buffering=1) as text,
                contextlib.redirect_stdout(text),
                contextlib.redirect_stderr(text),
            ):
                yield terminal
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for descriptor, before in zip((1, 2), kept, strict=True):
                os.dup2(before, descriptor)
                os.close(before)


@contextlib.contextmanager
def _logged(log: Path) -> Iterator[None]:
    """What TFX logs, from INFO on, goes into the file, whatever the process does with its logs otherwise."""
    # Only read where TensorFlow is loaded for the first time.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    logger = absl_logging.get_absl_logger()
    handler = logging.FileHandler(log, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s: %(message)s"))
    verbosity, propagate = absl_logging.get_verbosity(), logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    absl_logging.set_verbosity(absl_logging.INFO)
    try:
        yield
    finally:
        absl_logging.set_verbosity(verbosity)
        logger.propagate = propagate
        logger.removeHandler(handler)
        handler.close()
