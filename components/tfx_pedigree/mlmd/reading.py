"""Reading a store, in batches and by ids: the few questions to MLMD that exist alike on 1.16 and 1.21.

A database server that stops answering would hold MLMD's client, and with it the whole process, for ever: there the
client runs in a process of its own (client_process.py), which is ended when it takes too long.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any, Protocol

import grpc
from ml_metadata import errors as mlmd_errors
from ml_metadata.metadata_store import metadata_store

from tfx_pedigree.digest import canonical_json, digest_of
from tfx_pedigree.errors import InvalidInputError, UnavailableError
from tfx_pedigree.mlmd import history
from tfx_pedigree.mlmd.client_process import ClientProcess
from tfx_pedigree.mlmd.history import Artifact, Event, Execution
from tfx_pedigree.mlmd.questions import ask
from tfx_pedigree.mlmd.source import Source, source_of
from tfx_pedigree.secrets import masked

# Ids in one question.
BATCH = 400
# A store that answers nothing for so long counts as gone.
ANSWER_SECONDS = 120.0
_WRONG_VERSION = re.compile(r"MLMD database version (\d+) is (older|greater) than library version (\d+)")


class Connection(Protocol):
    """`call` gives MLMD's messages; it raises what `failure` can tell."""

    def call(self, question: str, *arguments: Any) -> Sequence[Any]: ...

    def close(self) -> None: ...


class Reader:
    """An open store. Every method raises UnavailableError when the store is gone."""

    def __init__(self, connection: Connection, shown: str) -> None:
        self._connection = connection
        self.shown = shown
        self._identity: str | None = None

    def __enter__(self) -> Reader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()

    @property
    def identity(self) -> str:
        """What tells this store from others, wherever its database is copied or moved to: its first execution, which
        stays the first. Of a store without executions, its first artifact."""
        if self._identity is None:
            first = self._call("first_execution") or self._call("first_artifact")
            told = [[one.id, one.type, one.name, str(one.create_time_since_epoch)] for one in first]
            self._identity = digest_of(canonical_json(told)).removeprefix("sha256:")[:32]
        return self._identity

    def artifacts(self, ids: Iterable[int]) -> list[Artifact]:
        return [history.artifact_of(one) for one in self._batched("artifacts", ids)]

    def executions(self, ids: Iterable[int]) -> list[Execution]:
        return [history.execution_of(one) for one in self._batched("executions", ids)]

    def events_of_artifacts(self, ids: Iterable[int]) -> list[Event]:
        return history.events_of(self._batched("events_of_artifacts", ids))

    def events_of_executions(self, ids: Iterable[int]) -> list[Event]:
        return history.events_of(self._batched("events_of_executions", ids))

    def artifacts_of_type(self, type_name: str) -> list[Artifact]:
        return [history.artifact_of(one) for one in self._call("artifacts_of_type", type_name)]

    def contexts_of_type(self, type_name: str) -> list[Any]:
        return list(self._call("contexts_of_type", type_name))

    def contexts_of_execution(self, execution: int) -> list[Any]:
        return list(self._call("contexts_of_execution", execution))

    def executions_of_context(self, context: int) -> list[Execution]:
        return [history.execution_of(one) for one in self._call("executions_of_context", context)]

    def members_of_context(self, context: int) -> list[int]:
        """Only the ids of its executions, of which a pipeline has very many."""
        return [one.id for one in self._call("executions_of_context", context)]

    def last_execution(self) -> int:
        return max((one.id for one in self._call("last_execution")), default=0)

    def last_artifact(self) -> int:
        return max((one.id for one in self._call("last_artifact")), default=0)

    def _batched(self, question: str, ids: Iterable[int]) -> Iterable[Any]:
        wanted = sorted(set(ids))
        for start in range(0, len(wanted), BATCH):
            yield from self._call(question, wanted[start : start + BATCH])

    def _call(self, question: str, *arguments: Any) -> Sequence[Any]:
        try:
            return self._connection.call(question, *arguments)
        except (RuntimeError, mlmd_errors.StatusError, grpc.RpcError) as error:
            raise _refusal(error, self.shown) from None


class Direct:
    """MLMD's client in this process: files, which answer or fail, and gRPC, which has a time limit of its own."""

    def __init__(self, config: Any) -> None:
        self._store = metadata_store.MetadataStore(config)

    def call(self, question: str, *arguments: Any) -> Sequence[Any]:
        return ask(self._store, question, *arguments)

    def close(self) -> None:
        """MLMD's client lets go of its connection when nobody holds it."""
        self.__dict__.pop("_store", None)


def connect(source: Source | Any, *, seconds: float = ANSWER_SECONDS) -> Reader:
    """Opens a store that is there, for reading. `seconds` is how long an answer may take."""
    found = source if isinstance(source, Source) else source_of(source)
    found.check()
    try:
        connection: Connection = ClientProcess(found.config, seconds) if found.is_server else Direct(found.config)
        reader = Reader(connection, found.shown)
    except (RuntimeError, mlmd_errors.StatusError, grpc.RpcError) as error:
        raise _refusal(error, found.shown) from None
    try:
        reader.last_execution()
    except BaseException:
        reader.close()
        raise
    return reader


def _refusal(error: Exception, shown: str) -> InvalidInputError | UnavailableError:
    text = masked(" ".join(str(error).split())).rstrip(".?! ")
    if wrong := _WRONG_VERSION.search(text):
        theirs, word, ours = wrong.groups()
        step = (
            "Upgrade it with the ml-metadata that writes it, or read it with an older one"
            if word == "older"
            else "Install the ml-metadata that wrote it"
        )
        return InvalidInputError(
            f"The ML Metadata store {shown} has schema version {theirs}, but the ml-metadata installed here reads "
            f"version {ours}. {step}. Nothing was changed."
        )
    return UnavailableError(f"The ML Metadata store {shown} does not answer: {text or type(error).__name__}.")
