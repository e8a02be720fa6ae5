"""The API against what a machine makes up, for some seconds; `make fuzz` is the long version."""

from __future__ import annotations

from pathlib import Path

import fuzz_testing as fuzzing
from tfx_pedigree.registry import Role


def test_whatever_is_asked_is_answered_as_the_document_says_and_never_by_a_failure(tmp_path: Path) -> None:
    tokens = fuzzing.filled(tmp_path)
    with fuzzing.serving(tmp_path) as address:
        phases = ("--phases", "fuzzing", "--seed", "1", "--workers", "2")
        found = fuzzing.fuzz(address, tokens[Role.ADMIN], "admin", tmp_path, 2, *phases)
    assert found.code == 0, found.said
    assert found.cases >= 100, found.said
    assert fuzzing.troubles(tmp_path) == ""
