"""A connection to Vertex AI with Google's client, and its troubles in Pedigree's words.

Credentials are the application's default ones: the environment, a mounted file, or the machine's service account.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tfx_pedigree.errors import (
    ConflictError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    PedigreeError,
)
from tfx_pedigree.extras import not_installed
from tfx_pedigree.orchestration.services.service import UnansweredError

TIMEOUT = 60.0


@dataclass(frozen=True)
class Clients:
    pipelines: Any
    schedules: Any


def connect(where: str, endpoint: str) -> Clients:
    """Nothing is asked yet: the first call tells whether anybody answers."""
    try:
        found = importlib.util.find_spec("google.cloud.aiplatform_v1")
    except ModuleNotFoundError:
        found = None
    if found is None:
        raise not_installed("The Vertex AI client is", "vertex")
    from google.cloud import aiplatform_v1  # noqa: PLC0415  half a second

    with speaking(where):
        options = {"api_endpoint": endpoint}
        return Clients(
            aiplatform_v1.PipelineServiceClient(client_options=options),
            aiplatform_v1.ScheduleServiceClient(client_options=options),
        )


@contextlib.contextmanager
def speaking(where: str) -> Iterator[None]:
    """Around every call of the client: its exceptions leave as Pedigree's."""
    from google.api_core import exceptions as api  # noqa: PLC0415  with google-cloud-aiplatform
    from google.auth import exceptions as auth  # noqa: PLC0415

    try:
        yield
    except (auth.DefaultCredentialsError, auth.MalformedError, auth.InvalidValue) as error:
        raise InvalidInputError(
            f"There are no usable credentials for {where}: {_said(error)}. Run `gcloud auth application-default "
            "login`, or set GOOGLE_APPLICATION_CREDENTIALS to the file of a service account."
        ) from error
    except (auth.TransportError, OSError, concurrent.futures.TimeoutError) as error:
        raise _unanswered(where, error) from error
    except auth.GoogleAuthError as error:
        raise ForbiddenError(f"Google refuses the credentials for {where}: {_said(error)}.", "pipeline") from error
    except api.GoogleAPICallError as error:
        raise _refusal(where, error, api) from error


def _refusal(where: str, error: Any, api: Any) -> PedigreeError:
    said = _said(error)
    if isinstance(error, api.Unauthorized | api.Forbidden):
        return ForbiddenError(
            f"{where} refuses: {said}. Check the account's roles; docs/vertex.md lists what is needed.", "pipeline"
        )
    if isinstance(error, api.NotFound):
        return NotFoundError(f"{where} refuses: {said}. Check `target.project` and `target.location`.")
    if isinstance(error, api.AlreadyExists | api.Aborted | api.FailedPrecondition):
        return ConflictError(f"{where} refuses: {said}. Run the command again: it looks at what is there now.")
    if isinstance(error, api.TooManyRequests | api.ServerError | api.Cancelled):
        return _unanswered(where, error)
    return InvalidInputError(f"{where} refuses: {said}.")


def _unanswered(where: str, error: Any) -> UnansweredError:
    return UnansweredError(
        f"{where} does not answer: {_said(error)}. Check `target.location` and the network, then run the command again."
    )


def _said(error: Any) -> str:
    text = str(getattr(error, "message", None) or error)
    return " ".join(text.split()).rstrip(".")[:300]
