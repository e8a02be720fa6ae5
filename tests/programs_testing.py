"""The programs of others that tests start: fetched by the set-up into build/programs/ (scripts/other_programs.py)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).resolve().parent.parent / "build/programs"


def program(name: str) -> str:
    """Where it is. A test that needs one that is not there fails, and says what to do."""
    path = PROGRAMS / name
    if not os.access(path, os.X_OK):
        pytest.fail(
            f"There is no {path}. Run `scripts/any-python scripts/other_programs.py`: it fetches it, or says why not.",
            False,
        )
    return str(path)
