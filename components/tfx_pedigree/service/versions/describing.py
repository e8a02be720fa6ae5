"""What people wrote about a model, in Markdown. Each description is an event of the model's log, and the newest counts:
who wrote what and when is history that nobody can rewrite unseen."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.json_form import JsonForm
from tfx_pedigree.registry import Action, Event, RegistryApi, VersionQuestions

# In letters: some pages. Longer things have a place of their own, to which a description can link.
LONGEST = 20_000


@dataclass(frozen=True)
class Description(JsonForm):
    """`text` is empty where it was taken away; `event` is its place in the model's log."""

    model: str
    text: str
    by: str
    at: datetime
    event: int


@dataclass(frozen=True)
class DescriptionChange(JsonForm):
    changed: bool
    model: str
    description: Description | None


def description_of(registry: VersionQuestions, model: str) -> Description | None:
    """The newest one; None of a model that nobody ever described."""
    registry.model(model)
    found = registry.notes(model, Action.DESCRIBE, limit=1).items
    return _read(model, found[0]) if found else None


def _read(model: str, event: Event) -> Description:
    text = event.details.get("text")
    return Description(model, text[:LONGEST] if isinstance(text, str) else "", event.actor, event.at, event.position)


def describe_model(
    registry: RegistryApi, model: str, text: str, *, reason: str | None = None, expect: int | None = None
) -> DescriptionChange:
    """Nothing, where it says so already. An empty text takes the description away. With `expect`, the place of the
    description that was seen (0: none), it is refused if somebody wrote another one since."""
    text = text.replace("\r\n", "\n").strip()
    if len(text) > LONGEST:
        raise InvalidInputError(
            f"The description has {len(text):,} characters, but may have {LONGEST:,}. Write less, and link to the rest."
        )
    known = description_of(registry, model)
    if text == (known.text if known else "") and expect in (None, known.event if known else 0):
        return DescriptionChange(False, model, known)
    seen = expect if expect is not None else (known.event if known else 0)
    event = registry.note(model, Action.DESCRIBE, reason=reason, details={"text": text}, expect=seen)
    return DescriptionChange(True, model, _read(model, event))
