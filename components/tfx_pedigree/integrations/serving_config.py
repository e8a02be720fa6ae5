"""TensorFlow Serving's `models.config` from versions of the registry: which numbers, and what their labels are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tfx_pedigree.bounded_parse import read_bounded
from tfx_pedigree.errors import ConflictError, InvalidInputError, NotFoundError, UnavailableError
from tfx_pedigree.json_form import JsonForm
from tfx_pedigree.registry import CHAMPION, Reference, Version, VersionQuestions
from tfx_pedigree.rollout.traffic.files import locked, write_whole
from tfx_pedigree.rollout.traffic.serving_config import ModelEntry, with_entry
from tfx_pedigree.text import plain

# What the rollouts call the version that serves.
STABLE = "stable"
_LARGEST = 4 << 20


@dataclass(frozen=True)
class ServedModel(JsonForm):
    """`folder` is the server's; in it lies a folder for each number. `labels` by name."""

    model: str
    folder: str
    versions: tuple[int, ...]
    labels: Mapping[str, int]

    def entry(self) -> ModelEntry:
        return ModelEntry(self.model, self.folder, self.versions, self.labels)


def served_models(
    registry: VersionQuestions, versions: Sequence[Version], folder: str, labels: Mapping[str, Version] | None = None
) -> tuple[ServedModel, ...]:
    """Without `labels`, the champion is `stable` and each alias is a label, as far as their versions are served."""
    if not folder.startswith("/") or any(not letter.isprintable() for letter in folder):
        raise InvalidInputError(f"{plain(folder)!r} is no absolute path on the server. Give one, such as /models.")
    found = []
    for model in sorted({version.model for version in versions}):
        own = [version for version in versions if version.model == model]
        numbers = tuple(sorted({version.sequence for version in own}))
        if labels is None:
            named = _labels(registry, model, own)
        else:
            named = {label: version.sequence for label, version in labels.items() if version.model == model}
            _check_labels({label: one for label, one in labels.items() if one.model == model}, numbers)
        found.append(ServedModel(model, f"{folder.rstrip('/')}/{model}", numbers, dict(sorted(named.items()))))
    if labels is not None:
        for label, version in labels.items():
            if version.model not in {one.model for one in found}:
                raise InvalidInputError(f"The label {label} is for {version.name}, which is not among the versions.")
    return tuple(found)


def _labels(registry: VersionQuestions, model: str, served: Iterable[Version]) -> dict[str, int]:
    numbers = {version.version: version.sequence for version in served}
    named = {alias: numbers[one] for alias, one in registry.aliases(model).items() if one in numbers}
    try:
        champion = registry.get(Reference(model, CHAMPION)).version
    except NotFoundError:
        return named
    return named | ({STABLE: numbers[champion]} if champion in numbers else {})


def _check_labels(labels: Mapping[str, Version], numbers: Sequence[int]) -> None:
    for label, version in labels.items():
        if not label.isprintable() or not 0 < len(label) <= 200:
            raise InvalidInputError(f"{plain(label)!r} cannot be a label. Give up to 200 printable letters.")
        if version.sequence not in numbers:
            raise InvalidInputError(f"The label {label} is for {version.name}, which is not among the versions.")


def config_text(models: Iterable[ServedModel], before: str = "") -> str:
    """Entries of other models that stand in the file stay."""
    text = before or "model_config_list {\n}\n"
    for one in models:
        text = with_entry(text, one.entry(), one.model)
    return text


def write_config(file: Path, models: Sequence[ServedModel]) -> bool:
    """Whole or not at all, for a server may poll it; whether anything changed."""
    try:
        with locked(file.with_name(f".{file.name}.lock")):
            before = _text_of(file)
            after = config_text(models, before)
            if after != before:
                write_whole(file, after.encode())
            return after != before
    except ValueError as error:
        raise InvalidInputError(f"{plain(str(file))!r} cannot be written: {error}.") from error


def _text_of(file: Path) -> str:
    try:
        data = read_bounded(file, _LARGEST)
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise UnavailableError(f"{file} cannot be read: {error.strerror}.") from error
    if len(data) > _LARGEST:
        raise ConflictError(f"{file} is larger than {_LARGEST >> 20} MiB, so it is no model config file.")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ConflictError(f"{file} is no text, so it is no model config file. Choose another file.") from None
