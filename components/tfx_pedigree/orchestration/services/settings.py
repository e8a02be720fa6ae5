"""The part of the section `target:` that submitting and scheduling need, checked before a service is asked.

target:
  …
  schedule:
    cron: "0 3 * * mon"      # five fields
    timezone: Europe/Zurich  # Vertex; Kubeflow's controller has one for all, which is UTC unless it was changed
    name: flight-delay       # left out: the pipeline's name
    parameters: {}           # values for the pipeline's parameters
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfx_pedigree.bounded_parse import parse_json
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.orchestration.ir import CompiledPipeline, SpecKind
from tfx_pedigree.orchestration.ir.secret_checks import secret_in
from tfx_pedigree.orchestration.services.cron import checked_cron
from tfx_pedigree.text import did_you_mean, listed

KEYS = ("cron", "timezone", "name", "parameters")
UTC = "UTC"

_NAME = re.compile(r"[a-z][a-z0-9-]{0,59}")
_TIMEZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*")
_TRUTHS = {"true": True, "false": False}


@dataclass(frozen=True)
class ScheduleSettings:
    """`name` tells this schedule from others of the same project; `cron` has five fields."""

    name: str
    cron: str
    timezone: str = UTC
    parameters: Mapping[str, Any] = field(default_factory=dict)


def schedule_name(file: Path, section: Mapping[str, Any], pipeline: str) -> str:
    name = str(section.get("name") or pipeline)
    if not _NAME.fullmatch(name):
        raise InvalidInputError(
            f"{file}: the schedule's name {name!r} cannot be used. Set `target.schedule.name` to small letters, digits "
            "and dashes, beginning with a letter, 60 at the most."
        )
    return name


def schedule_settings(file: Path, kind: SpecKind, section: Mapping[str, Any], pipeline: str) -> ScheduleSettings:
    for key in section:
        if key not in KEYS:
            hint = did_you_mean(str(key), KEYS, f"It takes {listed(KEYS)}.")
            raise InvalidInputError(f"{file}: the schedule has no setting `{key}`. {hint}")
    if not section.get("cron"):
        raise InvalidInputError(
            f"{file}: `target.schedule.cron` is missing. Say when the pipeline is to run, as in cron: '0 3 * * mon'."
        )
    parameters = schedule_parameters(file, section)
    name = schedule_name(file, section, pipeline)
    timezone = _timezone(file, kind, str(section.get("timezone") or UTC))
    return ScheduleSettings(name, checked_cron(str(section["cron"])), timezone, parameters)


def schedule_parameters(file: Path, section: Mapping[str, Any]) -> dict[str, Any]:
    parameters = section.get("parameters") or {}
    if not isinstance(parameters, Mapping):
        raise InvalidInputError(f"{file}: `target.schedule.parameters` must be names with values.")
    return dict(parameters)


def _timezone(file: Path, kind: SpecKind, timezone: str) -> str:
    if kind is SpecKind.KUBEFLOW and timezone != UTC:
        raise InvalidInputError(
            f"{file}: `target.schedule.timezone` is {timezone}, but Kubeflow has one timezone for all schedules, UTC "
            "unless its controller's CRON_SCHEDULE_TIMEZONE says otherwise. Leave the setting out, and give the cron "
            "expression in that timezone."
        )
    if not _TIMEZONE.fullmatch(timezone):
        raise InvalidInputError(f"{file}: {timezone!r} is not a timezone. Write it as Europe/Zurich, or leave it out.")
    return timezone


def run_parameters(compiled: CompiledPipeline, given: Mapping[str, Any]) -> dict[str, Any]:
    """Values for the pipeline's parameters, of the types that it declares; refuses what it does not know or lacks."""
    declared = {one.name: one for one in compiled.parameters}
    for name in given:
        if name not in declared:
            known = f"It has {', '.join(sorted(declared))}." if declared else "It has none."
            raise InvalidInputError(f"The pipeline {compiled.name} has no parameter `{name}`. {known}")
    missing = [name for name, one in declared.items() if name not in given and not one.optional]
    if missing:
        raise InvalidInputError(
            f"The pipeline {compiled.name} needs a value for {', '.join(missing)}. Give it with --param NAME=VALUE, or "
            "under `target.schedule.parameters`."
        )
    for name, value in given.items():
        what = secret_in(name, value)
        if what:
            raise InvalidInputError(
                f"The parameter `{name}` holds {what}, and everybody who sees the run can read it. Leave it out, and "
                "give it to the container's environment from a secret of the cluster, or to its service account."
            )
    return {name: _typed(name, declared[name].type, value) for name, value in given.items()}


def _typed(name: str, kind: str, value: Any) -> Any:
    """What came from the command line is text; what came from YAML may be right already."""
    try:
        if kind in ("NUMBER_INTEGER", "INT"):
            return int(str(value))
        if kind in ("NUMBER_DOUBLE", "DOUBLE"):
            return float(value)
        if kind == "BOOLEAN":
            return _TRUTHS[str(value).lower()]
        if kind in ("LIST", "STRUCT"):
            return _parsed(value, list if kind == "LIST" else dict)
    except (InvalidInputError, ValueError, TypeError, KeyError):
        raise InvalidInputError(f"The parameter `{name}` is {value!r}, but it must be a {kind}.") from None
    return str(value) if kind == "STRING" else value


def _parsed(value: Any, kind: type) -> Any:
    found = parse_json(value, "The parameter") if isinstance(value, str) else value
    if not isinstance(found, kind):
        raise TypeError(f"no {kind.__name__}")
    return found
