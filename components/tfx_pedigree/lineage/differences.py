"""What changed between two versions: data, code, parameters, environment, interface, numbers. Pure.

The versions may be of different models. What was recorded of neither is left out; what was recorded of one alone is a
difference that nobody can judge, and is said in `unknown`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from tfx_pedigree.json_form import JsonForm, Layout
from tfx_pedigree.lineage import wording
from tfx_pedigree.lineage.graph import EdgeKind, Node, NodeKind
from tfx_pedigree.lineage.neighbours import Neighbours
from tfx_pedigree.lineage.version_context import Side
from tfx_pedigree.registry import Version, VersionDiff
from tfx_pedigree.registry.differences import MetricRow, Row

_ENVIRONMENT = ("python", "image", "cpu", "accelerators")


@dataclass(frozen=True)
class Split:
    """A split of data, by the key of its node; `label` and the rest are for people."""

    JSON: ClassVar[Layout] = Layout(whole=True)

    key: str
    label: str
    fingerprint: str | None
    span: tuple[str, ...]
    split: tuple[str, ...]
    rows: tuple[str, ...]

    @staticmethod
    def of(node: Node) -> Split:
        facts = (node.facts.get(name, ()) for name in ("span", "split", "rows"))
        return Split(node.key, wording.label(node), node.content.get("fingerprint"), *facts)

    def __str__(self) -> str:
        return wording.data_of(self.label, self.fingerprint, self.rows) if self.span else self.label


@dataclass(frozen=True)
class DataChange(JsonForm):
    """What only the new version has, only the old one, and both: each split once, known by its content."""

    added: tuple[Split, ...] = ()
    removed: tuple[Split, ...] = ()
    kept: tuple[Split, ...] = ()

    @property
    def differs(self) -> bool:
        return bool(self.added or self.removed)


@dataclass(frozen=True)
class LineageDiff(JsonForm):
    """`making` are schema and transform graph, `code` the commit and what lay beside it, `modules` files by name."""

    old: Version
    new: Version
    data: DataChange
    judged_on: DataChange
    code: tuple[Row, ...]
    modules: tuple[Row, ...]
    parameters: tuple[Row, ...]
    training: tuple[Row, ...]
    making: tuple[Row, ...]
    environment: tuple[Row, ...]
    packages: tuple[Row, ...]
    interface: tuple[Row, ...]
    metrics: tuple[MetricRow, ...]
    metrics_note: str
    bump: str | None
    reasons: tuple[str, ...]
    unknown: tuple[str, ...]

    @property
    def differs(self) -> bool:
        rows = (row for name in _ROWS for row in getattr(self, name))
        changed = self.old.digest != self.new.digest or self.data.differs or self.judged_on.differs
        return changed or any(row.differs for row in rows)


_ROWS = (
    "code",
    "modules",
    "parameters",
    "training",
    "making",
    "environment",
    "packages",
    "interface",
    "metrics",
)


def difference(compared: VersionDiff, before: Side, after: Side) -> LineageDiff:
    """`compared` is what the registry finds between the two, old first."""
    old, new = Neighbours.of(before.around, before.key), Neighbours.of(after.around, after.key)
    sides = (compared.old, compared.new)
    codes = _closest(old, new, EdgeKind.BUILT_BY, NodeKind.CODE)
    environments = [_content(node) for node in _closest(old, new, EdgeKind.RAN_IN, NodeKind.ENVIRONMENT)]
    told = [_content(node) for node in _closest(old, new, EdgeKind.CONFIGURED_BY, NodeKind.PARAMETERS)]
    return LineageDiff(
        compared.old,
        compared.new,
        data=_data(old.targets(EdgeKind.TRAINED_ON), new.targets(EdgeKind.TRAINED_ON)),
        judged_on=_data(old.evaluation_data, new.evaluation_data),
        code=_rows(*(_code(node, version.tags) for node, version in zip(codes, sides, strict=True))),
        modules=_rows(*_modules(old, new)),
        parameters=_rows(*(_parameters(one, version) for one, version in zip(told, sides, strict=True))),
        training=_tables("training", *told),
        making=_making(old, new),
        environment=_rows(*(_environment(one) for one in environments)),
        packages=_tables("packages", *environments),
        interface=compared.interface,
        metrics=compared.metrics,
        metrics_note=compared.metrics_note,
        bump=compared.bump,
        reasons=compared.reasons,
        unknown=tuple(_unknown(compared, old, new)),
    )


def _closest(old: Neighbours, new: Neighbours, kind: EdgeKind, of: NodeKind) -> tuple[Node | None, Node | None]:
    """Equal bytes may have been made several times, by changed code or elsewhere. Compared are then the two makings
    that are most alike: more difference than there must be is not claimed."""
    before, after = ([node for node in side.targets(kind) if node.kind is of] for side in (old, new))
    if not before or not after:
        return next(iter(before), None), next(iter(after), None)
    return min(itertools.product(before, after), key=lambda pair: _distance(*pair))


def _distance(old: Node, new: Node) -> int:
    before, after = wording.leaves(old.content), wording.leaves(new.content)
    return sum(before.get(name) != after.get(name) for name in {*before, *after})


def _content(node: Node | None) -> Mapping[str, Any]:
    return node.content if node is not None else {}


def _data(old: tuple[Node, ...], new: tuple[Node, ...]) -> DataChange:
    before, after = {node.key for node in old}, {node.key for node in new}
    return DataChange(
        tuple(Split.of(node) for node in new if node.key not in before),
        tuple(Split.of(node) for node in old if node.key not in after),
        tuple(Split.of(node) for node in new if node.key in before),
    )


def _code(node: Node | None, tags: Mapping[str, str]) -> dict[str, Any]:
    """Of the graph; else of the tags that RegistryPusher sets."""
    if node is not None:
        facts = {name: node.fact(name) for name in ("remote", "branch")}
        return {"commit": node.content.get("commit"), "uncommitted": node.content.get("diff_digest"), **facts}
    commit = tags.get("commit")
    if not commit:
        return {}
    return {"commit": commit.removesuffix("+dirty"), "uncommitted": "yes" if commit.endswith("+dirty") else None}


def _modules(old: Neighbours, new: Neighbours) -> tuple[dict[str, Any], dict[str, Any]]:
    """A version that was made several times may have several files of a name: one that both sides have is compared."""
    before, after = _files(old), _files(new)
    rows: tuple[dict[str, Any], dict[str, Any]] = ({}, {})
    for name in {*before, *after}:
        same = sorted(before.get(name, set()) & after.get(name, set()))
        for row, files in zip(rows, (before, after), strict=True):
            row[name] = next(iter(same or sorted(files.get(name, ()))), None)
    return rows


def _files(around: Neighbours) -> dict[str, set[Any]]:
    """Digests by the name of the module file."""
    found: dict[str, set[Any]] = {}
    for node in around.targets(EdgeKind.BUILT_BY):
        if node.kind is NodeKind.MODULE:
            found.setdefault(node.fact("name") or wording.label(node), set()).add(node.content.get("digest"))
    return found


def _parameters(told: Mapping[str, Any], version: Version) -> dict[str, Any]:
    """The registry keeps them with each version; the graph has them too where a component recorded them."""
    return {**wording.table(told.get("parameters")), **version.parameters}


def _making(old: Neighbours, new: Neighbours) -> tuple[Row, ...]:
    rows: tuple[Row, ...] = ()
    parts = (
        ("schema", EdgeKind.CONFORMS_TO, NodeKind.SCHEMA),
        ("transform graph", EdgeKind.TRANSFORMED_BY, NodeKind.TRANSFORM),
    )
    for name, kind, of in parts:
        digests = (_content(node).get("digest") for node in _closest(old, new, kind, of))
        rows += _rows(*({name: digest} for digest in digests))
    return rows


def _environment(content: Mapping[str, Any]) -> dict[str, Any]:
    values = {name: content.get(name) for name in _ENVIRONMENT}
    variables = {f"${name}": value for name, value in wording.table(content.get("variables")).items()}
    return {**values, **variables}


def _tables(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[Row, ...]:
    return _rows(wording.leaves(wording.table(old.get(name))), wording.leaves(wording.table(new.get(name))))


def _rows(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[Row, ...]:
    names = sorted({*old, *new})
    rows = (Row(name, old.get(name), new.get(name)) for name in names)
    return tuple(row for row in rows if row.old is not None or row.new is not None)


def _unknown(compared: VersionDiff, old: Neighbours, new: Neighbours) -> Iterator[str]:
    parts = (
        ("data", EdgeKind.TRAINED_ON),
        ("code", EdgeKind.BUILT_BY),
        ("environment", EdgeKind.RAN_IN),
    )
    sides = ((compared.old, old), (compared.new, new))
    bare = [version for version, around in sides if not any(around.targets(kind) for _, kind in parts)]
    for version in dict.fromkeys(version.name for version in bare):
        yield f"No lineage was recorded of {version}: its data, code and environment cannot be compared."
    if not bare:
        for noun, kind in parts:
            missing = [version.name for version, around in sides if not around.targets(kind)]
            if len(missing) == 1:
                yield f"Nothing was recorded of the {noun} of {missing[0]}: what changed in it is not known."
    for made, there in sides if compared.old != compared.new else sides[:1]:
        yield from _made_often(made, there)


def _made_often(version: Version, around: Neighbours) -> Iterator[str]:
    parts = (
        ("commits", EdgeKind.BUILT_BY, NodeKind.CODE),
        ("environments", EdgeKind.RAN_IN, NodeKind.ENVIRONMENT),
        ("sets of parameters", EdgeKind.CONFIGURED_BY, NodeKind.PARAMETERS),
        ("schemas", EdgeKind.CONFORMS_TO, NodeKind.SCHEMA),
        ("transform graphs", EdgeKind.TRANSFORMED_BY, NodeKind.TRANSFORM),
    )
    counts = [(noun, sum(node.kind is of for node in around.targets(kind))) for noun, kind, of in parts]
    counts += [(f"files {name}", len(digests)) for name, digests in sorted(_files(around).items())]
    for noun, many in counts:
        if many > 1:
            yield f"{version.name} was made more than once, from {many} {noun}: the one that is most alike is compared."
