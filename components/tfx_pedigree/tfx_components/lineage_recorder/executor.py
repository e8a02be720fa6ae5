"""From the artifacts of a run to the lineage graph, and to a file with what was recorded."""

from __future__ import annotations

import dataclasses
from typing import Any

from absl import logging
from tfx.dsl.components.base import base_executor

from tfx_pedigree.errors import PedigreeError
from tfx_pedigree.lineage.graph import Fragment
from tfx_pedigree.lineage.secrets import clean_text
from tfx_pedigree.tfx_components import artifacts, files, parameters
from tfx_pedigree.tfx_components.lineage_recorder import gathering, recording
from tfx_pedigree.tfx_components.lineage_recorder.mlmd_lookup import look_up
from tfx_pedigree.tfx_components.lineage_recorder.policy import OnFailure, on_failure_of
from tfx_pedigree.tfx_components.lineage_recorder.recording import Gathered

LINEAGE_KEY = "lineage"

ON_FAILURE = "on_failure"
MLMD = "mlmd"

# Of the LineageRecord: whether the graph has it, and whether all was read that was to be read.
VERSION_NODE = "version_node"
NODES = "nodes"
EDGES = "edges"
RECORDED = "recorded"
COMPLETE = "complete"
PROBLEM = "problem"

# As long as MLMD's and Kubeflow's pages show a property.
_LONGEST = 512

Artifacts = dict[str, list[Any]]


class Executor(base_executor.BaseExecutor):  # type: ignore[misc]
    def Do(  # noqa: N802  TFX's name
        self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]
    ) -> None:
        output = artifacts.single(output_dict, LINEAGE_KEY)
        policy = on_failure_of(parameters.text(exec_properties, ON_FAILURE, OnFailure.CONTINUE.value))
        gathered = gathering.gather(input_dict, exec_properties, gathering.run_of(exec_properties, self._context))
        given = [one for key in input_dict for one in input_dict[key]]
        books = look_up(parameters.text(exec_properties, MLMD), given, gathered.run_node)
        gathered = dataclasses.replace(gathered, run=books.marked(gathered.run))
        problem = books.problem
        try:
            with parameters.open_registry(exec_properties) as registry:
                fragment, recorded = recording.record(registry, gathered, books.fragment)
            logging.info("%s: %d nodes and %d edges are new.", gathered.reference, recorded.nodes, recorded.edges)
        except PedigreeError as error:
            problem = recording.explained(error, gathered)
            fragment, recorded = gathered.without_registry(books.fragment), None
        _write(output, gathered, fragment, recorded is not None, problem)
        if problem is not None:
            if policy is OnFailure.FAIL:
                raise problem
            logging.error("%s The pipeline goes on (on_failure is %s).", problem, policy.value)


def _write(output: Any, gathered: Gathered, fragment: Fragment, recorded: bool, problem: PedigreeError | None) -> None:
    files.write_json(output.uri, artifacts.LINEAGE_FILE, recording.written(gathered, fragment))
    properties: dict[str, str | int | None] = {
        artifacts.MODEL: gathered.record["model"],
        artifacts.VERSION: gathered.record["version"],
        artifacts.DIGEST: gathered.record["digest"],
        VERSION_NODE: gathered.version_key,
        NODES: len(fragment.nodes),
        EDGES: len(fragment.edges),
        RECORDED: int(recorded),
        COMPLETE: int(problem is None),
        PROBLEM: clean_text(str(problem))[:_LONGEST] if problem else None,
    }
    artifacts.set_properties(output, **properties)
