"""How long work tells how far it is, without knowing who looks on.

The command line draws a bar from it, a component logs it, a test counts it. The default says nothing.
"""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called from one thread at a time. `done` never falls and ends at `total`."""

    def __call__(self, done: int, total: int, what: str) -> None: ...


def silent(done: int, total: int, what: str) -> None:
    """The progress of work that nobody watches."""
