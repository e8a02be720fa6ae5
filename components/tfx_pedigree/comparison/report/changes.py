"""What was changed: interface and making, data, code, parameters; and how the predictions moved because of it."""

from __future__ import annotations

import json
from typing import Any

from tfx_pedigree.comparison.document import Code, Comparison, Data, Side
from tfx_pedigree.comparison.policy import Gain
from tfx_pedigree.comparison.scores import FlipCounts
from tfx_pedigree.comparison.wording import grouped, number, percent, signed
from tfx_pedigree.html import Child, Markup, breakable, el, ticked

_NONE = "–"


def behaviour_section(comparison: Comparison) -> Markup | None:
    rows: list[tuple[str, str, str]] = []
    delta, flips = comparison.performance_delta, comparison.flips
    if delta is not None:
        note = f"over {grouped(delta.count)} examples" + (
            f"; {grouped(delta.unusable)} were unusable" if delta.unusable else ""
        )
        rows += [
            (
                "Mean of (y−ŷ new) − (y−ŷ old)",
                signed(number(delta.mean_signed)),
                f"{note}; positive: the new model predicts less",
            ),
            (
                "Mean of |y−ŷ new| − |y−ŷ old|",
                signed(number(delta.mean_absolute)),
                "negative: the new model is nearer to the truth",
            ),
        ]
    if comparison.similarity is not None:
        rows.append(
            ("Similarity", percent(comparison.similarity), "of the facts that describe the two models are shared")
        )
    if comparison.importance is not None:
        rows.append(("Importance", number(comparison.importance), _importance_note(comparison)))
    if not rows and flips is None:
        return None
    body = [_named(name, el("td", value, class_="n lead"), note) for name, value, note in rows]
    head = _head("Score", "Value", "What it says")
    table = el("table", head, el("tbody", body), class_="stack") if rows else None
    return el("section", el("h2", "Behaviour"), table, _flips(flips) if flips and flips.count else None)


def _importance_note(comparison: Comparison) -> str:
    weights = comparison.policy.importance
    gain = "gain" if weights.gain is Gain.ABSOLUTE else "gain as a share of the champion's score"
    return (
        f"{number(weights.improvement)} · {gain} − {number(weights.latency)} · change of the median latency in seconds"
    )


def _flips(flips: FlipCounts) -> Markup:
    """Of two classes by the side of the threshold, of more by whether the label's class was predicted."""
    yes, no = ("right", "wrong") if flips.classes else ("positive", "negative")
    rows = (
        (f"was {no}", flips.negative_to_negative, flips.negative_to_positive),
        (f"was {yes}", flips.positive_to_negative, flips.positive_to_positive),
    )
    body = [
        el("tr", el("th", name, scope="row"), el("td", grouped(first), class_="n"), el("td", grouped(then), class_="n"))
        for name, first, then in rows
    ]
    title = "Predictions of another class" if flips.classes else "Predictions that moved across the threshold"
    where = f"among {flips.classes} classes" if flips.classes else f"at {number(flips.threshold)}"
    return el(
        "div",
        el("h3", title),
        el("table", _head("Prediction", f"is {no}", f"is {yes}", numeric=True), el("tbody", body)),
        el(
            "p",
            f"{grouped(flips.flipped)} of {grouped(flips.count)} flipped ({percent(flips.rate)}) {where}: "
            f"{grouped(flips.fixed)} from wrong to right, {grouped(flips.broken)} from right to wrong.",
            class_="note",
        ),
    )


def changes_section(comparison: Comparison) -> Markup:
    new, old = comparison.challenger, comparison.champion
    return el(
        "section",
        el("h2", "What changed" if old else "What it was made from"),
        _making(comparison),
        el(
            "div",
            el("div", el("h3", "Data"), _data(comparison)),
            el("div", el("h3", "Code"), _code(old, new)),
            class_="pair",
        ),
        el("h3", "Parameters"),
        _parameters(comparison),
    )


def _making(comparison: Comparison) -> Markup | None:
    if not comparison.changes:
        return None
    bump = f" ({comparison.bump})" if comparison.bump else ""
    items = [el("li", ticked(sentence)) for sentence in comparison.changes]
    return el("div", el("h3", f"Interface and architecture{bump}"), el("ul", items, class_="changes"))


def _data(comparison: Comparison) -> Markup:
    rows: list[Child] = []
    for name, side in (("champion", comparison.champion), ("challenger", comparison.challenger)):
        if side is not None:
            rows += [_data_row(f"{name} {side.version}, trained on", one) for one in side.trained_on]
    rows += [_data_row("evaluated on", one) for one in comparison.evaluated_on]
    if not rows:
        return el("p", "Nothing is recorded.", class_="note")
    return el("table", _head("Used for", "Data", "Examples"), el("tbody", rows), class_="stack")


def _data_row(name: str, data: Data) -> Markup:
    said = f"{data.split}, span {data.span}" if data.span else data.split
    count = _NONE if data.examples is None else grouped(data.examples)
    print_ = el("code", _short(data.fingerprint)) if data.fingerprint else None
    return el(
        "tr",
        el("th", name, scope="row"),
        el("td", said, " " if print_ else None, print_),
        el("td", count, class_="n", data_label="examples"),
    )


def _code(old: Side | None, new: Side) -> Markup:
    sides = [("champion", old), ("challenger", new)]
    known = [(name, side, side.code) for name, side in sides if side is not None and side.code is not None]
    if not known:
        return el("p", "Nothing is recorded.", class_="note")
    rows = [
        el("tr", el("th", f"{name} {side.version}", scope="row"), el("td", _commit(code))) for name, side, code in known
    ]
    note = None
    if len(known) == 2 and known[0][2].commit == known[1][2].commit:
        note = el("p", "The same commit made both.", class_="note")
    return el("div", el("table", _head("Version", "Commit"), el("tbody", rows)), note)


def _commit(code: Code) -> list[Child]:
    return [
        el("code", code.commit[:12]),
        " with changes that no commit holds" if code.dirty else None,
        el("div", code.remote, class_="note") if code.remote else None,
    ]


def _parameters(comparison: Comparison) -> Markup:
    new, changed = comparison.challenger.parameters, comparison.parameter_changes
    if comparison.champion is None:
        if not new:
            return el("p", "Nothing is recorded.", class_="note")
        rows = [_named(name, el("td", _shown(value))) for name, value in new.items()]
        return el("table", _head("Parameter", "Value"), el("tbody", rows))
    same = [name for name in new if name not in {one.name for one in changed}]
    rows = [
        el(
            "tr",
            el("th", breakable(one.name), scope="row"),
            el("td", _shown(one.old, one.name in comparison.champion.parameters), data_label="was"),
            el("td", _shown(one.new, one.name in new), data_label="now"),
        )
        for one in changed
    ]
    table = (
        el("table", _head("Parameter", "Champion", "Challenger"), el("tbody", rows), class_="stack")
        if rows
        else el("p", "No parameter differs.", class_="note")
    )
    unchanged = [_named(name, el("td", _shown(new[name]))) for name in same]
    folded = None
    if same:
        folded = el(
            "details",
            el("summary", f"{len(same)} unchanged"),
            el("table", _head("Parameter", "Value"), el("tbody", unchanged)),
        )
    return el("div", table, folded)


def policy_section(comparison: Comparison) -> Markup:
    text = json.dumps(comparison.policy.to_json(), indent=2, ensure_ascii=False)
    return el(
        "section",
        el("h2", "Policy"),
        el("p", _rule(comparison), class_="note"),
        el("details", el("summary", "The whole policy"), el("pre", text)),
        el("p", el("code", comparison.policy.digest), class_="note"),
    )


def _rule(comparison: Comparison) -> str:
    policy = comparison.policy
    rule = f"{policy.rule.kind.value} {number(policy.rule.threshold)}"
    if policy.rule.and_absolute is not None:
        rule += f" and absolute {number(policy.rule.and_absolute)}"
    sure = f" with {percent(policy.confidence)} confidence" if policy.confidence is not None else ""
    alike = policy.similar.value.replace("_", " ")
    return f"{policy.metric}, {policy.better.value} is better, by the rule {rule}{sure}; where both are alike: {alike}."


def _head(*labels: str, numeric: bool = False) -> Markup:
    right = ("Examples", "Value") if labels[-1] == "What it says" or "Examples" in labels else ()
    cells = [
        el("th", label, scope="col", class_="n" if label in right or (numeric and label != labels[0]) else None)
        for label in labels
    ]
    return el("thead", el("tr", cells))


def _named(name: str, value: Markup, note: str | None = None) -> Markup:
    return el("tr", el("th", breakable(name), scope="row"), value, el("td", note, class_="note wide") if note else None)


def _short(digest: str) -> str:
    return digest[: len("sha256:") + 12] if digest.startswith("sha256:") else digest[:24]


def _shown(value: Any, present: bool = True) -> Markup | str:
    return el("code", json.dumps(value, ensure_ascii=False)) if present else "not set"
