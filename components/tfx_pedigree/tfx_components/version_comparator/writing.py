"""What a comparison leaves behind: three files, their gist as custom properties, and the word for the Pusher."""

from __future__ import annotations

import posixpath
from typing import Any

from tfx.dsl.io import fileio

from tfx_pedigree.comparison import Comparison, Origin, render
from tfx_pedigree.registry import Evidence
from tfx_pedigree.tfx_components import artifacts, files

# Of the comparison, for whoever looks at artifacts only.
VERDICT = "verdict"
RECOMMENDATION = "recommendation"
CHAMPION_VERSION = "champion_version"
CHAMPION_DIGEST = "champion_digest"

# What InfraValidator writes and the stock Pusher reads: the property, and a file for people.
BLESSED = "blessed"
BLESSED_FILE = {1: "INFRA_BLESSED", 0: "INFRA_NOT_BLESSED"}


def write(output: Any, comparison: Comparison, evidence: Evidence, origin: Origin | None = None) -> None:
    """A repeated run writes the same evidence over itself; the other two files differ in measured times alone."""
    _write_text(output.uri, artifacts.COMPARISON_FILE, comparison.to_text())
    _write_text(output.uri, artifacts.REPORT_FILE, render(comparison, origin))
    files.write_json(output.uri, artifacts.EVIDENCE_FILE, evidence.to_json())
    rival, decision = comparison.champion, comparison.decision
    properties: dict[str, str | int | None] = {
        artifacts.MODEL: comparison.model,
        artifacts.VERSION: comparison.challenger.version,
        artifacts.DIGEST: comparison.challenger.digest,
        CHAMPION_VERSION: rival.version if rival else None,
        CHAMPION_DIGEST: rival.digest if rival else None,
        VERDICT: decision.verdict.value,
        RECOMMENDATION: decision.recommendation.value if decision.recommendation else None,
    }
    artifacts.set_properties(output, **properties)


def bless(blessing: Any, passed: bool) -> None:
    """The word that a rerun into the same folder may have left behind is taken back first."""
    word = int(passed)
    fileio.makedirs(blessing.uri)
    other = posixpath.join(blessing.uri, BLESSED_FILE[1 - word])
    if fileio.exists(other):
        fileio.remove(other)
    _write_text(blessing.uri, BLESSED_FILE[word], "")
    artifacts.set_properties(blessing, **{BLESSED: word})


def _write_text(uri: str, name: str, text: str) -> None:
    fileio.makedirs(uri)
    with fileio.open(posixpath.join(uri, name), "w") as file:
        file.write(text)
