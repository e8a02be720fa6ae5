"""comparison.json: everything that one comparison found, and what was decided on it. docs/comparison-format.md.

Law: `Comparison.from_json(c.to_json()).to_json() == c.to_json()`, also where numbers are NaN. The document holds no
date and no path: two runs on the same inputs differ in nothing but the latency that they measured.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar

from tfx_pedigree.bounded_parse import parse_json
from tfx_pedigree.comparison.config_reader import ConfigNode, from_data, optional
from tfx_pedigree.comparison.earlier import Earlier, earlier_to_json, read_earlier
from tfx_pedigree.comparison.gate import GateDecision
from tfx_pedigree.comparison.latency import LatencySummary
from tfx_pedigree.comparison.metrics import Direction
from tfx_pedigree.comparison.numbers import Key, MetricValue, Slice
from tfx_pedigree.comparison.outcomes import Outcomes
from tfx_pedigree.comparison.past import Anchor, Standing
from tfx_pedigree.comparison.policy import Policy
from tfx_pedigree.comparison.policy_file import policy_at
from tfx_pedigree.comparison.scores import DeltaSums, FlipCounts
from tfx_pedigree.digest import canonical_json, check_digest, digest_of, plain_json
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.json_form import Count, JsonForm, Layout

FORMAT = "pedigree.comparison/1"


@dataclass(frozen=True)
class Data(JsonForm):
    """A part of the data: `span` as the pipeline counts it, `fingerprint` of its content."""

    split: str
    span: str | None = None
    fingerprint: str | None = None
    examples: Count | None = None


@dataclass(frozen=True)
class Code(JsonForm):
    """`dirty`: there were changes that no commit holds; None if that is not known."""

    commit: str
    remote: str | None = None
    dirty: bool | None = None


@dataclass(frozen=True)
class Side(JsonForm):
    """One of the two versions: who it is, how large and how quick, and what it was made from."""

    JSON: ClassVar[Layout] = Layout(whole=True)

    version: str
    digest: str
    size_bytes: Count | None = None
    latency: LatencySummary | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    trained_on: tuple[Data, ...] = ()
    code: Code | None = None

    def __post_init__(self) -> None:
        check_digest(self.digest)
        object.__setattr__(self, "parameters", plain_json(dict(sorted(self.parameters.items()))))


@dataclass(frozen=True)
class MetricRow(JsonForm):
    """One metric on one slice, for both. `difference` is challenger − champion with its paired interval."""

    JSON: ClassVar[Layout] = Layout(whole=True)

    metric: str
    slice: Slice
    direction: Direction | None = None
    challenger: MetricValue | None = None
    champion: MetricValue | None = None
    difference: MetricValue | None = None

    @property
    def key(self) -> Key:
        return Key(self.metric, self.slice)


@dataclass(frozen=True)
class ParameterChange:
    """None where one of the two does not have the parameter."""

    name: str
    old: Any
    new: Any


@dataclass(frozen=True)
class Basis:
    """What the decision followed from besides the policy and the numbers that stand in the document anyway: with these
    it can be made again. `undecided` is a problem that left nothing to decide on, `notes` are warnings that are none of
    the gate's, `earlier` the slices that the champion was judged on, `standing` what earlier decisions meant for this
    one, `anchor` the best champion on the same rows. Documents of older releases have none."""

    p95_ms: MetricValue | None = None
    processor_ratio: MetricValue | None = None
    waited: float = 0.0
    not_comparable: str | None = None
    breaking: str | None = None
    undecided: str | None = None
    notes: tuple[str, ...] = ()
    earlier: Earlier = field(default_factory=dict)
    standing: Standing | None = None
    anchor: Anchor | None = None

    def to_json(self) -> dict[str, Any]:
        found = {
            "p95_ms": self.p95_ms.to_json() if self.p95_ms else None,
            "processor_ratio": self.processor_ratio.to_json() if self.processor_ratio else None,
            "waited": plain_json(self.waited),
            "not_comparable": self.not_comparable,
            "breaking": self.breaking,
            "undecided": self.undecided,
            "notes": list(self.notes),
            **({"earlier": earlier_to_json(self.earlier)} if self.earlier else {}),
        }
        late = {"standing": self.standing, "anchor": self.anchor}
        return found | {name: one.to_json() for name, one in late.items() if one is not None}

    @classmethod
    def read(cls, place: ConfigNode) -> Basis:
        names = tuple(cls.__dataclass_fields__)
        found = place.fields(names, [name for name in names if name not in ("earlier", "standing", "anchor")])
        return cls(
            optional(found, "p95_ms", lambda one: one.record(MetricValue)),
            optional(found, "processor_ratio", lambda one: one.record(MetricValue)),
            found["waited"].measured(),
            optional(found, "not_comparable", ConfigNode.text),
            optional(found, "breaking", ConfigNode.text),
            optional(found, "undecided", ConfigNode.text),
            found["notes"].each(ConfigNode.text),
            optional(found, "earlier", read_earlier) or {},
            optional(found, "standing", lambda one: one.record(Standing)),
            optional(found, "anchor", lambda one: one.record(Anchor)),
        )


@dataclass(frozen=True)
class Comparison:
    """`changes` are the sentences of `versioning.compare`; `bump` the part of the version number that they raise."""

    model: str
    challenger: Side
    champion: Side | None
    policy: Policy
    decision: GateDecision
    metrics: tuple[MetricRow, ...] = ()
    evaluated_on: tuple[Data, ...] = ()
    bump: str | None = None
    changes: tuple[str, ...] = ()
    similarity: float | None = None
    performance_delta: DeltaSums | None = None
    flips: FlipCounts | None = None
    importance: float | None = None
    latency_ratio: MetricValue | None = None
    basis: Basis | None = None
    outcomes: Outcomes | None = None

    @property
    def parameter_changes(self) -> tuple[ParameterChange, ...]:
        """Parameters that differ, or that only one of the two has. Nothing where there is no champion."""
        if self.champion is None:
            return ()
        old, new = self.champion.parameters, self.challenger.parameters
        return tuple(
            ParameterChange(name, old.get(name), new.get(name))
            for name in sorted({*old, *new})
            if name not in old or name not in new or not _same(old[name], new[name])
        )

    @functools.cached_property
    def digest(self) -> str:
        return digest_of(canonical_json(self.to_json()))

    def _repr_html_(self) -> str:
        """What a notebook shows: the decision and what it rests on. The report shows all."""
        from tfx_pedigree.notebook import sheet  # noqa: PLC0415  nothing but notebooks asks for this

        champion = self.champion.version if self.champion else "no champion"
        shown = {"verdict": self.decision.verdict, "reason": self.decision.reason, "changes": self.changes}
        tables = {"checks": self.decision.checks, "metrics": self.metrics}
        return sheet(f"{self.model} {self.challenger.version} against {champion}", {**shown, **tables})

    def noted(self, sentence: str) -> Comparison:
        """With a warning that is none of the gate's."""
        decision = replace(self.decision, warnings=(*self.decision.warnings, sentence))
        basis = self.basis and replace(self.basis, notes=(*self.basis.notes, sentence))
        return replace(self, decision=decision, basis=basis)

    def to_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "model": self.model,
            **self.decision.to_json(),
            "challenger": self.challenger.to_json(),
            "champion": self.champion.to_json() if self.champion else None,
            "metrics": [row.to_json() for row in self.metrics],
            "evaluated_on": [one.to_json() for one in self.evaluated_on],
            "bump": self.bump,
            "changes": list(self.changes),
            "parameter_changes": [vars(one) for one in self.parameter_changes],
            "similarity": self.similarity,
            "performance_delta": self.performance_delta.to_json() if self.performance_delta else None,
            "flips": self.flips.to_json() if self.flips else None,
            "importance": plain_json(self.importance),
            "latency_ratio": self.latency_ratio.to_json() if self.latency_ratio else None,
            "policy": self.policy.to_json(),
            "policy_digest": self.policy.digest,
            **({"basis": self.basis.to_json()} if self.basis else {}),
            **({"outcomes": self.outcomes.to_json()} if self.outcomes else {}),
        }

    def to_text(self) -> str:
        return json.dumps(self.to_json(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, data: Any, source: str = "the comparison") -> Comparison:
        place = from_data(data, source)
        if not isinstance(data, Mapping) or data.get("format") != FORMAT:
            raise InvalidInputError(f"{source} is no comparison that is read here: its `format` must be {FORMAT!r}.")
        found = place.fields((*_FIELDS, *_LATER), _FIELDS)
        decided = {key: one for key, one in place.table().items() if key in _DECIDED}
        policy = policy_at(found["policy"])
        if policy.digest != found["policy_digest"].text():
            raise found["policy_digest"].wrong("does not belong to the policy that stands beside it.")
        return cls(
            model=found["model"].text(),
            challenger=found["challenger"].record(Side),
            champion=optional(found, "champion", lambda one: one.record(Side)),
            policy=policy,
            decision=ConfigNode(decided, "", source).record(GateDecision),
            metrics=found["metrics"].each(lambda one: one.record(MetricRow)),
            evaluated_on=found["evaluated_on"].each(lambda one: one.record(Data)),
            bump=optional(found, "bump", ConfigNode.text),
            changes=found["changes"].each(ConfigNode.text),
            similarity=optional(found, "similarity", ConfigNode.measured),
            performance_delta=optional(found, "performance_delta", lambda one: one.record(DeltaSums)),
            flips=optional(found, "flips", lambda one: one.record(FlipCounts)),
            importance=optional(found, "importance", ConfigNode.measured),
            latency_ratio=optional(found, "latency_ratio", lambda one: one.record(MetricValue)),
            basis=optional(found, "basis", Basis.read),
            outcomes=optional(found, "outcomes", lambda one: one.record(Outcomes)),
        )

    @classmethod
    def from_text(cls, text: str, source: str = "the comparison") -> Comparison:
        return cls.from_json(parse_json(text, source), source)


_DECIDED = tuple(one.name for one in fields(GateDecision))
# Documents of older releases do not have them.
_LATER = ("basis", "outcomes")
_FIELDS = (
    "format",
    "model",
    *_DECIDED,
    *(one.name for one in fields(Comparison) if one.name not in ("model", "decision", *_LATER)),
    "parameter_changes",
    "policy_digest",
)


def _same(old: Any, new: Any) -> bool:
    """As JSON: 1 and 1.0 are one number, but 1, "1" and true are not."""
    return canonical_json(old) == canonical_json(new)
