"""What a comparison found out about the champion on new data is an observation of it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any

from tfx_pedigree.errors import PedigreeError
from tfx_pedigree.registry import LARGEST_PAGE, Evidence, Judgement, NewObservation, Reference, RegistryApi
from tfx_pedigree.retraining.ledger import SPAN_TAG
from tfx_pedigree.text import short_digest

_MOST = 64
# Of the newest judgements of a model: the one that was just filed is among them.
_NEAR = 100
_NO_MEASURE = ("example_count", "weighted_example_count")


def observe_baseline(
    registry: RegistryApi, model: str, evidence: Evidence | None, tags: Mapping[str, str]
) -> str | None:
    """Adds what the evaluation measured of the champion, once for each evaluation data. The evidence is on file before,
    and whatever goes wrong here is only told: a pipeline does not fail of it."""
    if evidence is None or evidence.champion in (None, evidence.challenger) or evidence.evaluation_data is None:
        return None
    try:
        _observe(registry, model, evidence, tags.get(SPAN_TAG))
    except PedigreeError as error:
        return f"What the evaluation measured of the champion was not added to its observations: {error}"
    return None


def _observe(registry: RegistryApi, model: str, evidence: Evidence, span: str | None) -> None:
    values = _values(evidence.metrics.get("champion"))
    filed = _filed(registry, model, evidence)
    if not values or filed is None:
        return
    champion = registry.get(Reference(model, str(evidence.champion)))
    judged = registry.evidence(Reference(model, champion.version))
    if judged is not None and judged.evaluation_data == evidence.evaluation_data:
        return  # the data by which it became champion say nothing about its time since
    rows = short_digest(str(evidence.evaluation_data))
    source = f"evaluation on span {span} ({rows})"[:120] if span else f"evaluation ({rows})"
    held = registry.observations(model, champion.version, metric=next(iter(values)), limit=LARGEST_PAGE)
    if any(one.source == source for one in held.items):
        return
    examples = evidence.details.get("examples")
    counted = examples if isinstance(examples, int) and not isinstance(examples, bool) and examples >= 0 else None
    seen = NewObservation(values, filed.filed_at, filed.filed_at, counted, source)
    registry.observe(Reference(model, champion.version), seen)


def _values(table: Any) -> dict[str, float]:
    """Numbers over all examples, but for those that only count them."""
    if not isinstance(table, Mapping):
        return {}
    found = {
        name: float(value)
        for name, value in sorted(table.items())
        if name not in _NO_MEASURE and isinstance(value, int | float) and not isinstance(value, bool)
    }
    return dict(itertools.islice(((name, one) for name, one in found.items() if math.isfinite(one)), _MOST))


def _filed(registry: RegistryApi, model: str, evidence: Evidence) -> Judgement | None:
    """The evidence as it is on file: a decision may have been made once more before, and a repeated run files nothing.
    Its time is the same, however often a run is repeated."""
    judgements = registry.judgements(model, limit=_NEAR).items
    return next((one for one in judgements if _about(one.evidence) == _about(evidence)), None)


def _about(evidence: Evidence) -> tuple[str | None, ...]:
    return evidence.challenger, evidence.champion, evidence.evaluation_data
