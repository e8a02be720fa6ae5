"""All decisions on file, made again: which come out as they stand there, and which cannot be made again, and why.

Beside its own numbers a decision may follow from those before it (an error budget, reused rows, the best champion).
What it was told of them must be what the log holds before its evidence.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from tfx_pedigree.comparison import Comparison, Verdict
from tfx_pedigree.errors import DamagedError, InvalidInputError
from tfx_pedigree.json_form import JsonForm, Layout
from tfx_pedigree.progress import Progress, silent
from tfx_pedigree.registry import LARGEST_PAGE, ROLLOUT, Judgement, Reference, RegistryApi, every
from tfx_pedigree.service.judging.gate import COMPARISON, differences, kept_comparison
from tfx_pedigree.service.judging.past import Told, past_in, standing, told_by

# A piece of evidence holds all numbers of a comparison.
_PAGE = 50


@dataclass(frozen=True)
class NotReplayed(JsonForm):
    """`reasons` say what comes out otherwise, which is `wrong`, or what is not on file, which is not."""

    version: str
    evidence: str
    reasons: tuple[str, ...]
    wrong: bool

    def __str__(self) -> str:
        which = f"the evidence {self.evidence[:19]}…" if self.evidence else "its evidence"
        return f"{self.version}: {which} cannot be replayed: {'; '.join(self.reasons)}"


@dataclass(frozen=True)
class Replays(JsonForm):
    """How many pieces of evidence came out as they stand on file, and those that did not."""

    JSON: ClassVar[Layout] = Layout(also=("ok",))

    same: int
    others: tuple[NotReplayed, ...]

    @property
    def ok(self) -> bool:
        return not any(one.wrong for one in self.others)


def replay_all(registry: RegistryApi, model: str | None = None, progress: Progress = silent) -> Replays:
    """Of one model, or of all."""
    models = every(lambda after: registry.models(limit=LARGEST_PAGE, after=after)) if model is None else ()
    names = [one.name for one in models] if model is None else [model]
    found: list[NotReplayed | None] = []
    for name in names:
        for one in _replay_model(registry, name):
            found.append(one)
            progress(len(found), len(found), name)
    return Replays(found.count(None), tuple(one for one in found if one is not None))


def _replay_model(registry: RegistryApi, model: str) -> Iterator[NotReplayed | None]:
    """The newest first. None for each that comes out as it stands."""
    log = _Log(registry, model)
    try:
        for one in every(lambda after: registry.judgements(model, limit=_PAGE, after=after)):
            yield _replayed(one, log)
    except (InvalidInputError, DamagedError) as error:
        yield NotReplayed(model, "", (str(error),), wrong=True)


def _replayed(one: Judgement, log: _Log) -> NotReplayed | None:
    name, digest = str(Reference(log.model, one.version)), one.digest
    if COMPARISON not in one.evidence.details:
        return NotReplayed(name, digest, ("it keeps no comparison: attached by hand, or by an older release",), False)
    try:
        comparison = kept_comparison(one.evidence)
        if comparison.basis is None:
            return NotReplayed(name, digest, ("an older release kept not all that its decision followed from",), False)
        reasons = list(differences(one.evidence, comparison))
        if ROLLOUT not in one.evidence.details:  # what a rollout found is no decision of the gate
            reasons += log.differences(one, comparison)
    except InvalidInputError as error:
        reasons = [str(error)]
    return NotReplayed(name, digest, tuple(reasons), True) if reasons else None


class _Log:
    """What a model's log tells of earlier decisions: read once, and only where a decision looked back."""

    def __init__(self, registry: RegistryApi, model: str) -> None:
        self.model = model
        self._registry = registry
        self._decided_again: set[object] = set()

    @functools.cached_property
    def _told(self) -> tuple[Told, ...]:
        return told_by(self._registry, self.model)

    def differences(self, one: Judgement, comparison: Comparison) -> Iterator[str]:
        """Only a PASS has consequences. One that was taken back at once, because another decision came in between, has
        newer evidence on the same question."""
        evidence = one.evidence
        told = comparison.basis.standing if comparison.basis is not None else None
        if told is None or not comparison.policy.looks_back:
            return
        question = (evidence.challenger, evidence.champion, evidence.evaluation_data, evidence.policy)
        again = question in self._decided_again
        self._decided_again.add(question)
        if again or evidence.verdict is not Verdict.PASS:
            return
        if standing(past_in(self._told, one.digest), comparison) != told:
            yield "the earlier decisions that it counted are not those in the log before it"
