"""`pedigree serving-config` in a process that is killed at one of its writes."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cli_testing import Pedigree

# Here once, and not in each process that is forked.
import tfx_pedigree.cli.serving_config
import tfx_pedigree.integrations
import tfx_pedigree.service.workspace  # noqa: F401
from tfx_pedigree.rollout.traffic import files

# Each of them leaves something else on the disk.
_WRITES: tuple[tuple[Any, str], ...] = (
    (files.tempfile, "mkstemp"), (files.os, "fchmod"), (files.os, "fsync"), (Path, "replace"), (files, "sync_folder"),
)  # fmt: skip


def killed_at(point: int, registry: str, words: list[str]) -> None:
    """Before the write with this number; prints how many there were if it comes to its end."""
    left = [point]
    for target, name in _WRITES:
        setattr(target, name, _dying(getattr(target, name), left))
    Pedigree(registry)("serving-config", *words)
    sys.stdout.write(str(point - left[0]))


def _dying(original: Callable[..., Any], left: list[int]) -> Callable[..., Any]:
    def write(*arguments: Any, **named: Any) -> Any:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments, **named)

    return write
