"""How differences are said: names in back-quotes, the first few of a long list, never a control character."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tfx_pedigree.text import listed, plain

NAMED = 3
_PLURAL = {"was": "were", "has": "have", "had": "had", "accepts": "accept", "promises": "promise"}


def quoted(name: str) -> str:
    return f"`{plain(name)}`"


def said_of(noun: str, names: Sequence[str], verb: str, rest: str) -> str:
    """`input `x` was removed`, `inputs `x` and `y` were removed`."""
    many = len(names) > 1
    said = _PLURAL.get(verb, verb) if many else verb
    return f"{noun}{'s' if many else ''} {listed((quoted(name) for name in names), NAMED)} {said} {rest}"


def changes(noun: str, old: Mapping[str, str], new: Mapping[str, str]) -> str:
    """One sentence on what was changed, removed and added between two tables; empty if nothing was."""
    removed = [f"{quoted(name)} (was {plain(old[name])})" for name in old if name not in new]
    added = [f"{quoted(name)} ({plain(new[name])})" for name in new if name not in old]
    changed = [
        f"{quoted(name)} from {plain(old[name])} to {plain(new[name])}"
        for name in new
        if name in old and old[name] != new[name]
    ]
    return _joined(noun, {"changed": changed, "removed": removed, "added": added})


def counts(noun: str, old: Mapping[str, int], new: Mapping[str, int]) -> str:
    """The same for numbers: what is not there counts zero."""
    names = sorted(name for name in {*old, *new} if old.get(name, 0) != new.get(name, 0))
    changed = [f"{quoted(name)} {old.get(name, 0)} to {new.get(name, 0)}" for name in names]
    return f"{noun} changed in number: {listed(changed, NAMED)}" if changed else ""


def _joined(noun: str, parts: Mapping[str, Sequence[str]]) -> str:
    said: Iterable[str] = (f"{verb} {listed(items, NAMED)}" for verb, items in parts.items() if items)
    text = "; ".join(said)
    return f"{noun}: {text}" if text else ""
