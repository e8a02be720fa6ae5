"""Where the registry and its store are, and who acts: an option, else the environment, else a file, else a default.

`load` reads a file only if one is named, or if `pedigree.toml` is in the working directory or above it. The default
registry is looked for in the same folders. An address may hold a password: `repr` and `to_json` never show it.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfx_pedigree.bounded_parse import compose_yaml, parse_toml, read_bounded
from tfx_pedigree.errors import InvalidInputError, NotFoundError
from tfx_pedigree.secrets import masked

KEYS = ("registry", "store", "actor")
ENVIRONMENT = {key: f"PEDIGREE_{key.upper()}" for key in KEYS}
CONFIG_VARIABLE = "PEDIGREE_CONFIG"
FILE_NAME = "pedigree.toml"
DEFAULT_REGISTRY = ".pedigree"
DEFAULT = "default"
SERVERS = ("https://", "http://")

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_RELATIVE_SQLITE = re.compile(r"(sqlite(?:\+\w+)?:///)(?![/:])([^?]+)(.*)")
_NEARLY_URL = re.compile(r"(sqlite|postgres|postgresql|mysql|s3|gs|gcs|https?)(\+\w+)?:(?!//)")


def is_server(address: str) -> bool:
    return address.lower().startswith(SERVERS)


@dataclass(frozen=True)
class Settings:
    """`store` is None where the registry says where its store is. `sources` says where each value comes from."""

    registry: str = field(repr=False)
    store: str | None = field(repr=False)
    actor: str
    sources: Mapping[str, str]
    file: Path | None = None

    @property
    def is_server(self) -> bool:
        return self.registry.lower().startswith(SERVERS)

    @property
    def actor_at_registry(self) -> str | None:
        """Who acts. At a server the token says that."""
        if not self.is_server:
            return self.actor
        if self.sources["actor"] != DEFAULT:
            raise InvalidInputError(
                f"{self.sources['actor']} names {self.actor!r} as actor, but the registry {self.shown('registry')} is "
                "a server: there, who acts is whom the token in PEDIGREE_TOKEN says. Leave the actor out."
            )
        return None

    def shown(self, key: str) -> str | None:
        """A value as it may be printed."""
        value: str | None = getattr(self, key)
        return None if value is None else masked(value)

    def to_json(self) -> dict[str, Any]:
        found = {key: {"value": self.shown(key), "source": self.sources[key]} for key in KEYS}
        if self.is_server and self.sources["actor"] == DEFAULT:
            found["actor"] = {"value": None, "source": "the token in PEDIGREE_TOKEN"}
        return found


@dataclass(frozen=True)
class _Entry:
    """A value in a file. `kind` is what stands there: text, section, or a word for what is neither."""

    key: str
    kind: str
    value: str
    line: int | None


def load(
    *,
    registry: str | None = None,
    store: str | None = None,
    actor: str | None = None,
    config: str | Path | None = None,
    environ: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Settings:
    """Arguments outrank everything; an empty environment variable counts as none."""
    environ = os.environ if environ is None else environ
    folder = Path.cwd() if folder is None else folder
    given = {"registry": registry, "store": store, "actor": actor}
    file = _config_file(config, environ, folder)
    values: dict[str, str] = {}
    sources: dict[str, str] = {}
    for key, found in (_from_file(file) if file else {}).items():
        values[key], sources[key] = _resolved(key, found.value, file.parent if file else folder), _place(file, found)
    for key, variable in ENVIRONMENT.items():
        if environ.get(variable):
            values[key], sources[key] = _resolved(key, environ[variable], folder), variable
    for key, value in given.items():
        if value is not None:
            values[key], sources[key] = _resolved(key, value, folder), f"--{key}"
    return Settings(
        registry=values.get("registry") or str(_default_registry(folder)),
        store=values.get("store"),
        actor=values.get("actor") or _user_name(),
        sources={"registry": DEFAULT, "store": "the registry", "actor": DEFAULT, **sources},
        file=file,
    )


def _resolved(key: str, value: str, folder: Path) -> str:
    """Addresses become absolute, so that they mean the same wherever they are used."""
    if not value.strip():
        raise InvalidInputError(f"The setting `{key}` is empty. Give it a value, or leave it out.")
    if _CONTROL.search(value):
        raise InvalidInputError(f"The setting `{key}` holds a control character, and so can be no address and no name.")
    if key == "actor":
        return value
    if "://" in value:
        relative = _RELATIVE_SQLITE.fullmatch(value)
        if relative is None:
            return value
        prefix, path, rest = relative.groups()
        return f"{prefix}{folder / Path(path).expanduser()}{rest}"
    if _NEARLY_URL.match(value) or re.search(r":[^/]*@", value):
        # Not echoed: what looks nearly like a URL may hold a password.
        raise InvalidInputError(
            f"The address of the {key} is neither a path nor a URL: after its scheme there must be '://', "
            "as in postgresql://user@host/name."
        )
    return str(folder / Path(value).expanduser())


def _user_name() -> str:
    import getpass  # noqa: PLC0415  only where nobody named an actor

    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container whose user has no name
        return f"uid-{os.getuid()}"


# Files


def _config_file(config: str | Path | None, environ: Mapping[str, str], folder: Path) -> Path | None:
    named, source = (config, "--config") if config else (environ.get(CONFIG_VARIABLE), CONFIG_VARIABLE)
    if named:
        path = folder / Path(named).expanduser()
        if not path.exists():
            raise NotFoundError(f"There is no configuration file {path}, which {source} names.")
        return path
    return next((path / FILE_NAME for path in (folder, *folder.parents) if (path / FILE_NAME).is_file()), None)


def _default_registry(folder: Path) -> Path:
    """The nearest `.pedigree` here or above; where there is none, the one that `pedigree init` would make here."""
    places = [path / DEFAULT_REGISTRY for path in (folder, *folder.parents)]
    return next((place for place in places if place.is_dir()), places[0])


def _from_file(file: Path) -> dict[str, _Entry]:
    try:
        text = read_bounded(file)
    except OSError as error:
        raise InvalidInputError(f"The configuration file {file} cannot be read: {error.strerror}.") from None
    found: dict[str, _Entry] = {}
    for entry in _parse(file, text):
        if _is_ours(file, entry):
            found[entry.key] = entry
    return found


def _parse(file: Path, text: bytes) -> list[_Entry]:
    if file.suffix == ".toml":
        return _parse_toml(file, text)
    if file.suffix in (".yaml", ".yml"):
        return _parse_yaml(file, text)
    raise InvalidInputError(
        f"The configuration file {file} has a name from which its form cannot be told. Name it .yaml, .yml or .toml."
    )


def _is_ours(file: Path, entry: _Entry) -> bool:
    """Sections of other features are passed over; a key that nobody knows is more likely a typo."""
    if entry.key in KEYS:
        if entry.kind in ("text", "nothing"):
            return entry.kind == "text"
        raise _refusal(file, entry.line, f"`{entry.key}` must be a text, but is {entry.kind}. Put it in quotes")
    near = difflib.get_close_matches(entry.key.lower(), KEYS, n=1, cutoff=0.7)
    if entry.kind == "a section" and not near:
        return False
    hint = f"Did you mean `{near[0]}`?" if near else f"The settings are {', '.join(KEYS)}"
    raise _refusal(file, entry.line, f"there is no setting `{entry.key}`. {hint}")


def _parse_yaml(file: Path, text: bytes) -> list[_Entry]:
    import yaml  # noqa: PLC0415  only where there is a file

    root = compose_yaml(text, str(file))
    if root is None:
        return []
    if not isinstance(root, yaml.MappingNode):
        raise _refusal(file, root.start_mark.line + 1, "settings are written as `key: value`")
    kinds = {"str": "text", "null": "nothing", "int": "a number", "float": "a number", "bool": "a truth value"}
    entries = []
    for key, value in root.value:
        kind = {"mapping": "a section", "sequence": "a list"}.get(value.id)
        kind = kind or kinds.get(value.tag.rpartition(":")[2], "something else")
        written = value.value if isinstance(value, yaml.ScalarNode) else ""
        entries.append(_Entry(str(key.value), kind, written, key.start_mark.line + 1))
    return entries


def _parse_toml(file: Path, text: bytes) -> list[_Entry]:
    table = parse_toml(text, str(file))
    kinds = {str: "text", dict: "a section", bool: "a truth value", int: "a number", float: "a number", list: "a list"}
    return [
        _Entry(key, kinds.get(type(value), "something else"), value if isinstance(value, str) else "", _line(text, key))
        for key, value in table.items()
    ]


def _line(text: bytes, key: str) -> int | None:
    """The line of a TOML key, which the parser does not tell."""
    pattern = re.compile(rf"\s*\[?\[?\s*[\"']?{re.escape(key)}\b")
    return next((number for number, line in enumerate(text.decode().splitlines(), 1) if pattern.match(line)), None)


def _place(file: Path | None, entry: _Entry) -> str:
    return f"{file}, line {entry.line}" if entry.line else str(file)


def _refusal(file: Path, line: int | None, problem: str) -> InvalidInputError:
    where = f"{file}, line {line}" if line else str(file)
    return InvalidInputError(f"{where}: {problem}{'' if problem.endswith(('?', '.')) else '.'}")
