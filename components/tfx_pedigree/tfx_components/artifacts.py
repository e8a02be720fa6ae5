"""The artifacts that travel between the components, and the names of the files and properties in them.

docs/components.md describes them. No PROPERTIES and no truth values: Kubeflow carries neither. `TYPE_NAME` is the path
from which a container imports the class again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tfx.types import artifact

from tfx_pedigree.errors import InvalidInputError

MODEL_VERSION_FILE = "version.json"
COMPARISON_FILE = "comparison.json"
REPORT_FILE = "report.html"
EVIDENCE_FILE = "evidence.json"
LINEAGE_FILE = "lineage.json"

# Custom properties. Of a version:
MODEL = "model"
VERSION = "version"
DIGEST = "digest"
SEQUENCE = "sequence"
BUMP = "bump"
# Of the champion's Model: 1 if there is no champion.
ABSENT = "absent"
# Of a ModelEvaluation: 1 and why, if a champion was there but could not be evaluated on these data.
BASELINE_INCOMPATIBLE = "baseline_incompatible"
BASELINE_INCOMPATIBLE_REASON = "baseline_incompatible_reason"


class ModelVersion(artifact.Artifact):  # type: ignore[misc]
    """What a trained model became: `version.json` (`pedigree.model-version/1`)."""

    TYPE_NAME = "tfx_pedigree.ModelVersion"


class VersionComparison(artifact.Artifact):  # type: ignore[misc]
    """Challenger against champion: `comparison.json`, `report.html` and `evidence.json` (`pedigree.evidence/1`)."""

    TYPE_NAME = "tfx_pedigree.VersionComparison"


class LineageRecord(artifact.Artifact):  # type: ignore[misc]
    """What a run added to the lineage graph: `lineage.json` (`pedigree.lineage/1`)."""

    TYPE_NAME = "tfx_pedigree.LineageRecord"


def optional_single(artifacts: Mapping[str, Sequence[Any]], key: str) -> Any | None:
    """The artifact of an input that may be missing, which arrives as no key or as an empty list."""
    found = artifacts.get(key) or ()
    if len(found) > 1:
        raise InvalidInputError(f"The input `{key}` has {len(found)} artifacts, but one is expected.")
    return found[0] if found else None


def single(artifacts: Mapping[str, Sequence[Any]], key: str) -> Any:
    found = optional_single(artifacts, key)
    if found is None:
        raise InvalidInputError(f"The input or output `{key}` has no artifact. Connect it in the pipeline.")
    return found


def set_properties(target: Any, **properties: str | int | None) -> None:
    """Numbers stay numbers and texts stay texts on every runner; what is None is left out."""
    for key, value in properties.items():
        if isinstance(value, int):
            target.set_int_custom_property(key, int(value))
        elif value is not None:
            target.set_string_custom_property(key, value)


def is_absent(champion: Any | None) -> bool:
    """Whether a ChampionProvider's Model (or none at all) says that there is no champion."""
    return champion is None or champion.get_int_custom_property(ABSENT) == 1
