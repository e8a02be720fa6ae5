"""What a server of TensorFlow Serving's REST protocol says of a model: `GET /v1/models/NAME`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from urllib.parse import quote

from tfx_pedigree.errors import InvalidInputError, UnavailableError
from tfx_pedigree.rollout.traffic.asking import ask
from tfx_pedigree.text import plain

_MOST = 1000


class LoadState(str, Enum):
    START = "START"
    LOADING = "LOADING"
    AVAILABLE = "AVAILABLE"
    UNLOADING = "UNLOADING"
    END = "END"  # unloaded, or failed: the error tells which


@dataclass(frozen=True)
class LoadStatus:
    state: LoadState
    error: str | None = None


def load_states(address: str, model: str, label: str | None = None) -> Mapping[int, LoadStatus]:
    """By the version's number; empty where the server knows no such model or label."""
    suffix = f"/labels/{quote(label, safe='')}" if label else ""
    url = f"{address.rstrip('/')}/v1/models/{quote(model, safe='')}{suffix}"
    answer = ask(url)
    if answer.status in (400, 404):
        return {}
    if answer.status != 200:
        raise UnavailableError(f"{url} answers with the status {answer.status}.")
    try:
        return _states(answer.json(url))
    except (InvalidInputError, KeyError, TypeError, ValueError) as error:
        raise UnavailableError(
            f"{url} does not answer as TensorFlow Serving does. Is it the address of its REST port?"
        ) from error


def _states(found: object) -> dict[int, LoadStatus]:
    if not isinstance(found, dict) or not isinstance(found["model_version_status"], list):
        raise TypeError
    states = {}
    for row in found["model_version_status"][:_MOST]:
        status = row.get("status") or {}
        failed = status.get("error_code", "OK") != "OK"
        error = plain(str(status.get("error_message") or status.get("error_code")), 200) if failed else None
        states[int(row["version"])] = LoadStatus(LoadState(row["state"]), error)
    return states


def serving_number(states: Mapping[int, LoadStatus]) -> int | None:
    """Which version answers a request that names none: the highest that is available."""
    return max((number for number, one in states.items() if one.state is LoadState.AVAILABLE), default=None)
