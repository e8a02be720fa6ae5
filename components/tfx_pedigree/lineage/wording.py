"""How nodes and edges are said to people: a short label for a node, a sentence for an edge. Pure.

Labels never hold a control character: names come from data, models and other systems, and terminals obey them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from tfx_pedigree.digest import PREFIX
from tfx_pedigree.lineage.graph import EdgeKind, Node, NodeKind
from tfx_pedigree.text import listed, plain

_HEX = 8
_HANDLE = 12
_PARTS = 3
# What says most about an environment, where it is there.
_TELLING = ("tfx", "tensorflow")

_KINDS = {kind: rank for rank, kind in enumerate(NodeKind)}
_DIGITS = re.compile(r"(\d+)")

# `flight-delay 1.1.0` + verb + `span 3 train`.
VERBS = {
    EdgeKind.TRAINED_ON: "was trained on",
    EdgeKind.CONFORMS_TO: "conforms to",
    EdgeKind.TRANSFORMED_BY: "has its features from",
    EdgeKind.BUILT_BY: "was built from",
    EdgeKind.RAN_IN: "was made in",
    EdgeKind.CONFIGURED_BY: "was configured by",
    EdgeKind.PRODUCED_BY: "was produced by",
    EdgeKind.DERIVED_FROM: "was derived from",
    EdgeKind.DEPLOYS: "deploys",
    EdgeKind.USED: "used",
    EdgeKind.EVALUATES: "evaluates",
    EdgeKind.EVALUATED_ON: "was measured on",
    EdgeKind.COMPARED_WITH: "compares against",
    EdgeKind.RESTS_ON: "rests on",
    EdgeKind.DECIDES_ON: "decides on",
    EdgeKind.DECIDED_BY: "was decided by",
    EdgeKind.PROMOTES: "promotes",
    EdgeKind.SUPERSEDES: "follows",
}


def label(node: Node) -> str:
    """Short, and enough to tell nodes of a picture apart: `span 3 train`, `flight-delay 1.1.0`."""
    return plain(_LABELS[node.kind](node))


def sentence(source: Node, kind: EdgeKind, target: Node) -> str:
    return f"{label(source)} {VERBS[kind]} {label(target)}."


def data(node: Node) -> str:
    """`span 3 train (24,951 rows, fingerprint 7f3a2b1c…)`."""
    return (
        data_of(label(node), node.content.get("fingerprint"), node.facts.get("rows", ()))
        if _parts(node)
        else label(node)
    )


def data_of(name: str, fingerprint: str | None, rows: Sequence[str]) -> str:
    told = [f"{grouped(count)} rows" for count in rows[:1]]
    if fingerprint:
        told.append(f"fingerprint {short(fingerprint)}")
    return f"{name} ({', '.join(told)})" if told else name


def handle(node: Node) -> str:
    """What one may give to a command to mean this node: enough of its key to be the only one, in all likelihood."""
    model, number = node.content.get("model"), node.fact("version")
    if node.kind is NodeKind.VERSION and model and number:
        return f"{plain(str(model))}@{plain(number)}"
    return node.key[: len(node.kind.value) + 1 + _HANDLE]


def order(node: Node) -> tuple[Any, ...]:
    """As people count: `span 9` before `span 10`."""
    return (_KINDS[node.kind], _numbers(label(node)), node.key)


# Words


def short(digest: object) -> str:
    """The first digits of a digest or a commit, for people who compare by eye."""
    text = str(digest).removeprefix(PREFIX)
    return plain(text if len(text) <= _HEX else f"{text[:_HEX]}…")


def value(given: Any) -> str:
    """A parameter or a number as it stands in a sentence."""
    if given is None or isinstance(given, bool):
        return "nothing" if given is None else str(given).lower()
    if isinstance(given, float):
        return f"{given:.6g}"
    return plain(given if isinstance(given, str) else json.dumps(given, ensure_ascii=False, default=str))


def pairs(values: Mapping[str, Any], most: int) -> str:
    """`seed 17 and train_args.num_steps 2000`: tables in tables are taken apart."""
    return listed((f"{plain(name)} {flat(one)}" for name, one in leaves(values).items()), most)


def leaves(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """By dotted names, in their order."""
    found: dict[str, Any] = {}
    for name, one in sorted(values.items()):
        found |= leaves(one, f"{prefix}{name}.") if isinstance(one, Mapping) and one else {f"{prefix}{name}": one}
    return found


def flat(given: Any) -> str:
    """A value, a list of them, or a table of them, in a row."""
    if isinstance(given, Mapping) and given:
        return pairs(given, 8)
    return listed(map(value, given), 8) if isinstance(given, list | tuple) and given else value(given)


def table(given: Any) -> Mapping[str, Any]:
    """Nodes may come from elsewhere: what should be a table and is none counts as empty."""
    return given if isinstance(given, Mapping) else {}


def whole(text: str) -> str:
    """A sentence of somebody else's, with its full stop, however long it is."""
    shown = (text if text.isprintable() else ascii(text)[1:-1]).strip()
    return shown if shown.endswith((".", "!", "?")) else f"{shown}."


def grouped(count: int | str) -> str:
    """`24,951`; facts are text."""
    return f"{int(count):,}" if str(count).isdecimal() else plain(str(count))


def times(many: int) -> str:
    return {1: "once", 2: "twice"}.get(many, f"{many:,} times")


def commit(content: Mapping[str, Any]) -> str:
    diff = content.get("diff_digest")
    dirty = f" (with uncommitted changes {short(diff)})" if diff else ""
    return f"commit {str(content.get('commit'))[:7]}{dirty}"


def _data(node: Node) -> str:
    if parts := _parts(node):
        # The rows that one run held back for evaluation may be those that the next one learned from.
        return " = ".join((*parts[:_PARTS], *(["…"] if len(parts) > _PARTS else [])))
    split = str(node.content.get("split") or node.fact("split") or "")
    identity = node.content.get("fingerprint") or node.content.get("input_fingerprint")
    return f"{f'data {split}'.strip()} {short(identity) if identity else node.content.get('uri') or _key(node)}"


def _parts(node: Node) -> list[str]:
    """`span 3 train` for each span and split that the rows were."""
    parts = [f"span {' '.join(part.rsplit('/', 1))}" for part in _counting(node.facts.get("part") or ())]
    return parts or [f"span {span}" for span in _counting(node.facts.get("span") or ())]


def _code(node: Node) -> str:
    return commit(node.content) if node.content.get("commit") else f"code {_key(node)}"


def _named(noun: str) -> Callable[[Node], str]:
    """A thing whose content is a digest, after its name where it has one."""

    def said(node: Node) -> str:
        return f"{node.fact('name') or noun} {short(node.content.get('digest') or _key(node))}"

    return said


def _environment(node: Node) -> str:
    known = table(node.content.get("packages"))
    parts = [f"{name} {known[name]}" for name in _TELLING if known.get(name)]
    python = node.content.get("python")
    return ", ".join((f"Python {python}" if python else f"environment {_key(node)}", *parts))


def _parameters(node: Node) -> str:
    shown = [f"{name}={value(one)}" for name, one in sorted(table(node.content.get("parameters")).items())]
    return (
        f"parameters {', '.join(shown[:3])}{', …' if len(shown) > 3 else ''}" if shown else f"parameters {_key(node)}"
    )


def _run(node: Node) -> str:
    return f"run {node.fact('id') or _key(node)}"


def _version(node: Node) -> str:
    model, number = node.content.get("model"), node.fact("version")
    return f"{model} {number or short(node.content.get('digest'))}"


def _judged(noun: str) -> Callable[[Node], str]:
    """A judgement, with its verdict where it has one."""

    def said(node: Node) -> str:
        identity = node.content.get("evidence") or node.content.get("digest") or _key(node)
        return " ".join(filter(None, (noun, node.fact("verdict"), short(identity))))

    return said


def _deployment(node: Node) -> str:
    name = " ".join(filter(None, (str(node.content.get("model")), node.fact("version"))))
    return f"{name} at {node.content.get('destination') or _key(node)}"


def served(node: Node) -> tuple[str, ...]:
    """When a deployment had a share of the requests, in the order of time: `10 % to 100 % from … to …`."""
    found: list[str] = []
    began: str | None = None
    shares: list[str] = []
    for at, share in sorted(one.split(" ", 1) for one in node.facts.get("share", ()) if " " in one):
        if not share.startswith("0 "):
            began, shares = began or at, [*shares, share]
        elif began is not None:
            found.append(f"{_range(shares)} from {_minute(began)} to {_minute(at)} UTC")
            began, shares = None, []
    if began is not None:
        found.append(f"{_range(shares)} since {_minute(began)} UTC")
    return tuple(found)


def _range(shares: list[str]) -> str:
    least, most = min(shares, key=_numbers), max(shares, key=_numbers)
    return least if least == most else f"{least} to {most}"


def _minute(at: str) -> str:
    return at[:16].replace("T", " ")


def _promotion(node: Node) -> str:
    at = node.fact("at")
    return f"promotion of {_minute(at)} UTC" if at else f"promotion {_key(node)}"


def _foreign(node: Node) -> str:
    kind, number = node.content.get("type") or node.fact("type"), node.content.get("id") or node.fact("id")
    name = node.fact("name")
    return " ".join(str(one) for one in (kind or node.kind.value, name or number or _key(node)))


def _numbers(text: str) -> tuple[tuple[int, str], ...]:
    """Parts of the text, of which numbers are ordered by their size."""
    return tuple((int(part), "") if part.isdecimal() else (-1, part) for part in _DIGITS.split(text) if part)


def _counting(texts: Iterable[str]) -> list[str]:
    return sorted(texts, key=_numbers)


def _key(node: Node) -> str:
    return f"{node.key.partition(':')[2][:_HEX]}…"


_LABELS: dict[NodeKind, Callable[[Node], str]] = {
    NodeKind.DATA: _data,
    NodeKind.SCHEMA: _named("schema"),
    NodeKind.TRANSFORM: _named("transform graph"),
    NodeKind.CODE: _code,
    NodeKind.MODULE: _named("module"),
    NodeKind.ENVIRONMENT: _environment,
    NodeKind.PARAMETERS: _parameters,
    NodeKind.RUN: _run,
    NodeKind.VERSION: _version,
    NodeKind.EVALUATION: _named("evaluation"),
    NodeKind.COMPARISON: _judged("comparison"),
    NodeKind.DECISION: _judged("decision"),
    NodeKind.DEPLOYMENT: _deployment,
    NodeKind.PROMOTION: _promotion,
    NodeKind.ARTIFACT: _foreign,
    NodeKind.EXECUTION: _foreign,
}
