"""From the artifacts of a run to the lineage graph, and to a file with what was recorded."""

from __future__ import annotations

from enum import Enum
from functools import partial
from typing import Any

from absl import logging
from tfx.dsl.components.base import base_executor

from tfx_pedigree.secrets import clean_text
from tfx_pedigree.service.runs.lineage import RunLineage, record_run
from tfx_pedigree.service.runs.mlmd_lookup import ArtifactPlace
from tfx_pedigree.tfx_components import artifacts, files, parameters
from tfx_pedigree.tfx_components.lineage_recorder import gathering

ON_FAILURE = "on_failure"

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


class OnFailure(str, Enum):
    """What becomes of the pipeline where lineage cannot be recorded."""

    CONTINUE = "continue"
    FAIL = "fail"


class Executor(base_executor.BaseExecutor):  # type: ignore[misc]
    def Do(  # noqa: N802  TFX's name
        self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]
    ) -> None:
        output = artifacts.single(output_dict, "lineage")
        policy = parameters.choice(OnFailure, exec_properties, ON_FAILURE, OnFailure.CONTINUE)
        observed = gathering.gather(input_dict, exec_properties, parameters.run_of(exec_properties, self._context))
        given = [ArtifactPlace(one.type_name, one.uri, one.id) for found in input_dict.values() for one in found]
        open_workspace = partial(parameters.open_workspace, exec_properties)
        result = record_run(open_workspace, observed, parameters.text(exec_properties, parameters.MLMD), given)
        if new := result.recorded:
            logging.info("%s: %d nodes and %d edges are new.", observed.reference, new.nodes, new.edges)
        files.write_json(output.uri, artifacts.LINEAGE_FILE, result.document())
        artifacts.set_properties(output, **_properties(result))
        if result.problem is not None:
            if policy is OnFailure.FAIL:
                raise result.problem
            logging.error("%s The pipeline goes on (on_failure is %s).", result.problem, policy.value)


def _properties(result: RunLineage) -> dict[str, str | int | None]:
    record, problem = result.run.record, result.problem
    return {
        artifacts.MODEL: record["model"],
        artifacts.VERSION: record["version"],
        artifacts.DIGEST: record["digest"],
        VERSION_NODE: result.run.version_key,
        NODES: len(result.fragment.nodes),
        EDGES: len(result.fragment.edges),
        RECORDED: int(result.recorded is not None),
        COMPLETE: int(problem is None),
        PROBLEM: clean_text(str(problem))[:_LONGEST] if problem else None,
    }
