"""The run of a tracker behind a training. A tracker that cannot be reached never fails a pipeline: it is said once."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from absl import logging

from tfx_pedigree.errors import InvalidInputError, PedigreeError
from tfx_pedigree.integrations.trackers import RunAddress, tell_run
from tfx_pedigree.registry import Version
from tfx_pedigree.secrets import has_password
from tfx_pedigree.service.versions.tracked_run import TrackedRun
from tfx_pedigree.tfx_components import artifacts, files, parameters

FROM_RUN = "from_run"
MODEL_RUN = "model_run"
# In the Trainer's `model_run`: the address of the run, where the training makes one. Its id is known then only.
RUN_FILE = "pedigree_run"
_LONGEST = 4_096
_ID_PARTS = 3


@dataclass(frozen=True)
class Tracked:
    """`address` is None where the tracker has no place for the version: the artifact of another component."""

    run: TrackedRun
    address: RunAddress | None

    def tell(self, version: Version, registry: str) -> None:
        """The version has no metrics of its own yet."""
        if self.address is None:
            return
        told = tell_run(self.address, replace(version, metrics=self.run.metrics), registry)
        if told:
            logging.warning("%s", told)


def check_run(named: str) -> None:
    """When the pipeline is built: a slip is told before the training, and no password goes into a parameter."""
    RunAddress.parse(named)
    if has_password(named):
        raise InvalidInputError(
            "The parameter `from_run` holds a password, and parameters of a pipeline can be read by everybody who sees "
            "it. Leave it out and set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD for the executor."
        )


def read_tracked(inputs: Mapping[str, list[Any]], properties: Mapping[str, Any]) -> Tracked | None:
    """None where nobody named a run, and where it cannot be read."""
    named = parameters.text(properties, FROM_RUN)
    artifact = artifacts.optional_single(dict(inputs), MODEL_RUN)
    try:
        if artifact is not None:
            named = named or _named_in(artifact)
            if not named:
                return _logs_of(artifact)
        if not named:
            return None
        address = RunAddress.parse(named)
        found = Tracked(address.read(), address)
    except PedigreeError as error:
        logging.warning("The tracker's run is left out, and the version goes on without it: %s", error)
        return None
    for note in found.run.notes:
        logging.warning("Not taken from %s: %s", found.run.name, note)
    return found


def _named_in(artifact: Any) -> str:
    if RUN_FILE not in files.list_files(artifact.uri):
        return ""
    return files.read_text(artifact.uri, RUN_FILE)[:_LONGEST].strip()


def _logs_of(artifact: Any) -> Tracked:
    """The event files that a Trainer leaves in its `model_run`; named after where that lies."""
    with files.local_folder(artifact.uri) as folder:
        run = RunAddress("tensorboard", str(Path(folder))).read()
    name = posixpath.join(*artifact.uri.rstrip("/").split("/")[-_ID_PARTS:])
    return Tracked(replace(run, id=name, address=artifact.uri), None)
