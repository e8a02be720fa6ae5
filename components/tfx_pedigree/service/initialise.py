"""A registry and its store, made where there are none, or brought up to date."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tfx_pedigree.errors import ConflictError, InvalidInputError, NotFoundError, UnavailableError
from tfx_pedigree.json_form import JsonForm
from tfx_pedigree.registry import Registry
from tfx_pedigree.secrets import masked
from tfx_pedigree.settings import is_server


@dataclass(frozen=True)
class Initialised(JsonForm):
    changed: bool
    registry: str
    store: str
    actor: str


def initialise(address: str, **opening: Any) -> Initialised:
    """`opening` is what `Registry.open` takes. A registry and a store that are there and up to date are not changed."""
    if is_server(address):
        raise InvalidInputError(
            f"{masked(address)} is a server, whose registry is there already. A registry is made, or brought up to "
            "date, where the server runs."
        )
    try:
        return _of(Registry.open(address, **opening), changed=False)
    except (NotFoundError, ConflictError):  # an older schema is led to ours; with a newer one `create` refuses as well
        pass
    try:
        return _of(Registry.create(address, **opening), changed=True)
    except OSError as error:
        raise UnavailableError(
            f"The registry cannot be created: {error.filename or address}: {error.strerror}. Nothing was changed. "
            "Choose another place with --registry, or correct its permissions."
        ) from error


def _of(registry: Registry, *, changed: bool) -> Initialised:
    """Looks at the store as well."""
    with registry:
        return Initialised(changed, registry.url, registry.store.url, registry.actor)
