"""The run that an address means: read it, and tell it which version came of it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from tfx_pedigree.errors import InvalidInputError, PedigreeError, UnavailableError
from tfx_pedigree.integrations.trackers import event_files, mlflow_run, wandb_folder
from tfx_pedigree.integrations.trackers.version_events import write_version
from tfx_pedigree.registry import Version
from tfx_pedigree.secrets import masked, without_password
from tfx_pedigree.service.versions.tracked_run import TrackedRun
from tfx_pedigree.settings import is_server
from tfx_pedigree.text import plain

TRACKERS = (mlflow_run.TRACKER, wandb_folder.TRACKER, event_files.TRACKER)


@dataclass(frozen=True)
class RunAddress:
    """`tracker` is one of TRACKERS, `rest` what it means there."""

    tracker: str
    rest: str

    @classmethod
    def parse(cls, text: str) -> RunAddress:
        tracker, colon, rest = text.strip().partition(":")
        if not colon or tracker not in TRACKERS or not rest:
            raise InvalidInputError(
                f"{plain(masked(text))!r} names no run. Write mlflow:ID, wandb:FOLDER or tensorboard:LOGDIR."
            )
        return cls(tracker, rest)

    def __str__(self) -> str:
        return f"{self.tracker}:{plain(masked(self.rest), 200)}"

    def read(self, environ: Mapping[str, str] = os.environ) -> TrackedRun:
        if self.tracker == mlflow_run.TRACKER:
            return mlflow_run.MlflowRun.of(self.rest, environ).read()
        read = wandb_folder.read_folder if self.tracker == wandb_folder.TRACKER else event_files.read_logdir
        try:
            return read(self._folder)
        except OSError as error:
            raise UnavailableError(f"{self} cannot be read: {error.strerror or error}.") from error

    def tell(self, version: Version, address: str, environ: Mapping[str, str] = os.environ) -> None:
        """Writes the version's name and address to the run. A folder of W&B is only read: it has no place for them."""
        if self.tracker == event_files.TRACKER:
            write_version(self._folder, version, address)
        elif self.tracker == mlflow_run.TRACKER:
            mlflow_run.MlflowRun.of(self.rest, environ).mark(tags_for(version, address))

    @property
    def _folder(self) -> Path:
        if "\0" in self.rest or "://" in self.rest:
            raise InvalidInputError(f"{self}: give a folder of this computer. Copy the run's folder here first.")
        return Path(self.rest).expanduser()


def tell_run(run: RunAddress, version: Version, registry: str, environ: Mapping[str, str] = os.environ) -> str:
    """Writes the version to its run. What keeps it from that is said, and nothing else comes of it."""
    try:
        run.tell(version, page_of(version, registry), environ)
    except PedigreeError as error:
        return f"{run} was not told that it became {version.name}: {error}"
    return ""


def tags_for(version: Version, address: str) -> dict[str, str]:
    """What a run says of the version that came of it."""
    return {
        "pedigree.version": f"{version.model}@{version.version}",
        "pedigree.digest": version.digest,
        "pedigree.url": address,
    }


def page_of(version: Version, registry: str) -> str:
    """Where a version is to be seen: its page, if the registry is on a server, else the registry's own address."""
    if is_server(registry):
        return (
            f"{registry.rstrip('/')}/models/{quote(version.model, safe='')}/versions/{quote(version.version, safe='')}"
        )
    return without_password(registry)
