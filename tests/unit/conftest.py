"""What tests of several rooms are given."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def new_model(tmp_path: Path) -> Path:
    """A folder with files that are no SavedModel."""
    folder = tmp_path / "new_model"
    folder.mkdir()
    (folder / "weights.bin").write_bytes(b"weights")
    return folder
