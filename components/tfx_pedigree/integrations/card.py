"""A model card: what a version is for, what it was made from, how good it is and who decided so. Pure.

The last part says which points of the technical documentation that the EU AI Act asks for (Annex IV) the card answers,
and which only a person can. In Markdown and HTML, nothing of what people wrote is taken as markup.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tfx_pedigree.html import Markup, el
from tfx_pedigree.integrations.markdown import escaped, table
from tfx_pedigree.integrations.measured import Measurement, measurements
from tfx_pedigree.json_form import JsonForm
from tfx_pedigree.lineage import wording
from tfx_pedigree.lineage.graph import Node, NodeKind
from tfx_pedigree.service.versions.dossier import Dossier
from tfx_pedigree.text import format_minute, format_size, listed, plural, short_digest

_SHOWN_PACKAGES = ("tfx", "tensorflow", "keras", "tensorflow-model-analysis", "apache-beam", "numpy", "tfx-pedigree")
_DECISIONS = ("promote", "rollback", "archive", "restore", "approve-request", "roll-out")


@dataclass(frozen=True)
class Part(JsonForm):
    """One heading with its sentences, and a table where there is one: the first row has the names of the columns."""

    name: str
    title: str
    sentences: tuple[str, ...] = ()
    table: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Card(JsonForm):
    model: str
    version: str
    digest: str
    parts: tuple[Part, ...]


def card_of(dossier: Dossier) -> Card:
    parts = (
        Part("purpose", "Purpose", tuple(_purpose(dossier))),
        Part("version", "Version", tuple(_version(dossier))),
        Part("interface", "Interface", (), _interface(dossier)),
        Part("data", "Data", tuple(_data(dossier))),
        Part("making", "How it was made", tuple(_making(dossier)), _parameters(dossier)),
        Part("metrics", "How good it is", tuple(_measured_on(dossier)), _metrics(dossier)),
        Part("decision", "The gate's decision", tuple(_decision(dossier)), _checks(dossier)),
        Part("limits", "Limits", tuple(_limits(dossier))),
        Part("ancestry", "Ancestry", tuple(_ancestry(dossier))),
        Part("approval", "Who decided what", (), _approval(dossier)),
    )
    shown = tuple(part for part in parts if part.sentences or len(part.table) > 1)
    version = dossier.version
    return Card(version.model, version.version, version.digest, (*shown, _annex({part.name for part in shown})))


def _purpose(dossier: Dossier) -> Iterator[str]:
    yield dossier.model.description or (
        "Nobody has described what this model is for. Write it down with "
        f"`pedigree describe {dossier.version.model} --text TEXT`."
    )


def _version(dossier: Dossier) -> Iterator[str]:
    version = dossier.version
    yield f"The state of {version.name} is {version.state}; its number follows {version.predecessor or 'no other one'}."
    for reason in version.reasons:
        yield f"{reason[:1].upper()}{reason[1:]}."
    yield f"It was created on {format_minute(version.created_at)} by {version.created_by}."
    if version.size is not None:
        yield f"{plural(version.files or 0, 'file')}, {format_size(version.size)}; digest {version.digest}."
    for signature in dossier.signatures:
        who = signature.subject or (short_digest(signature.key) if signature.key else "a key that nobody trusts here")
        yield f"It was signed on {format_minute(signature.created_at)} by {who}."


def _interface(dossier: Dossier) -> tuple[tuple[str, ...], ...]:
    rows = [("signature", "tensor", "is", "type")]
    for name, signature in sorted(dossier.description.signatures.items()):
        rows += [(name, tensor, "input", str(spec)) for tensor, spec in sorted(signature.inputs.items())]
        rows += [(name, tensor, "output", str(spec)) for tensor, spec in sorted(signature.outputs.items())]
    return tuple(rows)


def _data(dossier: Dossier) -> Iterator[str]:
    if not dossier.data:
        yield "It was not recorded which data the version was trained on."
    for node in dossier.data:
        yield f"Trained on {wording.data(node)}."
    for node in dossier.evaluated_on:
        yield f"Measured on {wording.data(node)}."
    for node in dossier.preparation:
        what = "The data conform to the" if node.kind is NodeKind.SCHEMA else "Features are made by the"
        yield f"{what} {wording.label(node)}."


def _making(dossier: Dossier) -> Iterator[str]:
    for node in dossier.code:
        yield f"Built from {_code(node)}."
    if not dossier.code:
        yield "It was not recorded from which code the version was built."
    for node in dossier.runs:
        yield f"Produced by {wording.label(node)}."
    for node in dossier.environments:
        python, platform = node.fact("python") or "(unknown)", node.fact("platform") or "an unknown machine"
        yield f"Made with Python {python} on {platform}."
    packages = dossier.packages
    if shown := [f"{name} {packages[name]}" for name in _SHOWN_PACKAGES if name in packages]:
        more = len(packages) - len(shown)
        yield f"Packages: {listed(shown, len(shown))}{f', and {more} more' if more else ''}."


def _code(node: Node) -> str:
    if node.kind is not NodeKind.CODE:
        return wording.label(node)
    dirty = " with uncommitted changes" if node.content.get("diff_digest") else ""
    remote = f" of {node.fact('remote')}" if node.fact("remote") else ""
    return f"commit {node.content.get('commit')}{remote}{dirty}"


def _parameters(dossier: Dossier) -> tuple[tuple[str, ...], ...]:
    rows = [("parameter", "value")]
    rows += [(name, wording.value(value)) for name, value in sorted(dossier.version.parameters.items())]
    return tuple(rows)


def _measured_on(dossier: Dossier) -> Iterator[str]:
    evidence = dossier.evidence
    if evidence is not None and evidence.evaluation_data:
        yield f"Measured on the data {short_digest(evidence.evaluation_data)}."
    if dossier.version.metrics and evidence is None:
        yield "These numbers were given when the version was registered; no evidence holds them."


def _metrics(dossier: Dossier) -> tuple[tuple[str, ...], ...]:
    rows = [_metric(one) for one in measurements(dossier.version, dossier.evidence)]
    return (("metric", "slice", "value", "interval", "examples"), *rows)


def _metric(one: Measurement) -> tuple[str, ...]:
    interval = f"{one.low:.4g} to {one.high:.4g}" if one.low is not None and one.high is not None else ""
    return (one.metric, one.slice or "all", f"{one.value:.6g}", interval, "" if one.count is None else str(one.count))


def _decision(dossier: Dossier) -> Iterator[str]:
    evidence = dossier.evidence
    if evidence is None:
        yield "The gate has not judged this version: it has no evidence."
        return
    against = f" against {dossier.baseline}" if dossier.baseline else ""
    yield f"{evidence.verdict.value}{against}: {evidence.reason}"
    if evidence.policy:
        yield f"Decided by the policy {short_digest(evidence.policy)}; the evidence is {short_digest(evidence.digest)}."


def _checks(dossier: Dossier) -> tuple[tuple[str, ...], ...]:
    rows: list[tuple[str, ...]] = [("check", "outcome", "what was found")]
    for check in (dossier.evidence.details.get("checks") or ()) if dossier.evidence else ():
        if isinstance(check, dict):
            rows.append(tuple(str(check.get(name, "")) for name in ("name", "outcome", "sentence")))
    return tuple(rows)


def _limits(dossier: Dossier) -> Iterator[str]:
    """What is known to be missing. Nobody can tell from it that nothing else is."""
    warnings = dossier.evidence.details.get("warnings") if dossier.evidence else None
    for warning in warnings if isinstance(warnings, list | tuple) else ():
        yield f"{str(warning)[:1].upper()}{str(warning)[1:]}."
    if any(node.content.get("diff_digest") for node in dossier.code):
        yield "It was built from changes that no commit holds: the commit alone does not build it again."
    if not dossier.recorded:
        yield "No lineage was recorded: data, code and environment are not known."


def _ancestry(dossier: Dossier) -> Iterator[str]:
    version = dossier.version
    if version.predecessor:
        yield f"It follows {version.model} {version.predecessor} as a {(version.bump or 'new').upper()} change."
    for period in reversed(dossier.periods):
        until = f"until {format_minute(period.ended_at)}" if period.ended_at else "and is champion now"
        yield f"Champion from {format_minute(period.began_at)} {until}."


def _approval(dossier: Dossier) -> tuple[tuple[str, ...], ...]:
    rows = [("when", "who", "did what", "why")]
    for event in dossier.events:
        if event.action in _DECISIONS:
            way = f" to {event.to_state}" if event.to_state else ""
            rows.append((format_minute(event.at), event.actor, f"{event.action}{way}", event.reason or ""))
    return tuple(rows)


# The points of Annex IV of Regulation (EU) 2024/1689, in short, with the parts of the card that answer to them. Where
# no part does, a person has to.
_ANNEX: Sequence[tuple[str, str, tuple[str, ...]]] = (
    (
        "1 (a)",
        "intended purpose, provider, version and its relation to earlier ones",
        ("purpose", "version", "ancestry"),
    ),
    ("1 (b)", "interaction with other hardware and software", ()),
    ("1 (c)", "versions of relevant software, and requirements for updates", ("making",)),
    ("1 (d)", "forms in which the system is placed on the market", ()),
    ("1 (e)", "hardware on which the system is intended to run", ()),
    ("1 (f)", "illustrations of the product of which the system is a component", ()),
    ("1 (g)", "user interface for the deployer", ()),
    ("1 (h)", "instructions for use", ()),
    ("2 (a)", "methods and steps of development, use of pre-trained systems", ("making",)),
    ("2 (b)", "design specifications: logic, key choices, what is optimised for", ("decision",)),
    ("2 (c)", "system architecture, computational resources", ("interface",)),
    ("2 (d)", "data requirements: training data, provenance, selection, labelling", ("data",)),
    ("2 (e)", "assessment of human oversight measures", ()),
    ("2 (f)", "pre-determined changes of the system and its performance", ()),
    ("2 (g)", "validation and testing: data, metrics, logs, who signed", ("metrics", "decision", "approval")),
    ("2 (h)", "cybersecurity measures", ()),
    ("3", "capabilities and limits in performance, also for groups of persons", ("metrics", "limits")),
    ("4", "appropriateness of the performance metrics", ()),
    ("5", "risk management system", ()),
    ("6", "changes made through the lifecycle", ("ancestry", "approval")),
    ("7", "harmonised standards applied", ()),
    ("8", "EU declaration of conformity", ()),
    ("9", "post-market monitoring", ()),
)


def _annex(shown: set[str]) -> Part:
    rows = [("point", "asks for", "answered by")]
    for point, asks, names in _ANNEX:
        found = [name for name in names if name in shown]
        rows.append((point, asks, f"{listed(found, len(found))}, in part" if found else "a person"))
    sentence = (
        "What this card says of the points of Annex IV of Regulation (EU) 2024/1689 (AI Act), in short. It is no legal "
        "advice, and the answers are parts of a documentation: what the system is for, and whether it may be used for "
        "it, a person must say."
    )
    return Part("annex-iv", "Technical documentation (AI Act, Annex IV)", (sentence,), tuple(rows))


_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1f2328;"
    "background:#fff}table{border-collapse:collapse;display:block;overflow-x:auto}th,td{text-align:left;"
    "vertical-align:top;padding:.25rem .75rem .25rem 0;border-bottom:1px solid #d1d9e0}h2{margin-top:2rem}"
    "td{overflow-wrap:anywhere}@media(prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}th,td{"
    "border-color:#30363d}}"
)


def card_as_markdown(card: Card) -> str:
    lines = [f"# {escaped(card.model)} {escaped(card.version)}", ""]
    for part in card.parts:
        lines += [f"## {part.title}", "", *(f"- {escaped(sentence)}" for sentence in part.sentences)]
        if len(part.table) > 1:
            head, *rows = ([escaped(cell) for cell in row] for row in part.table)
            lines += ([""] if part.sentences else []) + table(head, rows)
        lines.append("")
    return "\n".join(lines)


def card_as_html(card: Card) -> str:
    name = f"{card.model} {card.version}"
    head = (el("meta", charset="utf-8"), el("meta", name="viewport", content="width=device-width"), el("title", name))
    body = [el("h1", name), *(_part(part) for part in card.parts)]
    page = el("html", el("head", *head, el("style", Markup(_STYLE))), el("body", el("main", *body)), lang="en")
    return f"<!DOCTYPE html>\n{page}\n"


def _part(part: Part) -> Markup:
    sentences = el("ul", *(el("li", sentence) for sentence in part.sentences)) if part.sentences else None
    return el("section", el("h2", part.title), sentences, _html_table(part), id=part.name)


def _html_table(part: Part) -> Markup | None:
    if len(part.table) < 2:
        return None
    head, *rows = part.table
    heads = el("tr", *(el("th", cell, scope="col") for cell in head))
    return el(
        "table",
        el("thead", heads),
        el("tbody", *(el("tr", *(el("td", cell) for cell in row)) for row in rows)),
        tabindex="0",
        aria_label=part.title,
    )
