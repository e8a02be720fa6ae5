"""What a decision rests on, as one immutable record with a digest (docs/registry.md describes its JSON form)."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tfx_pedigree.bounded_parse import parse_json
from tfx_pedigree.digest import canonical_json, check_digest, digest_of, plain_json
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.kept import Kept
from tfx_pedigree.secrets import clean_text, clean_values
from tfx_pedigree.verdict import Recommendation, Verdict

FORMAT = "pedigree.evidence/1"
# Of the details what later decisions must know. It stands in the log's event as well, which they read.
DECIDED = "decided"
# Details of an evidence that a blessing, or a rollout, stands above: who withheld it, and what the gate had said.
WITHHELD_BY = "withheld_by"
WITHOUT_THEM = "without_them"
# What a rollout of the version found out.
ROLLOUT = "rollout"
_MOST_DECIDED = 4096


@dataclass(frozen=True)
class Evidence:
    """`champion` is the digest of the version that was compared with, None where there was no baseline."""

    challenger: str
    champion: str | None
    verdict: Verdict
    reason: str
    recommendation: Recommendation | None = None
    evaluation_data: str | None = None
    policy: str | None = None
    metrics: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for digest in (self.challenger, self.champion, self.evaluation_data, self.policy):
            if digest is not None:
                check_digest(digest)
        if not self.reason.strip():
            raise InvalidInputError("Evidence must say in `reason` why the verdict was reached.")

    def to_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "challenger": self.challenger,
            "champion": self.champion,
            "verdict": self.verdict.value,
            "reason": self.reason,
            "recommendation": self.recommendation.value if self.recommendation else None,
            "evaluation_data": self.evaluation_data,
            "policy": self.policy,
            "metrics": plain_json(self.metrics),
            "details": plain_json(self.details),
        }

    @classmethod
    def from_json(cls, data: Any) -> Evidence:
        """Refuses what is not whole; `from_json(e.to_json()).to_json() == e.to_json()`."""
        if not isinstance(data, Mapping) or data.get("format") != FORMAT:
            raise InvalidInputError(f"This is not evidence: its `format` must be {FORMAT!r}.")
        unknown = set(data) - _FIELDS
        missing = {"challenger", "champion", "verdict", "reason"} - set(data)
        if unknown or missing:
            problem = f"lacks {_list(missing)}" if missing else f"has the unknown fields {_list(unknown)}"
            raise InvalidInputError(f"The evidence {problem}. docs/registry.md describes the fields.")
        for name, kind in _KINDS.items():
            if data.get(name) is not None and not isinstance(data[name], kind):
                raise InvalidInputError(f"The evidence's field `{name}` is of the wrong type.")
        try:
            verdict = Verdict(data["verdict"])
            recommendation = Recommendation(data["recommendation"]) if data.get("recommendation") else None
        except ValueError as error:
            raise InvalidInputError(f"The evidence cannot be read: {error}.") from None
        return cls(
            challenger=str(data["challenger"]),
            champion=data["champion"],
            verdict=verdict,
            reason=str(data["reason"]),
            recommendation=recommendation,
            evaluation_data=data.get("evaluation_data"),
            policy=data.get("policy"),
            metrics=data.get("metrics") or {},
            details=data.get("details") or {},
        )

    @classmethod
    def from_text(cls, text: str) -> Evidence:
        return cls.from_json(parse_json(text, "The evidence", canonical=True))

    def without_secrets(self) -> Evidence:
        """The same evidence where there are none, so that it keeps its digest."""
        details = clean_values(self.details)
        return replace(
            self, reason=clean_text(self.reason), details=self.details if details == self.details else details
        )

    @property
    def decided(self) -> Mapping[str, Any] | None:
        """What later decisions must know of this one, where the evidence says so; None also for more than an event
        should carry."""
        found = self.details.get(DECIDED)
        if not isinstance(found, Mapping) or len(canonical_json(plain_json(found))) > _MOST_DECIDED:
            return None
        return found

    def content(self) -> str:
        return canonical_json(self.to_json()).decode()

    @functools.cached_property
    def digest(self) -> str:
        return digest_of(self.content().encode())


_LATELY: Kept[Evidence] = Kept(256)
LARGEST_KEPT = 64 << 10


def stored_evidence(text: str) -> Evidence:
    """Of its stored text. What was read lately is not read again: the same text is the same evidence."""
    if len(text) > LARGEST_KEPT:
        return Evidence.from_text(text)
    key = digest_of(text.encode())
    return _LATELY.get(key) or _LATELY.keep(key, Evidence.from_text(text))


_KINDS: dict[str, type] = {
    "challenger": str,
    "champion": str,
    "verdict": str,
    "reason": str,
    "recommendation": str,
    "evaluation_data": str,
    "policy": str,
    "metrics": Mapping,
    "details": Mapping,
}
_FIELDS = frozenset(_KINDS) | {"format"}


def _list(names: set[str]) -> str:
    return ", ".join(sorted(names))
