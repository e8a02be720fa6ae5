"""What an execution was told: its parameters, and the code that it ran. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tfx_pedigree.bounded_parse import parse_json
from tfx_pedigree.digest import canonical_json, digest_of, plain_json
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.lineage import node_factory
from tfx_pedigree.lineage.graph import Node
from tfx_pedigree.mlmd import vocabulary
from tfx_pedigree.mlmd.history import Execution
from tfx_pedigree.mlmd.identities import names_in, with_facts
from tfx_pedigree.text import holds_zero

# What says where things are, who asks and which run it is; and what the data themselves say better.
_NO_PARAMETERS = frozenset(
    (
        *("asked", "run", "registry", "store", "actor", "library", "git", "module_path", "module_file"),
        *("input_base", "input_fingerprint", "span", "version", "mlmd"),
    )
)
# Components of Pedigree that are told where the registry is, and again what the record of a version says.
_SAY_NOTHING = ("ChampionProvider", "BestChampionProvider", "Versioner", "RegistryPusher", "LineageRecorder")
_CUSTOM_CONFIG = "custom_config"
# A longer text is known by its digest.
_LONGEST = 64 << 10
# TFX packs a user's modules into a wheel, whose version is the digest of their code: `name@…-0.0+digest-py3…whl`.
_WHEEL = re.compile(r"(?P<name>[\w.]+)@.*?-0\.0\+(?P<digest>[0-9a-f]{40,64})-")


class ExecutionSettings:
    """The parameters of executions as nodes. Most runs are told the same: each is made once."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, str], Node | None] = {}

    def of(self, execution: Execution) -> Node | None:
        """None for an execution that was told nothing."""
        key = execution.component, repr(sorted(execution.properties.items(), key=lambda item: item[0]))
        if key not in self._made:
            self._made[key] = _settings(execution)
        return self._made[key]


def tuned(values: Mapping[str, Any]) -> Node:
    """What a Tuner found best, as parameters of the model that was trained with it."""
    found = {str(name): _short(_without_zero(plain_json(value))) for name, value in values.items()}
    return node_factory.parameters_node(found, {})


def code_of(execution: Execution) -> list[Node]:
    """The user's modules, and the commit that Pedigree's Versioner was given."""
    found = []
    if match := _WHEEL.match(str(execution.properties.get("module_path") or "")):
        found.append(node_factory.module_node(match["name"], f"tfx-user-code:{match['digest']}"))
    state = _decoded(execution.properties.get("git"))
    if isinstance(state, Mapping) and isinstance(state.get("commit"), str):
        found.append(node_factory.code_node(state))
    return found


def split_names(execution: Execution, name: str) -> tuple[str, ...]:
    """The splits that `train_args` or `eval_args` name."""
    told = _decoded(execution.properties.get(name))
    return names_in(told.get("splits")) if isinstance(told, Mapping) else ()


def _settings(execution: Execution) -> Node | None:
    if execution.component in _SAY_NOTHING:
        return None
    given = {
        name: _short(_decoded(value)) for name, value in execution.properties.items() if name not in _NO_PARAMETERS
    }
    told = {name: value for name, value in given.items() if value not in (None, "", {}, [])}
    if not told:
        return None
    parameters: Mapping[str, Any] = told
    training: Mapping[str, Any] = {}
    if vocabulary.is_trainer(execution.component):
        own = told.pop(_CUSTOM_CONFIG, {})
        parameters, training = (own, told) if isinstance(own, Mapping) else ({_CUSTOM_CONFIG: own}, told)
    return with_facts(node_factory.parameters_node(parameters, training), component=execution.component)


def _decoded(value: Any) -> Any:
    """TFX writes structures as JSON."""
    if isinstance(value, str) and value[:1] in ("{", "[", "n"):
        try:
            value = parse_json(value, "The property", words=True)
        except InvalidInputError:
            return value
    return _without_zero(plain_json(value))


def _without_zero(value: Any) -> Any:
    """The character zero, which not every database can hold, becomes the one that stands for what is unreadable."""
    if not holds_zero(value):
        return value
    if isinstance(value, Mapping):
        return {_without_zero(key): _without_zero(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_without_zero(one) for one in value]
    return value.replace("\0", "\ufffd")


def _short(value: Any) -> Any:
    try:
        text = canonical_json(value)
    except (InvalidInputError, RecursionError, ValueError):
        return digest_of(repr(value).encode("utf-8", "replace"))
    return value if len(text) <= _LONGEST else digest_of(text)
