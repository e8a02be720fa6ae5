"""Names of models, aliases and actors, and how people point at a version: `flight-delay@1.2.0`, `…@champion`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.text import is_unicode

# What fits a git tag, a folder, a URL and a Kubeflow label at once.
_MODEL = re.compile(r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?")
_ALIAS = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
CHAMPION = "champion"
LATEST = "latest"
_TAKEN = (CHAMPION, LATEST)


def check_model_name(name: str) -> str:
    if not _MODEL.fullmatch(name) or ".." in name or name.endswith(".lock"):
        raise InvalidInputError(
            f"{name!r} cannot name a model. Use 1 to 63 lower-case letters, digits, '-', '_' and '.', "
            "beginning and ending with a letter or digit, such as flight-delay."
        )
    return name


def check_alias(name: str) -> str:
    if name in _TAKEN:
        raise InvalidInputError(f"The alias {name!r} is kept by the registry itself. Choose another name.")
    if not _ALIAS.fullmatch(name):
        raise InvalidInputError(
            f"{name!r} cannot be an alias. Use lower-case letters, digits and '-', beginning with a letter: canary."
        )
    return name


def check_text(text: str) -> str:
    """What is asked for must be something that a database could hold."""
    if not is_unicode(text) or "\0" in text:
        raise InvalidInputError(f"{text!r} holds something that is no character, so nothing here is called that.")
    return text


def check_actor(name: str) -> str:
    if not name or name != name.strip() or len(name) > 200 or not name.isprintable():
        raise InvalidInputError(
            f"{name!r} cannot name an actor. Give a printable name, for example with --actor or PEDIGREE_ACTOR."
        )
    return name


@dataclass(frozen=True)
class Reference:
    """One version of one model: by number, digest, timestamp tag, sequence, alias, `champion` or `latest`."""

    model: str
    selector: str = LATEST

    @classmethod
    def parse(cls, text: str) -> Reference:
        model, at, selector = check_text(text).partition("@")
        check_model_name(model)
        if at and not selector:
            raise InvalidInputError(f"{text!r} names no version after '@'. Write {model}@1.2.0 or {model}@champion.")
        return cls(model, selector or LATEST)

    @classmethod
    def of(cls, reference: str | Reference) -> Reference:
        return cls.parse(reference) if isinstance(reference, str) else reference

    def __str__(self) -> str:
        return f"{self.model}@{self.selector}"
