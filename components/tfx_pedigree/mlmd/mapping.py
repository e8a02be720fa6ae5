"""A piece of a store in the terms of the graph: what a run's executions did becomes edges between what they handled.

Executions of one run are folded into one run node; one that belongs to no run has a node of its own. Pure, but for
files that still lie where the store says (artifact_files.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from tfx_pedigree.lineage import node_factory, run_graph
from tfx_pedigree.lineage.graph import Edge, EdgeKind, Fragment, Node, NodeKind
from tfx_pedigree.mlmd import execution_settings, vocabulary
from tfx_pedigree.mlmd.artifact_files import ArtifactFiles
from tfx_pedigree.mlmd.history import Artifact, Execution, History, RecordedRun, moment
from tfx_pedigree.mlmd.identities import (
    WHOLE,
    Identities,
    events_by_execution,
    names_in,
    splits_of,
    with_facts,
)

_DEFAULT_TRAINED, _DEFAULT_EVALUATED = ("train",), ("eval",)
# The states of an execution that are worth a fact of the run, which names its component.
_TOLD_STATES = {"FAILED": "failed", "CACHED": "cached", "RUNNING": "running", "NEW": "running", "CANCELED": "canceled"}


@dataclass(frozen=True)
class MappedExecution:
    """An execution with what it was given and what it left."""

    execution: Execution
    inputs: tuple[tuple[str, Artifact], ...]
    outputs: tuple[Artifact, ...]

    def trained(self, artifact: Artifact) -> tuple[str, ...]:
        return _chosen(
            splits_of(artifact), execution_settings.split_names(self.execution, "train_args") or _DEFAULT_TRAINED
        )

    def evaluated(self, artifact: Artifact) -> tuple[str, ...]:
        told = names_in(self.execution.properties.get("example_splits"))
        return _chosen(splits_of(artifact), told or _DEFAULT_EVALUATED)


class Mapper:
    """Gives fragments. `store` is `Reader.identity`; `runs` are nodes of runs that are going on, by the names that
    their runners give them.

    Pieces may be given in any order where `learn` has heard of every Versioner before.
    """

    def __init__(
        self,
        store: str,
        *,
        files: ArtifactFiles | None = None,
        runs: Mapping[str, Node] | None = None,
    ) -> None:
        self._store = store
        self._files = files or ArtifactFiles()
        self._ids = Identities(store, self._files)
        self._known_runs = dict(runs or {})
        self._settings = execution_settings.ExecutionSettings()
        # Artifacts that came out of an execution that had them as an input.
        self.loops: set[int] = set()

    def learn(self, history: History) -> None:
        self._ids.learn(history)

    def fragment(self, history: History) -> Fragment:
        self.learn(history)
        steps = _steps(history)
        self._settle(steps.values(), history)
        versions = _versions_by_run(steps.values(), history)
        told = _Told()
        for artifact in history.artifacts.values():
            told.add(self._ids.of(artifact).values())
        for run, members in _by_run(steps.values(), history).items():
            if run is None:
                for step in members:
                    self._alone(told, step)
            else:
                self._together(told, run, members, versions.get(run, ()))
        return node_factory.joined(told.nodes.values(), told.edges)

    # What is known by what made it

    def _settle(self, steps: Iterable[MappedExecution], history: History) -> None:
        """In the order of the executions: an evaluation is needed by what rests on it."""
        order = (vocabulary.EVALUATION, vocabulary.COMPARISON, vocabulary.PUSHED_MODEL)
        for type_name in order:
            for step in steps:
                for artifact in step.outputs:
                    if artifact.type == type_name and not self._ids.is_settled(artifact.id):
                        self._ids.settle(artifact.id, self._derived(step, artifact))

    def _derived(self, step: MappedExecution, artifact: Artifact) -> Node:
        model = self._version(step, rival=False)
        if artifact.type == vocabulary.EVALUATION:
            return self._evaluation(step, artifact, model)
        if artifact.type == vocabulary.COMPARISON:
            found = self._files.comparison(artifact.uri)
            if found is None:
                return self._ids.foreign(artifact, verdict=artifact.text("verdict"))
            return node_factory.comparison_node(found.digest, verdict=artifact.text("verdict"))
        destination = artifact.text("pushed_destination")
        if model is None or not destination or artifact.text("pushed") != "1":
            return self._ids.foreign(artifact, destination=destination, pushed=artifact.text("pushed"))
        return node_factory.deployment_node(
            model.content["model"],
            model.content["digest"],
            destination,
            version=artifact.text("version") or model.fact("version"),
            pushed_version=artifact.text("pushed_version"),
            outcome=artifact.text("outcome"),
        )

    def _evaluation(self, step: MappedExecution, artifact: Artifact, model: Node | None) -> Node:
        rival = self._version(step, rival=True)
        if model is None or (rival is None and self._has_rival(step)):
            return self._ids.foreign(artifact)
        return node_factory.evaluation_node(
            of=model.content["digest"],
            data=[node.key for _, one in step.inputs for node in self._splits(one, step.evaluated(one))],
            champion=rival.content["digest"] if rival else None,
        )

    def _has_rival(self, step: MappedExecution) -> bool:
        return any(
            artifact.type == vocabulary.MODEL and self._ids.of(artifact)
            for key, artifact in step.inputs
            if key in vocabulary.RIVALS
        )

    def _version(self, step: MappedExecution, *, rival: bool) -> Node | None:
        nodes = (
            self._ids.of(artifact).get(WHOLE)
            for key, artifact in step.inputs
            if artifact.type in vocabulary.MODELS and (key in vocabulary.RIVALS) is rival
        )
        return next((node for node in nodes if node is not None and node.kind is NodeKind.VERSION), None)

    # Executions

    def _alone(self, told: _Told, step: MappedExecution) -> None:
        execution = step.execution
        name = execution.name or None
        node = node_factory.execution_node(execution.type, store=self._store, id=execution.id, name=name)
        node = with_facts(node, state=execution.state.lower(), began=_iso(execution.created))
        told.add([node])
        for key, artifact in step.inputs:
            kind = EdgeKind.COMPARED_WITH if key in vocabulary.RIVALS else EdgeKind.USED
            told.link(node, kind, self._ids.of(artifact).values())
        given = {artifact.id for _, artifact in step.inputs}
        self.loops |= {artifact.id for artifact in step.outputs} & given
        for artifact in step.outputs:
            if artifact.id not in given:
                for one in self._ids.of(artifact).values():
                    told.link(one, EdgeKind.PRODUCED_BY, [node])
        self._configured(told, step, node)
        self._dataflow(told, step, generic=False)

    def _together(
        self, told: _Told, run: RecordedRun, steps: list[MappedExecution], versions: Iterable[Artifact]
    ) -> None:
        node = self._run_node(told, run, steps, versions)
        told.run = node
        told.add([node])
        for step in steps:
            self._dataflow(told, step, generic=True)
            self._configured(told, step, node)
        self._ends(told, node, steps)
        told.run = None

    def _run_node(
        self, told: _Told, run: RecordedRun, steps: list[MappedExecution], versions: Iterable[Artifact]
    ) -> Node:
        """A run that made a version of which the record is there is the run that the recorder knows."""
        node = self._known_runs.get(run.name)
        recorded = self._recorded(run, steps, versions) if node is None else None
        if recorded is not None:
            told.add(recorded.nodes)
            told.edges.extend(recorded.edges)
            node = next(one for one in recorded.nodes if one.kind is NodeKind.RUN)
        node = node or node_factory.run_node(store=self._store, id=run.name, pipeline=run.pipeline)
        states: dict[str, list[str]] = {}
        for step in steps:
            if word := _TOLD_STATES.get(step.execution.state):
                states.setdefault(word, []).append(step.execution.component)
        releases = {artifact.text("tfx_version") or "" for step in steps for artifact in step.outputs} - {""}
        return with_facts(node, **states, began=_iso(run.created), tfx=releases)

    def _recorded(
        self, run: RecordedRun, steps: list[MappedExecution], versions: Iterable[Artifact]
    ) -> Fragment | None:
        """What the recorder would have told of the run's version, as far as its files are still there."""
        made = [one for one in versions if one.id in self._ids.records]
        if not made:
            return None
        record = self._ids.records[made[0].id]
        outputs = [one for step in steps for one in step.outputs if one.text("digest") == record["digest"]]
        compared = (self._files.comparison(one.uri) for one in outputs if one.type == vocabulary.COMPARISON)
        predecessor = self._ids.numbers.get((record["model"], str(record.get("predecessor"))))
        return run_graph.fragment_of(
            record,
            predecessor=predecessor,
            comparison=next((one for one in compared if one is not None), None),
            run=run_graph.PipelineRun(id=run.name, pipeline=run.pipeline),
        )

    def _dataflow(self, told: _Told, step: MappedExecution, *, generic: bool) -> None:
        for output in step.outputs:
            if not generic and output.type not in vocabulary.KNOWN:
                continue
            for source in self._ids.of(output).items():
                for key, given in step.inputs:
                    self._flow(told, step, (output, *source), key, given)
            self._beside(told, step, output)

    def _flow(
        self, told: _Told, step: MappedExecution, output: tuple[Artifact, str, Node], key: str, given: Artifact
    ) -> None:
        artifact, split, node = output
        if artifact.id == given.id:
            self.loops.add(artifact.id)
            return
        kind = vocabulary.relation(artifact.type, given.type, key)
        if kind is None or (kind is EdgeKind.DEPLOYS and artifact.text("pushed") != "1"):
            return
        told.link(node, kind, self._of_input(step, artifact, split, given))
        if kind is EdgeKind.TRAINED_ON and vocabulary.is_trainer(step.execution.component):
            told.trained.update(step.trained(given))

    def _of_input(self, step: MappedExecution, output: Artifact, split: str, given: Artifact) -> Iterable[Node]:
        """The nodes of an input that an output has to do with."""
        if given.type != vocabulary.EXAMPLES:
            return self._ids.of(given).values()
        if output.type == vocabulary.EXAMPLES:
            return self._splits(given, _chosen(splits_of(given), (split,)))
        if output.type in (*vocabulary.MODELS, vocabulary.TRANSFORM):
            return self._splits(given, step.trained(given))
        if output.type in vocabulary.JUDGEMENTS:
            return self._splits(given, step.evaluated(given))
        return self._ids.of(given).values()

    def _beside(self, told: _Told, step: MappedExecution, output: Artifact) -> None:
        """A blessing rests on the evaluation, or the comparison, that its own execution made."""
        if output.type not in vocabulary.BLESSINGS:
            return
        for other in step.outputs:
            if other.type in (vocabulary.EVALUATION, vocabulary.COMPARISON):
                for node in self._ids.of(output).values():
                    told.link(node, EdgeKind.RESTS_ON, self._ids.of(other).values())

    def _ends(self, told: _Told, run: Node, steps: list[MappedExecution]) -> None:
        """What a run produced, and what it brought in from outside. A champion is brought in to be compared with, and
        used where the training goes on from it."""
        made = {artifact.id for step in steps for artifact in step.outputs}
        trained = {artifact.id for step in steps if step.inputs for artifact in step.outputs}
        for step in steps:
            for artifact in step.outputs:
                for origin, edge in self._ids.origins(artifact):
                    told.add([origin])
                    told.edges.append(edge)
                if step.inputs or artifact.type in vocabulary.BLESSINGS:
                    for node in self._ids.of(artifact).values():
                        told.link(node, EdgeKind.PRODUCED_BY, [run])
                elif artifact.type in vocabulary.MODELS and artifact.text("digest"):
                    told.link(run, EdgeKind.COMPARED_WITH, self._ids.of(artifact).values())
                else:
                    told.link(run, EdgeKind.USED, self._brought(told, artifact))
            for key, artifact in step.inputs:
                if artifact.id not in made and artifact.type not in vocabulary.NOT_FROM_OUTSIDE:
                    told.link(run, EdgeKind.USED, self._brought(told, artifact))
                elif artifact.id not in made and key in vocabulary.RIVALS:
                    told.link(run, EdgeKind.COMPARED_WITH, self._ids.of(artifact).values())
                if key == vocabulary.BASE_MODEL and artifact.id not in trained:
                    told.link(run, EdgeKind.USED, self._ids.of(artifact).values())

    def _brought(self, told: _Told, artifact: Artifact) -> Iterable[Node]:
        """Of examples, what the run's models were trained on: the rest only judged them."""
        if artifact.type != vocabulary.EXAMPLES or not told.trained:
            return self._ids.of(artifact).values()
        return self._splits(artifact, _chosen(splits_of(artifact), tuple(told.trained)))

    def _configured(self, told: _Told, step: MappedExecution, user: Node) -> None:
        """Parameters belong to the run; a model has those of its Trainer, unless its record tells of better ones."""
        execution = step.execution
        settings = self._settings.of(execution)
        if settings is not None:
            told.link(user, EdgeKind.CONFIGURED_BY, [settings])
        for artifact in step.outputs:
            if artifact.type not in vocabulary.BUILT:
                continue
            for node in self._ids.of(artifact).values():
                told.link(node, EdgeKind.BUILT_BY, execution_settings.code_of(execution))
                unrecorded = artifact.type == vocabulary.MODEL and not self._is_recorded(node)
                if unrecorded and vocabulary.is_trainer(execution.component):
                    configured = [settings] if settings is not None else []
                    told.link(node, EdgeKind.CONFIGURED_BY, [*configured, *self._tuned(step)])

    def _tuned(self, step: MappedExecution) -> Iterator[Node]:
        """What a Tuner found for this training, where its file is still there."""
        for key, artifact in step.inputs:
            if key == vocabulary.TUNED and artifact.type == vocabulary.HYPERPARAMETERS:
                values = self._files.hyperparameters(artifact.uri)
                if values is not None:
                    yield execution_settings.tuned(values)

    def _is_recorded(self, node: Node) -> bool:
        return node.kind is NodeKind.VERSION and node.content["digest"] in self._ids.recorded

    def _splits(self, artifact: Artifact, names: Iterable[str]) -> list[Node]:
        nodes = self._ids.of(artifact)
        if artifact.type != vocabulary.EXAMPLES:
            return []
        return [nodes[name] for name in names if name in nodes]


@dataclass
class _Told:
    """What is being told: nodes and edges, which bear the run that is being told of."""

    # By the object, not by the key: most are told of again and again.
    nodes: dict[int, Node] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)
    run: Node | None = None
    # Names of splits that the run's Trainers learned from.
    trained: set[str] = field(default_factory=set)

    def add(self, nodes: Iterable[Node]) -> None:
        self.nodes.update((id(node), node) for node in nodes)

    def link(self, source: Node, kind: EdgeKind, targets: Iterable[Node]) -> None:
        """Nothing comes from itself: two artifacts may well be one thing."""
        run = self.run.key if self.run is not None else None
        self.nodes[id(source)] = source
        for target in targets:
            self.nodes[id(target)] = target
            if target.key != source.key:
                self.edges.append(Edge(source.key, kind, target.key, run))


def _steps(history: History) -> dict[int, MappedExecution]:
    """An event of an artifact that somebody deleted from the store tells nothing more."""
    events = events_by_execution(event for event in history.events if event.artifact in history.artifacts)
    return {
        number: MappedExecution(
            execution,
            tuple(
                (event.key, history.artifacts[event.artifact])
                for event in sorted(events.get(number, ()))
                if not event.is_output
            ),
            tuple(history.artifacts[event.artifact] for event in sorted(events.get(number, ())) if event.is_output),
        )
        for number, execution in sorted(history.executions.items())
    }


def _by_run(steps: Iterable[MappedExecution], history: History) -> dict[RecordedRun | None, list[MappedExecution]]:
    found: dict[RecordedRun | None, list[MappedExecution]] = {}
    for step in steps:
        if step.execution.id in history.told:
            found.setdefault(history.runs.get(step.execution.id), []).append(step)
    return found


def _versions_by_run(steps: Iterable[MappedExecution], history: History) -> dict[RecordedRun, list[Artifact]]:
    """Of all that is known of a run, told or not."""
    found: dict[RecordedRun, list[Artifact]] = {}
    for step in steps:
        run = history.runs.get(step.execution.id)
        if run is not None:
            found.setdefault(run, []).extend(one for one in step.outputs if one.type == vocabulary.MODEL_VERSION)
    return found


def _chosen(there: tuple[str, ...], wanted: tuple[str, ...]) -> tuple[str, ...]:
    """The wanted splits; all, where none of them is there."""
    return tuple(name for name in there if name in wanted) or there


def _iso(milliseconds: int) -> str | None:
    """None for no time, and for one that no calendar has: other tools write stores too."""
    try:
        return f"{moment(milliseconds):%Y-%m-%dT%H:%M:%SZ}" if milliseconds else None
    except (ValueError, OverflowError, OSError):
        return None
