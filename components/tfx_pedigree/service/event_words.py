"""Events of the log in a few words, for every front end alike. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfx_pedigree.registry import Event


def told(event: Event) -> str:
    """The event in a few words, beginning with the action's name as it stands in the log."""
    details = event.details
    said = _SAID.get(event.action)
    text = said(event, details) if said else f"{event.action} {event.subject or ''}".rstrip()
    if event.from_state and event.to_state and event.from_state != event.to_state:
        text += f", {event.from_state} → {event.to_state}"
    return text


def _where(details: Any) -> str:
    return "everywhere" if details.get("scope") == "*" else f"on {details.get('scope')}"


def _facts(details: Any) -> str:
    """What was written on a version: `auc=0.9, team=ops`, and `-old` for a tag that was taken away."""
    metrics = [f"{name}={shown(value)}" for name, value in sorted(details.get("metrics", {}).items())]
    tags = [f"{key}={value}" if value else f"-{key}" for key, value in sorted(details.get("tags", {}).items())]
    return ", ".join(metrics + tags)


def _retrain(version: str | None, details: Any) -> str:
    span = f" on span {details['span']}" if details.get("span") is not None else ""
    return f"retrain{f' {version}' if version else ''}{span}: {details.get('outcome')}"


def _describe(model: str, details: Any) -> str:
    first = next((line.strip() for line in str(details.get("text") or "").splitlines() if line.strip()), "")
    return f"describe {model}: {first}" if first else f"describe {model}: the description was taken away"


_SAID = {
    "create-model": lambda event, details: f"create-model {details.get('model') or event.chain}",
    "observe": lambda event, details: f"observe {event.subject}: {_facts(details)}",
    "annotate": lambda event, details: f"annotate {event.subject}: {_facts(details)}",
    "attach-evidence": lambda event, details: f"attach-evidence {event.subject}: {details.get('verdict')}",
    "replace": lambda event, details: f"replace {event.subject} by {details.get('by')}",
    "set-alias": lambda event, details: f"set-alias {details.get('alias')} = {event.subject}",
    "remove-alias": lambda event, details: f"remove-alias {details.get('alias')}",
    "grant": lambda event, details: f"grant {details.get('principal')} {details.get('role')} {_where(details)}",
    "revoke": lambda event, details: f"revoke {details.get('principal')} {_where(details)}",
    "describe": lambda event, details: _describe(event.chain, details),
    "retrain": lambda event, details: _retrain(event.subject, details),
    "reproduce": lambda event, details: f"reproduce {event.subject}: {details.get('level')}",
    "roll-out": lambda event, details: f"roll-out {event.subject}: {event.to_state} (rollout {details.get('rollout')})",
    "refuse": lambda event, details: f"refuse {details.get('operation')}",
}


def shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
