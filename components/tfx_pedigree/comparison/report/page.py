"""The page as a whole: the verdict first, then the numbers behind it, then what was changed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

from tfx_pedigree.comparison.document import FORMAT, Comparison, Side
from tfx_pedigree.comparison.report import plots
from tfx_pedigree.comparison.report.changes import behaviour_section, changes_section, policy_section
from tfx_pedigree.comparison.report.checks_table import checks_section
from tfx_pedigree.comparison.report.latency_plot import latency_section
from tfx_pedigree.comparison.report.metrics_plot import metrics_section, slices_section
from tfx_pedigree.comparison.report.outcomes_plot import outcomes_section
from tfx_pedigree.comparison.report.style import STYLE
from tfx_pedigree.comparison.wording import bytes_text, graded, grouped, number, percent, signed
from tfx_pedigree.html import Child, Markup, breakable, el, join, ticked
from tfx_pedigree.text import format_minute
from tfx_pedigree.verdict import Recommendation, Verdict

_HEADLINES = {
    Verdict.PASS: "PASS: the new version may be promoted",
    Verdict.FAIL: "FAIL: the new version is not promoted",
    Verdict.INSUFFICIENT: "INSUFFICIENT: no decision, and so no promotion",
}
_RECOMMENDATIONS = {
    Recommendation.CHALLENGER: "The score recommends the challenger",
    Recommendation.CHAMPION: "The score recommends the champion",
    Recommendation.SIMILAR: "The score finds similar performance",
}
# The browser itself refuses whatever the page is not meant to have.
_FORBID = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


@dataclass(frozen=True)
class Origin:
    """What the document leaves out, so that the same inputs give the same document: when and where it was made."""

    date: datetime | None = None
    pipeline: str | None = None
    run: str | None = None


def render(comparison: Comparison, origin: Origin | None = None) -> str:
    title = _title(comparison)
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=_FORBID),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="color-scheme", content="light dark"),
        el("title", f"{comparison.decision.verdict.value}: {title}"),
        el("style", Markup(STYLE)),
    )
    body = el(
        "body",
        el(
            "header",
            el("p", "Model comparison", class_="kicker"),
            el("h1", breakable(title)),
            _origin(origin),
            class_="top",
        ),
        el("main", sections(comparison)),
        _footer(comparison),
    )
    return f"<!doctype html>\n{el('html', head, body, lang='en')}\n"


def _title(comparison: Comparison) -> str:
    rival = f"against {comparison.champion.version}" if comparison.champion else "without a champion"
    return f"{comparison.model} {comparison.challenger.version} {rival}"


def _origin(origin: Origin | None) -> Markup | None:
    if origin is None:
        return None
    said = [format_minute(origin.date)] if origin.date else []
    said += [f"{word} {name}" for word, name in (("pipeline", origin.pipeline), ("run", origin.run)) if name]
    return el("p", " · ".join(said), class_="note") if said else None


def sections(comparison: Comparison) -> list[Child]:
    """What stands between the page's title and its foot: the server's page has another frame around it."""
    return [
        _verdict(comparison),
        _tiles(comparison),
        _warnings(comparison),
        checks_section(comparison),
        metrics_section(comparison),
        slices_section(comparison),
        outcomes_section(comparison),
        latency_section(comparison),
        behaviour_section(comparison),
        changes_section(comparison),
        policy_section(comparison),
    ]


def _verdict(comparison: Comparison) -> Markup:
    decision = comparison.decision
    said = _RECOMMENDATIONS.get(decision.recommendation) if decision.recommendation else None
    word = _HEADLINES[decision.verdict]
    return el(
        "div",
        plots.mark(decision.verdict.value),
        el(
            "div",
            el("p", word, class_="word"),
            el("p", ticked(decision.reason), class_="reason"),
            el("p", f"{said} ({decision.recommendation.value}).", class_="note")
            if said and decision.recommendation
            else None,
        ),
        class_=f"verdict {decision.verdict.value.lower()}",
        role="status",
    )


def _tiles(comparison: Comparison) -> Markup:
    tiles = [_score_tile(comparison), _examples_tile(comparison)]
    old, new = comparison.champion, comparison.challenger
    if new.size_bytes is not None:
        tiles.append(
            _tile("Size", bytes_text(new.size_bytes), _against(new.size_bytes, old.size_bytes if old else None))
        )
    if new.latency is not None:
        name = f"Latency, p95 of {new.latency.batch_size} rows"
        before = old.latency.p95_ms if old and old.latency else None
        tiles.append(_tile(name, f"{number(new.latency.p95_ms)} ms", _against(new.latency.p95_ms, before)))
    if comparison.flips is not None and comparison.flips.count:
        flips = comparison.flips
        note = f"of {flips.classes} classes" if flips.classes else f"at a threshold of {number(flips.threshold)}"
        tiles.append(_tile("Predictions flipped", percent(comparison.flips.rate), note))
    if comparison.bump is not None:
        tiles.append(_tile("Kind of change", comparison.bump, f"{_version(old)} → {new.version}"))
    return el("dl", tiles, class_="tiles")


def _score_tile(comparison: Comparison) -> Markup:
    policy, change = comparison.policy, comparison.decision.change
    row = next((row for row in comparison.metrics if row.metric == policy.metric and not row.slice.pairs), None)
    value = number(row.challenger.value) if row and row.challenger else "missing"
    if change is None:
        before = f"was {number(row.champion.value)}" if row and row.champion else "nothing to compare it with"
        return _tile(["Score: ", breakable(policy.metric)], value, before)
    sign = "" if not change.gain else ("good" if change.gain > 0 else "bad")
    said = el("span", graded(policy.rule.kind, change.gain), class_=sign or None)
    return _tile(["Score: ", breakable(policy.metric)], value, join([said, f", was {number(change.champion)}"]))


def _examples_tile(comparison: Comparison) -> Markup:
    counts = [one.count for row in comparison.metrics if row.slice.is_overall and (one := row.challenger)]
    known = [count for count in counts if count is not None]
    spans = ", ".join(f"span {one.span}" for one in comparison.evaluated_on if one.span)
    shown = grouped(max(known)) if known else "not known"
    return _tile("Evaluation examples", shown, spans or ("the same for both models" if comparison.champion else ""))


def _tile(name: Child, value: Child, note: Child) -> Markup:
    return el(
        "div",
        el("dt", name),
        el("dd", value, class_="big"),
        el("dd", note, class_="note") if note else None,
        class_="tile",
    )


def _against(new: float, old: float | None) -> str:
    if old is None:
        return ""
    if not old or not math.isfinite(new / old):
        return f"was {number(old)}"
    return "as before" if new == old else f"{signed(percent(new / old - 1))} against the champion"


def _version(side: Side | None) -> str:
    return side.version if side else "none"


def _warnings(comparison: Comparison) -> Markup | None:
    if not comparison.decision.warnings:
        return None
    items = [el("li", ticked(one)) for one in comparison.decision.warnings]
    return el("section", el("h2", "Warnings"), el("ul", items), class_="warnings")


def _footer(comparison: Comparison) -> Markup:
    sides = [("Challenger", comparison.challenger), ("Champion", comparison.champion)]
    named = [el("p", f"{name} {side.version}: ", el("code", side.digest)) for name, side in sides if side is not None]
    told = el(
        "p",
        f"Made by Pedigree from comparison.json ({FORMAT}), whose content is ",
        el("code", comparison.digest),
        ".",
    )
    return el("footer", named, told)
