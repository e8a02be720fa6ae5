"""The questions that are put to MLMD's client, by name: in this process, or in the child that holds the connection."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ml_metadata import errors
from ml_metadata.metadata_store import ListOptions, OrderByField


def ask(store: Any, question: str, *arguments: Any) -> Sequence[Any]:
    """Nothing is the answer where MLMD has nothing to say: to one of its questions it then raises an error."""
    try:
        found: Sequence[Any] = _QUESTIONS[question](store, *arguments)
    except errors.NotFoundError:
        return ()
    return found


def _end(*, first: bool) -> ListOptions:
    return ListOptions(limit=1, order_by=OrderByField.ID, is_asc=first)


_QUESTIONS: dict[str, Callable[..., Sequence[Any]]] = {
    "artifacts": lambda store, ids: store.get_artifacts_by_id(ids),
    "executions": lambda store, ids: store.get_executions_by_id(ids),
    "events_of_artifacts": lambda store, ids: store.get_events_by_artifact_ids(ids),
    "events_of_executions": lambda store, ids: store.get_events_by_execution_ids(ids),
    "artifacts_of_type": lambda store, name: store.get_artifacts_by_type(name),
    "contexts_of_type": lambda store, name: store.get_contexts_by_type(name),
    "contexts_of_execution": lambda store, number: store.get_contexts_by_execution(number),
    "executions_of_context": lambda store, number: store.get_executions_by_context(number),
    "first_execution": lambda store: store.get_executions(_end(first=True)),
    "first_artifact": lambda store: store.get_artifacts(_end(first=True)),
    "last_execution": lambda store: store.get_executions(_end(first=False)),
    "last_artifact": lambda store: store.get_artifacts(_end(first=False)),
}
