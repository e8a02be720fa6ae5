"""What a page's function is given, and what it answers: values, from which a template makes HTML and the twin JSON."""

from __future__ import annotations

import functools
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from starlette.requests import Request

from tfx_pedigree.json_form import JsonForm
from tfx_pedigree.registry import LEAST_ROLE, Action, Registry, Role
from tfx_pedigree.service.workspace import Workspace

PAGE = 25


@dataclass(frozen=True)
class Asked:
    """A request for a page by somebody."""

    request: Request
    registry: Registry

    @functools.cached_property
    def workspace(self) -> Workspace:
        return Workspace(self.registry)

    def path(self, name: str) -> str:
        """A part of the address."""
        return str(self.request.path_params[name])

    def query(self, name: str) -> str:
        return self.request.query_params.get(name, "").strip()

    def given(self, name: str) -> str | None:
        """None where it is not in the query, or empty."""
        return self.query(name) or None


@dataclass(frozen=True)
class View:
    """`page` is the twin; `command` are the words of the command that says the same. `extra` is for the template only,
    `at` the address that is to be passed on."""

    template: str
    title: str
    page: JsonForm
    command: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    status: int = 200
    section: str = "models"

    @property
    def command_text(self) -> str:
        return shlex.join(("pedigree", *self.command)) if self.command else ""


@dataclass(frozen=True)
class Moved:
    """The page is at another address; `found` says whether for good."""

    to: str


@dataclass(frozen=True)
class Offer:
    """Something that may be done, or the role that could do it."""

    name: str
    label: str
    href: str
    least: Role
    allowed: bool
    kind: str = ""


def offer(role: Role | None, action: Action, label: str, href: str, kind: str = "") -> Offer:
    least = LEAST_ROLE[action]
    return Offer(action.value, label, href, least, role is not None and role >= least, kind)


# Addresses. Everything that one would send to a colleague has one that stays.


def segment(text: str) -> str:
    return quote(text, safe="@:+~!$,=")


def of_model(model: str) -> str:
    return f"/models/{segment(model)}"


def of_version(model: str, version: str) -> str:
    return f"{of_model(model)}/versions/{segment(version)}"


def of_comparison(model: str, old: str, new: str) -> str:
    return f"{of_model(model)}/compare/{segment(old)}...{segment(new)}"


def of_rollout(model: str, number: int | None = None) -> str:
    """The newest one where no number is given."""
    return f"{of_model(model)}/rollout" if number is None else f"{of_model(model)}/rollouts/{number}"


def of_request(model: str, number: int) -> str:
    return f"{of_model(model)}/approvals/{number}"


def of_event(chain: str, position: int) -> str:
    return f"/events/{position}" if chain == "*" else f"{of_model(chain)}/events/{position}"


def of_lineage(node: str, **more: str | None) -> str:
    return f"/lineage?{urlencode({'of': node, **{key: one for key, one in more.items() if one}})}"


def with_query(path: str, values: Mapping[str, Any]) -> str:
    given = {key: one for key, one in values.items() if one not in (None, "")}
    return f"{path}?{urlencode(given)}" if given else path
