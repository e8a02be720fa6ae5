"""The registries that use a store. Each leaves a mark before it adds bytes: nobody deletes what another needs."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tfx_pedigree.bounded_parse import parse_json
from tfx_pedigree.digest import canonical_json
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.store.backend import Backend
from tfx_pedigree.store.failures import shown

USERS = "users"
_NAME = re.compile(r"[0-9A-Za-z-]{1,64}")
_LARGEST = 4096


@dataclass(frozen=True)
class StoreUser:
    """`name` is the registry's own identity, `address` where it was when it left its mark."""

    name: str
    address: str


def mark_user(backend: Backend, user: StoreUser) -> None:
    if _NAME.fullmatch(user.name) is None:
        raise InvalidInputError(f"{user.name!r} is no name under which a registry can mark a store.")
    key = f"{USERS}/{user.name}"
    if backend.stat(key) is None:
        backend.write(key, canonical_json({"address": user.address}))


def users_of(backend: Backend) -> tuple[StoreUser, ...]:
    """By name. A mark that cannot be read counts all the same."""
    return tuple(sorted((_user(backend, stored.key) for stored in backend.files(USERS)), key=lambda user: user.name))


def _user(backend: Backend, key: str) -> StoreUser:
    try:
        address = parse_json(backend.read(key, _LARGEST) or b"", key)["address"]
    except (InvalidInputError, LookupError, TypeError):
        address = "an unknown address"
    return StoreUser(key.rpartition("/")[2], shown(str(address)))
