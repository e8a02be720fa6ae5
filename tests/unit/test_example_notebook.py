"""The notebook of the documents is run, cell by cell, and shows what it said before.

PEDIGREE_UPDATE_GOLDENS=1 writes its outputs anew. No kernel is started: what is tested is what the cells say."""

from __future__ import annotations

import contextlib
import io
import json
import os
from pathlib import Path
from typing import Any

import pytest

NOTEBOOK = Path(__file__).parents[2] / "docs" / "from-pipeline-to-rollback.ipynb"


def test_every_cell_says_what_stands_below_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(NOTEBOOK.parent)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    notebook = json.loads(NOTEBOOK.read_text())
    told, names = [], dict[str, Any]()
    for number, cell in enumerate([one for one in notebook["cells"] if one["cell_type"] == "code"], 1):
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            exec(compile("".join(cell["source"]), f"cell {number}", "exec"), names)  # noqa: S102  it is our own
        told.append(_outputs(said.getvalue()))
        if os.environ.get("PEDIGREE_UPDATE_GOLDENS"):
            cell.update(outputs=told[-1], execution_count=number)
        assert cell["execution_count"] == number
        assert cell["outputs"] == told[-1], "".join(cell["source"])
    assert len(told) > 8
    assert all(told), "a cell that says nothing shows nothing"
    if os.environ.get("PEDIGREE_UPDATE_GOLDENS"):
        NOTEBOOK.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")


def _outputs(text: str) -> list[dict[str, Any]]:
    return [{"name": "stdout", "output_type": "stream", "text": text.splitlines(keepends=True)}] if text else []
