"""What registry and lineage say of how a version was made: all that a reproduction can go by."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tfx_pedigree.errors import InvalidInputError, NotFoundError
from tfx_pedigree.json_form import read
from tfx_pedigree.lineage.graph import EdgeKind, Node, NodeKind
from tfx_pedigree.lineage.neighbours import Adjacency
from tfx_pedigree.lineage.node_factory import DIFF, RECIPE, version_node
from tfx_pedigree.registry import Evidence, Reference, Version, VersionQuestions
from tfx_pedigree.service.reproducing.recipe import Recipe
from tfx_pedigree.service.workspace import Workspace
from tfx_pedigree.versioning import ModelDescription
from tfx_pedigree.versioning.git_diff import GitDiff

_PYTHON = re.compile(r"(\d{1,2})\.(\d{1,3})(\.\d{1,3}\w{0,8})?")
_PACKAGE = re.compile(r"[a-z0-9]([a-z0-9-]{0,120}[a-z0-9])?")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.!+_-]{0,120}")


@dataclass(frozen=True)
class CodeState:
    commit: str
    diff_digest: str | None = None


@dataclass(frozen=True)
class Environment:
    """`python` is as it was recorded; `packages` are names to versions, of which `unusable` could be no package's."""

    python: str | None = None
    packages: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    unusable: tuple[str, ...] = ()

    @property
    def minor(self) -> str | None:
        """As interpreters are called: 3.10."""
        found = _PYTHON.fullmatch(self.python or "")
        return f"{found[1]}.{found[2]}" if found else None


@dataclass(frozen=True)
class Part:
    """A split that the version was trained on. `fingerprint` is of its rows, where those were read."""

    key: str
    name: str
    span: int | None
    fingerprint: str | None


@dataclass(frozen=True)
class Baseline:
    """The champion that the version was compared with."""

    version: Version
    description: ModelDescription
    evidence: Evidence | None


@dataclass(frozen=True)
class Recorded:
    """What was not recorded is None or empty. `unreadable` says what is wrong with a recipe that was recorded."""

    version: Version
    description: ModelDescription
    evidence: Evidence | None = None
    baseline: Baseline | None = None
    code: CodeState | None = None
    environment: Environment = field(default_factory=Environment)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    data: tuple[Part, ...] = ()
    recipe: Recipe | None = None
    diff: GitDiff | None = None
    unreadable: str | None = None

    @property
    def span(self) -> int | None:
        """Of several, the newest, as ExampleGen's range would end."""
        if self.recipe is not None and self.recipe.span is not None:
            return self.recipe.span
        return max((one.span for one in self.data if one.span is not None), default=None)


def read_recorded(workspace: Workspace, reference: str | Reference) -> Recorded:
    registry = workspace.registry
    version = registry.get(reference)
    exact = Reference(version.model, version.version)
    evidence = registry.evidence(exact)
    return Recorded(
        version,
        registry.description(exact),
        evidence,
        _baseline(registry, version, evidence),
        **_made(Adjacency(workspace.lineage.around(str(exact))), version_node(version.model, version.digest).key),
    )


def _baseline(registry: VersionQuestions, version: Version, evidence: Evidence | None) -> Baseline | None:
    if evidence is None or evidence.champion is None or evidence.champion == version.digest:
        return None
    try:
        found = registry.get(Reference(version.model, evidence.champion))
    except NotFoundError:
        return None
    exact = Reference(found.model, found.version)
    return Baseline(found, registry.description(exact), registry.evidence(exact))


def _made(graph: Adjacency, key: str) -> dict[str, Any]:
    """Of several runs that made the same bytes, one that left its recipe; all that was recorded is of that run."""
    runs = sorted(graph.targets(key, EdgeKind.PRODUCED_BY), key=lambda run: (not _used(graph, run, RECIPE), run.key))
    run = runs[0] if runs else None

    def of_run(kind: EdgeKind, of: NodeKind) -> list[Node]:
        edges = [edge for edge in graph.up(key) if edge.kind is kind]
        own = [edge for edge in edges if run is not None and edge.run == run.key] or edges
        return [graph.nodes[edge.target] for edge in own if graph.nodes[edge.target].kind is of]

    found: dict[str, Any] = {
        "code": _code(of_run(EdgeKind.BUILT_BY, NodeKind.CODE)),
        "environment": _environment(of_run(EdgeKind.RAN_IN, NodeKind.ENVIRONMENT)),
        "parameters": dict(next((one.content for one in of_run(EdgeKind.CONFIGURED_BY, NodeKind.PARAMETERS)), {})),
        "data": tuple(map(part_of, of_run(EdgeKind.TRAINED_ON, NodeKind.DATA))),
    }
    recipes, diffs = (_used(graph, run, kind) if run is not None else [] for kind in (RECIPE, DIFF))
    return {**found, **_recipe(recipes), "diff": _diff(diffs, found["code"])}


def _used(graph: Adjacency, run: Node, kind: str) -> list[Node]:
    return [node for node in graph.targets(run.key, EdgeKind.USED) if node.content.get("type") == kind]


def _diff(nodes: list[Node], code: CodeState | None) -> GitDiff | None:
    """The changes of this very state; what cannot be read was not kept."""
    for node in nodes:
        with contextlib.suppress(InvalidInputError):
            found = read(GitDiff, node.content.get(DIFF), "The kept changes")
            if code is not None and found.digest == code.diff_digest:
                return found
    return None


def _recipe(nodes: list[Node]) -> dict[str, Any]:
    problem = None
    for node in nodes:
        try:
            return {"recipe": read(Recipe, node.content.get("recipe"), "The recipe")}
        except InvalidInputError as error:
            problem = str(error)
    return {"unreadable": problem}


def _code(nodes: Iterable[Node]) -> CodeState | None:
    for node in nodes:
        diff = node.content.get("diff_digest")
        return CodeState(str(node.content.get("commit")), None if diff is None else str(diff))
    return None


def _environment(nodes: Iterable[Node]) -> Environment:
    content: Mapping[str, Any] = next((node.content for node in nodes), {})
    told, variables = content.get("packages"), content.get("variables")
    packages = {str(name): str(version) for name, version in told.items()} if isinstance(told, Mapping) else {}
    unusable = tuple(sorted(name for name, version in packages.items() if not _is_package(name, version)))
    python = content.get("python")
    return Environment(
        str(python) if python is not None else None,
        {name: version for name, version in packages.items() if name not in unusable},
        {str(name): str(value) for name, value in variables.items()} if isinstance(variables, Mapping) else {},
        unusable,
    )


def _is_package(name: str, version: str) -> bool:
    """Neither an option of pip, nor a path, nor words of a shell."""
    return bool(_PACKAGE.fullmatch(name) and _VERSION.fullmatch(version))


def part_of(node: Node) -> Part:
    span, split = node.fact("span"), node.fact("split")
    name = " ".join(text for text in (f"span {span}" if span else "", split or "") if text) or node.key[:16]
    fingerprint = node.content.get("fingerprint")
    number = int(span) if span is not None and span.isascii() and span.isdecimal() and len(span) < 10 else None
    return Part(node.key, name, number, str(fingerprint) if fingerprint else None)
