"""Whether those who call a model can go on as they did.

An input may accept more than before, an output may promise more than before; the other way round breaks a
caller. A name that went and one that came with the same specification are a renaming, if only one pair fits.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from tfx_pedigree.digest import canonical_json
from tfx_pedigree.versioning._words import quoted, said_of
from tfx_pedigree.versioning.bump import Bump, DescriptionDifference
from tfx_pedigree.versioning.description import Shape, Signature, TensorSpec, shape_text

T = TypeVar("T")
MAJOR, MINOR = Bump.MAJOR, Bump.MINOR


@dataclass(frozen=True)
class Finding:
    """One thing to be said of one input or output. Those that read alike are said together."""

    bump: Bump
    noun: str
    name: str
    verb: str
    rest: str


@dataclass(frozen=True)
class Matching:
    kept: tuple[str, ...]
    renamed: Mapping[str, str]
    removed: tuple[str, ...]
    added: tuple[str, ...]


def signature_differences(old: Mapping[str, Signature], new: Mapping[str, Signature]) -> list[DescriptionDifference]:
    names = match(old, new, lambda one: canonical_json(one.to_json()))
    found = [
        Finding(MAJOR, "signature", before, "was", f"renamed to {quoted(now)}") for before, now in names.renamed.items()
    ]
    found += [Finding(MAJOR, "signature", name, "was", "removed") for name in names.removed]
    found += [Finding(MINOR, "signature", name, "was", "added") for name in names.added]
    differences = _said(found)
    for name in names.kept:
        differences += _one_signature(name, old[name], new[name])
    return differences


def _one_signature(name: str, old: Signature, new: Signature) -> list[DescriptionDifference]:
    found = [*_inputs(old, new), *_outputs(old, new)]
    prefix = f"signature {quoted(name)}: "
    said = _said(found, prefix)
    said += [DescriptionDifference(MINOR, prefix + sentence) for sentence in _row_format(old, new)]
    if old.method != new.method:
        before, now = (quoted(one.method) if one.method else "none" for one in (old, new))
        said.append(DescriptionDifference(MINOR, f"{prefix}method name changed from {before} to {now}"))
    return said


def _row_format(old: Signature, new: Signature) -> list[str]:
    """In a row of TensorFlow Serving's REST format, an input or output that is the only one has no name."""
    sentences = []
    if len(old.inputs) == 1 < len(new.inputs):
        sentences.append(
            "with more than one input, REST requests to TensorFlow Serving in row format must name their "
            "inputs, also the one that could be sent without its name"
        )
    if len(old.outputs) == 1 < len(new.outputs):
        sentences.append(
            "with more than one output, TensorFlow Serving's REST answers in row format name their "
            "outputs, also the one that came without its name"
        )
    return sentences


def _inputs(old: Signature, new: Signature) -> list[Finding]:
    def is_optional(signature: Signature, name: str) -> bool:
        return name in signature.optional

    before = {name: (spec, is_optional(old, name)) for name, spec in old.inputs.items()}
    now = {name: (spec, is_optional(new, name)) for name, spec in new.inputs.items()}
    names = match(before, now, lambda one: one)
    found = [Finding(MAJOR, "input", one, "was", f"renamed to {quoted(to)}") for one, to in names.renamed.items()]
    found += [Finding(MAJOR, "input", name, "was", "removed") for name in names.removed]
    for name in names.added:
        if is_optional(new, name):
            found.append(Finding(MINOR, "input", name, "was", "added with a default"))
        else:
            found.append(Finding(MAJOR, "input", name, "was", "added without a default, so every request must give it"))
    for name in names.kept:
        found += _tensor("input", name, old.inputs[name], new.inputs[name])
        if is_optional(old, name) and not is_optional(new, name):
            found.append(Finding(MAJOR, "input", name, "had", "a default and must be given from now on"))
        elif is_optional(new, name) and not is_optional(old, name):
            found.append(Finding(MINOR, "input", name, "has", "a default now and may be left out"))
    return found


def _outputs(old: Signature, new: Signature) -> list[Finding]:
    names = match(old.outputs, new.outputs, lambda spec: spec)
    found = [Finding(MAJOR, "output", one, "was", f"renamed to {quoted(to)}") for one, to in names.renamed.items()]
    found += [Finding(MAJOR, "output", name, "was", "removed") for name in names.removed]
    found += [Finding(MINOR, "output", name, "was", "added") for name in names.added]
    for name in names.kept:
        found += _tensor("output", name, old.outputs[name], new.outputs[name])
    return found


def _tensor(noun: str, name: str, old: TensorSpec, new: TensorSpec) -> list[Finding]:
    found = []
    if old.dtype != new.dtype:
        found.append(Finding(MAJOR, noun, name, "changed", f"from {old.dtype} to {new.dtype}"))
    if old.kind != new.kind:
        found.append(Finding(MAJOR, noun, name, "changed", f"from {old.kind} to {new.kind}"))
    if old.shape != new.shape:
        found.append(_reshaped(noun, name, old.shape, new.shape))
    return found


def _reshaped(noun: str, name: str, old: Shape, new: Shape) -> Finding:
    before, now = shape_text(old), shape_text(new)
    verb = "accepts" if noun == "input" else "promises"
    if covers(new, old):
        bump, sense = (MINOR, "more") if noun == "input" else (MAJOR, "less")
        return Finding(bump, noun, name, verb, f"{sense}: shape {before} became {now}")
    if covers(old, new):
        bump, sense = (MAJOR, "less") if noun == "input" else (MINOR, "more")
        return Finding(bump, noun, name, verb, f"{sense}: shape {before} became {now}")
    return Finding(MAJOR, noun, name, "changed", f"shape from {before} to {now}")


def covers(wide: Shape, narrow: Shape) -> bool:
    """Whether every tensor of shape `narrow` also has shape `wide`."""
    if wide is None:
        return True
    if narrow is None or len(wide) != len(narrow):
        return False
    return all(one is None or one == other for one, other in zip(wide, narrow, strict=True))


def match(old: Mapping[str, T], new: Mapping[str, T], key: Callable[[T], Hashable]) -> Matching:
    removed = [name for name in old if name not in new]
    added = [name for name in new if name not in old]
    went, came = _by_key(removed, old, key), _by_key(added, new, key)
    renamed = {
        names[0]: came[value][0] for value, names in went.items() if len(names) == 1 and len(came.get(value, ())) == 1
    }
    return Matching(
        kept=tuple(name for name in old if name in new),
        renamed=renamed,
        removed=tuple(name for name in removed if name not in renamed),
        added=tuple(name for name in added if name not in renamed.values()),
    )


def _by_key(names: list[str], table: Mapping[str, T], key: Callable[[T], Hashable]) -> dict[Hashable, list[str]]:
    found: dict[Hashable, list[str]] = {}
    for name in names:
        found.setdefault(key(table[name]), []).append(name)
    return found


def _said(found: list[Finding], prefix: str = "") -> list[DescriptionDifference]:
    groups: dict[tuple[Bump, str, str, str], list[str]] = {}
    for one in found:
        groups.setdefault((one.bump, one.noun, one.verb, one.rest), []).append(one.name)
    return [
        DescriptionDifference(bump, prefix + said_of(noun, names, verb, rest))
        for (bump, noun, verb, rest), names in groups.items()
    ]
