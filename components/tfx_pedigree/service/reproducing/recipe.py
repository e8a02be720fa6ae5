"""A run's recipe: which function made the pipeline, with which settings, on which files.

It is written when a run begins, carried by the run's LineageRecorder into the graph, and read when the run is to be
repeated. What is read was recorded by whoever may record lineage, so it is checked field by field.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar

from tfx_pedigree.digest import PREFIX, check_digest, plain_json
from tfx_pedigree.errors import InvalidInputError, PedigreeError
from tfx_pedigree.json_form import Bounds, JsonForm, Layout, read
from tfx_pedigree.pipeline_config import PipelineConfig
from tfx_pedigree.retraining.spans import SpanPattern, files_of_span
from tfx_pedigree.secrets import clean_values
from tfx_pedigree.versioning.git_checkout import top_of

FORMAT = "pedigree.recipe/1"
# Settings that name a place which a pipeline writes to, where its config does not say which do.
WRITES = ("root", "serving", "metadata")
# What a pipeline is told of the registry belongs to the run, not to the recipe.
_OF_THE_RUN = ("registry", "store", "actor")
# A parameter of a component, which every runner keeps and shows.
LARGEST = 32 << 10
# Reading the files must not delay a run.
MOST_FILES, MOST_HASHED = 100, 256 << 20
_BLOCK = 1 << 20
_FUNCTION = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")


@dataclass(frozen=True)
class DataFile(JsonForm):
    """A file that the span had when the run began. `sha256` is None where there was too much to read."""

    path: str
    size: Annotated[int, Bounds(0)]
    sha256: str | None = None

    def __post_init__(self) -> None:
        if not posixpath.isabs(self.path) or "\0" in self.path:
            raise InvalidInputError(f"The data file {self.path!r} has no absolute path.")
        if self.sha256 is not None:
            check_digest(self.sha256)


@dataclass(frozen=True)
class Recipe(JsonForm):
    """`path` is where Python finds the pipeline, `top` the git repository that holds it; both as they were then.
    `writes` names the settings that are places which the run writes to. `others` counts files beyond those named."""

    JSON: ClassVar[Layout] = Layout(format=FORMAT)

    create: str
    path: str
    settings: Mapping[str, Any]
    span: Annotated[int, Bounds(0)] | None = None
    top: str | None = None
    writes: tuple[str, ...] = ()
    files: tuple[DataFile, ...] = ()
    others: Annotated[int, Bounds(0)] = 0

    def __post_init__(self) -> None:
        if not _FUNCTION.fullmatch(self.create):
            raise InvalidInputError(f"`create` is {self.create!r}; it must be package.module:function.")
        for path in (self.path, self.top):
            if path is not None and (not posixpath.isabs(path) or "\0" in path):
                raise InvalidInputError(f"The folder {path!r} has no absolute path.")
        if not isinstance(self.settings.get("pedigree") or {}, Mapping):
            raise InvalidInputError("`settings.pedigree` must be names with values.")
        for name in self.writes:
            if not isinstance(self.settings.get(name), str):
                raise InvalidInputError(f"`writes` names {name!r}, which is no place in the settings.")

    @property
    def module(self) -> str:
        return self.create.partition(":")[0]

    def inside(self, path: str) -> str | None:
        """Where a path lies in the repository; None for one outside it."""
        if self.top is None:
            return None
        relative = posixpath.relpath(posixpath.normpath(path), posixpath.normpath(self.top))
        return None if relative.startswith("..") else relative


def recipe_of(config: PipelineConfig, span: int | None) -> Recipe:
    """Of a run that begins now, without the files of the span: `prepare` may write them first. Secrets in the settings
    are hidden, and then a person must give them again."""
    settings = {key: value for key, value in config.settings.items() if key != "span"}
    told = {key: value for key, value in (settings.get("pedigree") or {}).items() if key not in _OF_THE_RUN}
    settings = clean_values(plain_json({**settings, "pedigree": told}))
    named = config.writes or WRITES
    return Recipe(
        config.create,
        posixpath.normpath(config.path),
        settings,
        span,
        top_of(Path(config.path)),
        tuple(name for name in named if isinstance(settings.get(name), str)),
    )


def told_to_components(config: PipelineConfig, span: int | None) -> dict[str, Any] | None:
    """For the LineageRecorder's parameter, and None where it would be too long. A run must not fail for it."""
    try:
        told = recipe_of(config, span).to_json()
    except PedigreeError:
        return None
    return told if len(json.dumps(told)) <= LARGEST else None


def with_files(told: Mapping[str, Any], spans: Mapping[str, str]) -> dict[str, Any]:
    """With the files of the span, or of the newest, once they are there; without them where it would be too long, or
    where the config does not say where spans are, or they are not on this machine."""
    if not spans.get("pattern") or "://" in spans["pattern"]:
        return dict(told)
    try:
        recipe = read(Recipe, told, "the recipe")
        span, paths = files_of_span(SpanPattern.of(spans), recipe.span)
    except PedigreeError:
        return dict(told)
    files = tuple(_looked_at(paths[:MOST_FILES]))
    whole = replace(recipe, span=span, files=files, others=max(0, len(paths) - MOST_FILES))
    named = whole.to_json()
    return named if len(json.dumps(named)) <= LARGEST else replace(whole, files=(), others=len(paths)).to_json()


def _looked_at(paths: list[str]) -> Iterator[DataFile]:
    left = MOST_HASHED
    for path in paths:
        try:
            size = Path(path).stat().st_size
            left -= size
            yield DataFile(path, size, digest_of_file(Path(path)) if left >= 0 else None)
        except OSError:  # it went meanwhile, and the run will say so
            continue


def digest_of_file(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return PREFIX + digest.hexdigest()
