"""Which part of the version number a new model raises, and why, in sentences for people."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass

from tfx_pedigree.digest import canonical_json
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.versioning._words import changes, counts, quoted
from tfx_pedigree.versioning.bump import Bump, DescriptionDifference
from tfx_pedigree.versioning.description import LABEL_KEY, ModelDescription, Scalar, Variable
from tfx_pedigree.versioning.interface import signature_differences

ONLY_WEIGHTS = (
    "interface, variables, operations and recorded parameters are the same: "
    "only the weights and the data behind them can differ"
)


@dataclass(frozen=True)
class Change:
    """`reasons` are whole sentences without a full stop, the most severe first."""

    bump: Bump
    reasons: tuple[str, ...]


def compare(old: ModelDescription, new: ModelDescription) -> Change:
    """The change for those who use `old` now and will get `new`.

    Opaque descriptions are refused with InvalidInputError: nothing is known of their interface.
    """
    if old.is_opaque or new.is_opaque:
        raise InvalidInputError(
            f"The {'old' if old.is_opaque else 'new'} model holds no SavedModel whose interface could be "
            "compared. Say --bump major, minor or patch, or give a description with --description."
        )
    if old is new:  # so is one whose canonical JSON is the same, which a registry finds out without reading it
        return Change(Bump.PATCH, (ONLY_WEIGHTS,))
    found = [*_predicted(old, new), *_loading(old, new)]
    found += [*signature_differences(old.signatures, new.signatures), *_making(old, new)]
    if not found:
        return Change(Bump.PATCH, (ONLY_WEIGHTS,))
    found.sort(key=lambda one: one.bump, reverse=True)
    return Change(found[0].bump, tuple(one.sentence for one in found))


def label_of(parameters: Mapping[str, Scalar]) -> str | None:
    """What a model predicts, where it was recorded."""
    label = parameters.get(LABEL_KEY)
    return label if isinstance(label, str) and label else None


def _predicted(old: ModelDescription, new: ModelDescription) -> list[DescriptionDifference]:
    """A model that predicts something else breaks its callers, though no signature shows it."""
    before, now = label_of(old.parameters), label_of(new.parameters)
    if before is None or now is None or before == now:
        return []
    return [DescriptionDifference(Bump.MAJOR, f"what it predicts changed from {quoted(before)} to {quoted(now)}")]


def _loading(old: ModelDescription, new: ModelDescription) -> list[DescriptionDifference]:
    if old.tags == new.tags:
        return []
    before, now = (", ".join(map(quoted, one.tags)) or "none" for one in (old, new))
    return [
        DescriptionDifference(Bump.MAJOR, f"the tags by which a server loads the graph changed from {before} to {now}")
    ]


def _making(old: ModelDescription, new: ModelDescription) -> list[DescriptionDifference]:
    """What breaks no caller but was made differently. Another label is said above."""
    labels = {LABEL_KEY} if _predicted(old, new) else set()
    sentences = (
        changes("variables", _variables(old.variables), _variables(new.variables)),
        counts("operations", old.operations, new.operations),
        changes("hyperparameters", *(_values(one.parameters, but=labels) for one in (old, new))),
        _digest_change("transform graph", old.transform_digest, new.transform_digest),
        _digest_change("feature schema", old.schema_digest, new.schema_digest),
    )
    return [DescriptionDifference(Bump.MINOR, sentence) for sentence in sentences if sentence]


def _variables(table: Mapping[str, Variable]) -> dict[str, str]:
    return {name: str(one) for name, one in table.items()}


def _values(table: Mapping[str, Scalar], but: Set[str]) -> dict[str, str]:
    """As JSON, in which 1 and 1.0 are the same number, but 1, "1" and true are not."""
    return {name: canonical_json(value).decode() for name, value in table.items() if name not in but}


def _digest_change(noun: str, old: str | None, new: str | None) -> str:
    if old == new:
        return ""
    if old is None:
        return f"the {noun} is recorded now ({_short(new)}); whether it changed is not known"
    if new is None:
        return f"the {noun} is no longer recorded (it was {_short(old)}); whether it changed is not known"
    return f"the {noun} changed from {_short(old)} to {_short(new)}"


def _short(digest: str | None) -> str:
    return (digest or "")[: len("sha256:") + 8]
