"""A role for somebody, with what whoever grants it should know."""

from __future__ import annotations

from dataclasses import dataclass

from tfx_pedigree.errors import NotFoundError
from tfx_pedigree.registry import EVERYWHERE, RegistryApi, Role, RoleChange


@dataclass(frozen=True)
class GrantedRole:
    """`warning` is empty unless there is no such model yet: it may be one to come, or a typo."""

    change: RoleChange
    warning: str


def grant_role(registry: RegistryApi, principal: str, role: Role, model: str | None = None) -> GrantedRole:
    """On one model, which need not exist yet, or on the whole registry."""
    change = registry.grant(principal, role, model or EVERYWHERE)
    try:
        if model is not None:
            registry.model(model)
    except NotFoundError as error:
        return GrantedRole(change, f"{error} The role counts as soon as there is one.")
    return GrantedRole(change, "")
