"""Which nodes an artifact is. Pedigree's own versions, data, schemas and transform graphs are the nodes that its
recorder makes; what only the store knows is known by the store's name and number."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from tfx_pedigree.bounded_parse import parse_json
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.lineage import node_factory
from tfx_pedigree.lineage.graph import Edge, EdgeKind, Node
from tfx_pedigree.mlmd import vocabulary
from tfx_pedigree.mlmd.artifact_files import ArtifactFiles
from tfx_pedigree.mlmd.history import Artifact, Event, Execution, History

# What an artifact that is one thing has instead of the name of a split.
WHOLE = ""

Nodes = Mapping[str, Node]


class Identities:
    """Remembers every artifact that it was asked for, so that one that was told of in another piece stays itself."""

    def __init__(self, store: str, files: ArtifactFiles) -> None:
        self._store = store
        self._files = files
        self._nodes: dict[int, Nodes] = {}
        # version.json by the id of the ModelVersion artifact.
        self.records: dict[int, Mapping[str, Any]] = {}
        self.recorded: set[str] = set()
        # Digests by model and number: version.json names its predecessor so.
        self.numbers: dict[tuple[str, str], str] = {}

    def learn(self, history: History) -> None:
        """What Pedigree's Versioner said of the artifacts that it was given. To be told before they are asked for."""
        by_execution = events_by_execution(history.events)
        for execution in history.executions.values():
            if vocabulary.is_versioner(execution.component):
                self._learn(execution, by_execution.get(execution.id, ()), history.artifacts)

    def of(self, artifact: Artifact) -> Nodes:
        """By split, or under WHOLE. None for a champion that is absent, and for Pedigree's own notes of lineage."""
        if artifact.id not in self._nodes:
            self._nodes[artifact.id] = self._made(artifact)
        return self._nodes[artifact.id]

    def settle(self, artifact: int, node: Node) -> None:
        """What an artifact is that is known by what it was made of."""
        self._nodes[artifact] = {WHOLE: node}

    def is_settled(self, artifact: int) -> bool:
        return artifact in self._nodes

    def foreign(self, artifact: Artifact, **facts: str | None) -> Node:
        node = node_factory.artifact_node(
            artifact.type, store=self._store, id=artifact.id, uri=artifact.uri or None, name=artifact.name or None
        )
        return with_facts(node, **facts)

    def origins(self, artifact: Artifact) -> Iterator[tuple[Node, Edge]]:
        """Rows that Pedigree knows by their fingerprint came from files that ExampleGen knew by its own: models from
        before Pedigree are linked to these."""
        if artifact.type != vocabulary.EXAMPLES:
            return
        for split, node in self.of(artifact).items():
            told = _input_data(artifact, split) if "fingerprint" in node.content else None
            if told is not None:
                yield told, Edge(node.key, EdgeKind.DERIVED_FROM, told.key)

    def _learn(self, execution: Execution, events: Iterable[Event], artifacts: Mapping[int, Artifact]) -> None:
        inputs: dict[str, list[Artifact]] = {}
        output: Artifact | None = None
        for event in sorted(events):
            artifact = artifacts.get(event.artifact)
            if artifact is None:
                continue
            if not event.is_output:
                inputs.setdefault(event.key, []).append(artifact)
            elif artifact.type == vocabulary.MODEL_VERSION:
                output = artifact
        if output is None:
            return
        version = _version(output)
        if version is None:
            return
        for artifact in (output, *inputs.get("model", ())):
            self._nodes[artifact.id] = {WHOLE: version}
        model, digest = version.content["model"], version.content["digest"]
        if number := output.text("version"):
            self.numbers[model, number] = digest
        record = self._files.version_record(output.uri, model, digest)
        if record is not None:
            self.records[output.id] = record
            self.recorded.add(digest)
            self._learn_data(record.get("data") or {}, inputs)

    def _learn_data(self, data: Mapping[str, Any], inputs: Mapping[str, list[Artifact]]) -> None:
        told, given = data.get("examples") or [], inputs.get("examples") or []
        if len(told) == len(given):
            for artifact, examples in zip(given, told, strict=True):
                self._nodes[artifact.id] = dict(_examples(artifact, examples))
        for key, name, make in (
            ("schema", "schema", node_factory.schema_node),
            ("transform_graph", "transform", node_factory.transform_node),
        ):
            found = data.get(name) or {}
            if found.get("digest") and len(inputs.get(key) or ()) == 1:
                artifact = inputs[key][0]
                node = make(found["digest"], structure=found.get("structure"), uri=artifact.uri or None)
                self._nodes[artifact.id] = {WHOLE: node}

    def _made(self, artifact: Artifact) -> Nodes:
        if artifact.type in vocabulary.UNTOLD or artifact.text("absent") == "1":
            return {}
        if artifact.type == vocabulary.EXAMPLES:
            return {split: self._data(artifact, split) for split in splits_of(artifact)}
        if artifact.type in (vocabulary.MODEL, vocabulary.MODEL_VERSION):
            return {WHOLE: _version(artifact) or self._model(artifact)}
        if artifact.type in (vocabulary.SCHEMA, vocabulary.TRANSFORM):
            digest = self._files.digest_of(artifact.uri)
            make = node_factory.schema_node if artifact.type == vocabulary.SCHEMA else node_factory.transform_node
            return {WHOLE: make(digest, uri=artifact.uri) if digest else self.foreign(artifact)}
        return {WHOLE: self.foreign(artifact, blessed=_yes_or_no(artifact.text("blessed")))}

    def _data(self, artifact: Artifact, split: str) -> Node:
        if told := _input_data(artifact, split):
            return told
        place = _place(artifact, split)
        if place is None:
            return self.foreign(artifact)
        return node_factory.data_node(uri=place, split=split or None, span=artifact.text("span"))

    def _model(self, artifact: Artifact) -> Node:
        digest = self._files.digest_of_model(artifact.uri)
        if digest is None:
            return self.foreign(artifact)
        version = self._files.version_of(digest)
        if version is not None:
            return node_factory.version_node(version[0], digest, version=version[1])
        return node_factory.artifact_node(artifact.type, digest=digest, id=artifact.id, uri=artifact.uri or None)


def events_by_execution(events: Iterable[Event]) -> dict[int, list[Event]]:
    found: dict[int, list[Event]] = {}
    for event in events:
        found.setdefault(event.execution, []).append(event)
    return found


def with_facts(node: Node, **facts: str | Iterable[str] | None) -> Node:
    """The same node, of which more was seen."""
    more = {
        name: ((value,) if isinstance(value, str) else tuple(sorted(set(value))))
        for name, value in facts.items()
        if value
    }
    if not more:
        return node
    seen = replace(node, facts={**node.facts, **more})
    seen.__dict__["key"] = node.key  # what was seen of a node is no part of it
    return seen


def splits_of(artifact: Artifact) -> tuple[str, ...]:
    """The artifact as a whole, where it names no splits."""
    return names_in(artifact.properties.get("split_names")) or (WHOLE,)


def names_in(told: Any) -> tuple[str, ...]:
    """A list, or its JSON, as TFX writes lists of splits."""
    if isinstance(told, str):
        try:
            told = parse_json(told, "The property")
        except InvalidInputError:
            return ()
    return tuple(str(one) for one in told) if isinstance(told, list) else ()


def _version(artifact: Artifact) -> Node | None:
    model, digest = artifact.text("model"), artifact.text("digest")
    return node_factory.version_node(model, digest, version=artifact.text("version")) if model and digest else None


def _examples(artifact: Artifact, told: Mapping[str, Any]) -> Iterator[tuple[str, Node]]:
    for split, known in (told.get("splits") or {}).items():
        identity = {
            "fingerprint": known.get("fingerprint"),
            "input_fingerprint": told.get("input_fingerprint") or artifact.text("input_fingerprint"),
            "uri": _place(artifact, split),
        }
        if any(identity.values()):
            seen = {"rows": known.get("rows"), "bytes": known.get("bytes")}
            yield split, node_factory.data_node(**identity, split=split, span=told.get("span"), **seen)


def _input_data(artifact: Artifact, split: str) -> Node | None:
    """By what ExampleGen read."""
    told = artifact.text("input_fingerprint")
    if told is None:
        return None
    return node_factory.data_node(
        input_fingerprint=told, split=split or None, span=artifact.text("span"), uri=_place(artifact, split)
    )


def _place(artifact: Artifact, split: str) -> str | None:
    """As TFX lays splits out."""
    return f"{artifact.uri}/Split-{split}" if split and artifact.uri else artifact.uri or None


def _yes_or_no(number: str | None) -> str | None:
    return {"1": "yes", "0": "no"}.get(number or "")
