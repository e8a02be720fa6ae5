"""What the events add up to: the state that the rows must show. Pure; `audit verify` compares, `import` rebuilds.

A fold is fed with a chain's events in order and never looks at a row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

from tfx_pedigree.registry.events import Event
from tfx_pedigree.registry.states import State, leads


@dataclass
class VersionFacts:
    sequence: int
    digest: str
    description: str
    timestamp_tag: str
    bump: str | None
    predecessor: str | None
    state: State = State.RESERVED
    withdrawn: bool = False
    metrics: dict[str, Any] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    refusal: str | None = None
    evidence: set[str] = field(default_factory=set)


@dataclass
class PeriodFacts:
    version: str
    began_at: datetime
    ended_at: datetime | None = None


@dataclass
class ModelFacts:
    versions: dict[str, VersionFacts] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    reigns: list[PeriodFacts] = field(default_factory=list)


@dataclass
class RegistryFacts:
    models: set[str] = field(default_factory=set)
    roles: dict[tuple[str, str], str] = field(default_factory=dict)


class ModelReplay:
    """`facts` after all events fed so far. An event that cannot follow from them is a problem, and is left out."""

    def __init__(self, model: str) -> None:
        self.model = model
        self.facts = ModelFacts()
        self.problems: list[str] = []
        self._steps: dict[str, Callable[[Event], None]] = {
            "reserve": self._reserve,
            "register": self._register,
            "annotate": self._annotate,
            "attach-evidence": self._attach_evidence,
            "set-alias": self._set_alias,
            "remove-alias": self._remove_alias,
            **dict.fromkeys(("promote", "rollback", "replace", "archive", "restore"), self._move),
            **dict.fromkeys(("create-model", "refuse", "record-lineage", "retrain"), self._nothing),
        }

    def feed(self, event: Event) -> None:
        step = self._steps.get(event.action)
        if step is None:
            self.problems.append(f"{self.model}: event {event.position} has the unknown action {event.action!r}.")
            return
        try:
            step(event)
        except (KeyError, ValueError, TypeError, AttributeError):
            self.problems.append(
                f"{self.model}: event {event.position} ({event.action}) does not follow from those before."
            )

    def differences(self, actual: ModelFacts) -> list[str]:
        expected = self.facts
        found = list(self.problems)
        found += _compare_keys(self.model, "version", expected.versions, actual.versions)
        for number in expected.versions.keys() & actual.versions.keys():
            found += _compare_version(f"{self.model} {number}", expected.versions[number], actual.versions[number])
        if expected.aliases != actual.aliases:
            found.append(f"{self.model}: the aliases are {actual.aliases}, but the log says {expected.aliases}.")
        if expected.reigns != actual.reigns:
            found.append(f"{self.model}: the times in production are not those that the log tells.")
        return found

    def _reserve(self, event: Event) -> None:
        d = event.details
        number = _subject(event)
        if number in self.facts.versions:
            raise ValueError(number)
        self.facts.versions[number] = VersionFacts(
            d["sequence"], d["digest"], d["description"], d["timestamp_tag"], d["bump"], d["predecessor"]
        )

    def _register(self, event: Event) -> None:
        self._move(event)
        facts = self._version(event)
        facts.metrics, facts.tags = dict(event.details["metrics"]), dict(event.details["tags"])

    def _annotate(self, event: Event) -> None:
        facts = self._version(event)
        facts.metrics.update(event.details["metrics"])
        facts.tags = {k: v for k, v in {**facts.tags, **event.details["tags"]}.items() if v}

    def _attach_evidence(self, event: Event) -> None:
        facts, verdict = self._version(event), event.details["verdict"]
        facts.evidence.add(event.details["evidence"])
        facts.refusal = None if verdict == "PASS" else f"{verdict}: {event.reason}"

    def _set_alias(self, event: Event) -> None:
        self.facts.aliases[event.details["alias"]] = _subject(event)

    def _remove_alias(self, event: Event) -> None:
        del self.facts.aliases[event.details["alias"]]

    def _move(self, event: Event) -> None:
        facts = self._version(event)
        before, after = State(event.from_state), State(event.to_state)
        if facts.state is not before or (before is not after and not leads(before, after)):
            raise ValueError(event.subject)
        facts.state = after
        facts.withdrawn = event.action == "archive"
        if after is State.PRODUCTION:
            self._end_reign(event.at)
            self.facts.reigns.append(PeriodFacts(_subject(event), event.at))
        elif before is State.PRODUCTION and event.action == "archive":
            self._end_reign(event.at)

    def _end_reign(self, when: datetime) -> None:
        if self.facts.reigns and self.facts.reigns[-1].ended_at is None:
            self.facts.reigns[-1].ended_at = when

    def _nothing(self, event: Event) -> None:
        """An event that tells of no change to the model's versions."""

    def _version(self, event: Event) -> VersionFacts:
        return self.facts.versions[_subject(event)]


class RegistryReplay:
    """The chain of the registry itself: which models there are and who may do what."""

    def __init__(self) -> None:
        self.facts = RegistryFacts()

    def feed(self, event: Event) -> None:
        key = (str(event.details.get("principal")), str(event.details.get("scope")))
        if event.action in ("create-model", "import-model"):
            self.facts.models.add(str(event.details.get("model")))
        elif event.action == "grant":
            self.facts.roles[key] = str(event.details.get("role"))
        elif event.action == "revoke":
            self.facts.roles.pop(key, None)

    def differences(self, actual: RegistryFacts) -> list[str]:
        found = _compare_keys("*", "model", dict.fromkeys(self.facts.models), dict.fromkeys(actual.models))
        for key in sorted(self.facts.roles.keys() | actual.roles.keys()):
            said, is_ = self.facts.roles.get(key), actual.roles.get(key)
            if said != is_:
                principal, scope = key
                found.append(f"*: {principal} has the role {is_} on {scope}, but the log says {said}.")
        return found


def _subject(event: Event) -> str:
    if event.subject is None:
        raise ValueError("an event about a version must name it")
    return event.subject


def _compare_keys(where: str, what: str, expected: dict[str, Any], actual: dict[str, Any]) -> list[str]:
    missing = [
        f"{where}: {what} {name} is gone; the log tells of it." for name in sorted(expected.keys() - actual.keys())
    ]
    added = [f"{where}: {what} {name} stands in no event." for name in sorted(actual.keys() - expected.keys())]
    return missing + added


def _compare_version(name: str, expected: VersionFacts, actual: VersionFacts) -> list[str]:
    found = []
    for each in fields(VersionFacts):
        said, is_ = getattr(expected, each.name), getattr(actual, each.name)
        if said != is_:
            found.append(f"{name}: {each.name.replace('_', ' ')} is {_text(is_)}, but the log says {_text(said)}.")
    return found


def _text(value: Any) -> str:
    return str(value.value) if isinstance(value, State) else repr(value)
