"""The `pipeline:` section of a config file: which function makes the pipeline, and with which settings.

    pipeline:
      create: my_package.my_pipeline:create_pipeline
      prepare: my_package.my_data:write      # optional; called with the settings before each run
      path: ..                               # where these modules are found; relative to this file
      log: ../build/run.log                  # where all that TensorFlow says goes; relative to this file
      settings:
        root: ${here}/../build/artifacts     # ${here} is this file's folder; ${NAME} the environment's NAME
        data: ${here}/../build/data
      writes: [root]                         # optional; the settings that are places which a run writes to
      spans:                                 # optional; what `retrain` and `backfill` look through
        pattern: ${data}/span-{SPAN}/*/*.csv # ${data}: a setting above; {SPAN} as in TFX's input configs
        marker: ${data}/span-{SPAN}/_SUCCESS # optional: a span is whole when this file is there
        settle: 5m                           # without a marker: when nothing in it has changed for so long

`create` is called with the settings as a dict, and with `span` where one was asked for. Under `pedigree` stand the
registry, the store and the actor in force, for the components.
"""

from __future__ import annotations

import difflib
import json
import os
import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfx_pedigree.bounded_parse import parse_toml, parse_yaml, read_bounded
from tfx_pedigree.errors import InvalidInputError, NotFoundError

KEYS = ("create", "prepare", "path", "log", "settings", "writes", "spans")
SPAN_KEYS = ("pattern", "marker", "settle")


@dataclass(frozen=True)
class PipelineConfig:
    """`create` and `prepare` are written module:function. Paths are absolute."""

    file: Path
    create: str
    prepare: str | None
    path: str
    log: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    spans: Mapping[str, str] = field(default_factory=dict)
    writes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "create": self.create,
            "prepare": self.prepare,
            "path": self.path,
            "log": self.log,
            "settings": dict(self.settings),
        }


def load_pipeline(file: Path, environ: Mapping[str, str] | None = None) -> PipelineConfig:
    section = section_of(file, "pipeline")
    if section is None:
        raise InvalidInputError(
            f"{file} names no pipeline. Give it a section `pipeline:` with `create: module:function`; "
            "docs/cli.md shows one."
        )
    return _checked(file.absolute(), section, os.environ if environ is None else environ)


def config_text(file: Path) -> bytes:
    try:
        return read_bounded(file)
    except OSError as error:
        raise NotFoundError(f"The config file {file} cannot be read: {error.strerror}.") from error


def section_of(file: Path, name: str) -> Mapping[str, Any] | None:
    """A section of a config file as it is written there; None if it has no such section."""
    whole = (parse_toml if file.suffix == ".toml" else parse_yaml)(config_text(file), str(file))
    section = whole.get(name) if isinstance(whole, dict) else None
    if section is None or isinstance(section, dict):
        return section
    raise InvalidInputError(f"{file}: `{name}` must be names with values, not {str(section)[:40]!r}.")


def _checked(file: Path, section: Mapping[str, Any], environ: Mapping[str, str]) -> PipelineConfig:
    _known(file, section, KEYS, "")
    settings = section.get("settings") or {}
    if not isinstance(settings, dict):
        raise InvalidInputError(f"{file}: `pipeline.settings` must be names with values.")
    if not isinstance(settings.get("pedigree") or {}, dict):
        raise InvalidInputError(f"{file}: `pipeline.settings.pedigree` must be names with values.")
    here = file.parent
    settings = filled(file, settings, environ)
    _portable(file, settings)
    return PipelineConfig(
        file,
        _function(file, section, "create") or _missing(file),
        _function(file, section, "prepare"),
        str(here / str(section.get("path", "."))),
        str(here / str(section.get("log", "pipeline.log"))),
        settings,
        _spans(file, section.get("spans") or {}, settings, environ),
        _writes(file, section.get("writes") or [], settings),
    )


def _writes(file: Path, names: Any, settings: Mapping[str, Any]) -> tuple[str, ...]:
    if not isinstance(names, list) or not all(isinstance(one, str) for one in names):
        raise InvalidInputError(f"{file}: `pipeline.writes` must be a list of names of settings.")
    for name in names:
        if not isinstance(settings.get(name), str):
            raise InvalidInputError(f"{file}: `pipeline.writes` names `{name}`, which is no place in the settings.")
    return tuple(names)


def _portable(file: Path, settings: Any) -> None:
    """They reach another process as JSON, and YAML knows values that JSON does not."""

    def refuse(value: Any) -> Any:
        raise InvalidInputError(
            f"{file}: a value under `pipeline.settings` is a {type(value).__name__}, but it must be a text, a number, "
            "a list or a table. Put a date in quotes."
        )

    json.dumps(settings, default=refuse)


def _known(file: Path, section: Mapping[str, Any], known: tuple[str, ...], prefix: str) -> None:
    for key in section:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f"Did you mean `{near[0]}`?" if near else f"It takes {', '.join(known)}."
            raise InvalidInputError(f"{file}: the pipeline has no setting `{prefix}{key}`. {hint}")


def _spans(file: Path, section: Any, settings: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, str]:
    """Texts, filled in; `${data}` may be a setting of the pipeline. A path is relative to the file."""
    if not isinstance(section, dict):
        raise InvalidInputError(f"{file}: `pipeline.spans` must be a table with `pattern`.")
    _known(file, section, SPAN_KEYS, "spans.")
    texts = {key: value for key, value in settings.items() if isinstance(value, str)}
    found = filled(file, {key: str(value) for key, value in section.items()}, {**environ, **texts})
    for key in ("pattern", "marker"):
        if key in found and "://" not in found[key]:
            found[key] = str(file.parent / found[key])
    return dict(found)


def _missing(file: Path) -> str:
    raise InvalidInputError(f"{file}: `pipeline.create` is missing. Name the function: create: module:function.")


def _function(file: Path, section: Mapping[str, Any], key: str) -> str | None:
    name = section.get(key)
    if name is None:
        return None
    module, colon, function = str(name).partition(":")
    if not colon or not function.isidentifier() or not all(part.isidentifier() for part in module.split(".")):
        raise InvalidInputError(f"{file}: `pipeline.{key}` is {name!r}; write it as package.module:function.")
    return str(name)


def filled(file: Path, value: Any, environ: Mapping[str, str]) -> Any:
    """`value` with every ${NAME} in it replaced by the environment's, and ${here} by the file's folder."""
    return _filled(file, value, {**environ, "here": str(file.parent)})


def _filled(file: Path, value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(file, item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(file, item, names) for item in value]
    if not isinstance(value, str):
        return value
    try:
        return string.Template(value).substitute(names)
    except KeyError as error:
        raise InvalidInputError(f"{file}: ${{{error.args[0]}}} is not set in the environment.") from error
    except ValueError as error:
        raise InvalidInputError(
            f"{file}: {value!r} cannot be filled in: {error}. Write $$ for a dollar sign."
        ) from error
