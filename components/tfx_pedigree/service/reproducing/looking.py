"""What of a recorded version is here: the repository, the files of the span, the packages, the bytes. Only reads."""

from __future__ import annotations

import os
import platform
import posixpath
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from tfx_pedigree.secrets import HIDDEN
from tfx_pedigree.service.reproducing import package_index
from tfx_pedigree.service.reproducing.checking import (
    OWN_PACKAGE,
    CheckReport,
    FileState,
    Here,
    Place,
    check,
    place_of,
)
from tfx_pedigree.service.reproducing.package_index import Sources
from tfx_pedigree.service.reproducing.recipe import DataFile, Recipe, digest_of_file
from tfx_pedigree.service.reproducing.recorded import Recorded
from tfx_pedigree.service.versions.environment import installed_packages
from tfx_pedigree.service.workspace import Workspace
from tfx_pedigree.store import Store
from tfx_pedigree.versioning.git_checkout import has_commit, holds, top_of

# So much is read for an answer within two seconds; of what is beyond, only the size is compared.
MOST_READ = 256 << 20
# Of an interpreter that is asked for its version.
_LONGEST_START = 30.0


@dataclass(frozen=True)
class Given:
    """What a person says beside what was recorded: a clone of the repository, and settings of the pipeline that have
    other values here, such as where the data are."""

    repository: Path | None = None
    settings: Mapping[str, str] = field(default_factory=dict)


def look(workspace: Workspace, recorded: Recorded, given: Given, sources: Sources | None = None) -> Here:
    """`sources` of packages are those of pip's configuration where none are given."""
    recipe = recorded.recipe
    here = Here(
        packages=installed_packages(),
        python=platform.python_version(),
        interpreter=interpreter_of(recorded.environment.minor),
        files=_files(recipe, given) if recipe else {},
        missing_bytes=tuple(_missing_bytes(workspace.store, recorded)),
        missing_settings=_hidden(recipe, given) if recipe else (),
        **_repository(recorded, given),
    )
    if place_of(recorded, here) is Place.HERE:
        return here
    asked = package_index.ask(_not_installed(recorded, here), sources or package_index.sources())
    return replace(here, availability=asked)


def _not_installed(recorded: Recorded, here: Here) -> dict[str, str]:
    """What is installed here at its version was to be had, and no index is troubled with it."""
    packages = recorded.environment.packages
    return {
        name: version
        for name, version in packages.items()
        if name != OWN_PACKAGE and here.packages.get(name) != version
    }


def look_and_check(
    workspace: Workspace, recorded: Recorded, given: Given, sources: Sources | None = None
) -> tuple[CheckReport, Here]:
    here = look(workspace, recorded, given, sources)
    return check(recorded, here), here


def settings_of(recipe: Recipe, given: Given) -> dict[str, Any]:
    """With what a person gave in place of what was recorded."""
    return {**recipe.settings, **given.settings}


def interpreter_of(minor: str | None, environ: Mapping[str, str] = os.environ) -> str | None:
    """This one where it is of the recorded Python, else the first that runs: on the PATH, or installed by pyenv or uv.
    What pyenv puts on the PATH is a script for each Python that it has, and runs only the one that is switched on."""
    if minor is None or minor == ".".join(platform.python_version_tuple()[:2]):
        return sys.executable
    on_the_path = (Path(folder) / f"python{minor}" for folder in environ.get("PATH", "").split(os.pathsep) if folder)
    pyenv = Path(environ.get("PYENV_ROOT") or "~/.pyenv", "versions").expanduser().glob(f"{minor}.*")
    uv = (
        Path(environ.get("UV_PYTHON_INSTALL_DIR") or "~/.local/share/uv/python").expanduser().glob(f"cpython-{minor}.*")
    )
    installed = (folder / "bin" / f"python{minor}" for folder in sorted([*pyenv, *uv], reverse=True))
    return next((str(one) for one in (*on_the_path, *installed) if _is_python(one, minor)), None)


def _is_python(file: Path, minor: str) -> bool:
    if not os.access(file, os.X_OK):
        return False
    ask = [str(file), "-I", "-S", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    try:
        done = subprocess.run(ask, capture_output=True, text=True, check=False, timeout=_LONGEST_START)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.stdout.strip() == minor


def repository_of(recorded: Recorded, given: Given) -> Path | None:
    if given.repository is not None:
        return given.repository
    recipe = recorded.recipe
    return Path(recipe.top) if recipe is not None and recipe.top is not None else None


def _repository(recorded: Recorded, given: Given) -> dict[str, Any]:
    repository, code, recipe = repository_of(recorded, given), recorded.code, recorded.recipe
    top = top_of(repository) if repository is not None else None
    if top is None or code is None:
        return {"repository": top}
    there = has_commit(Path(top), code.commit)
    return {
        "repository": top,
        "has_commit": there,
        "has_module": there and recipe is not None and _has_module(Path(top), code.commit, recipe),
    }


def _has_module(repository: Path, commit: str, recipe: Recipe) -> bool:
    inside = recipe.inside(recipe.path)
    if inside is None:
        return False
    path = f"{'' if inside == '.' else f'{inside}/'}{recipe.module.replace('.', '/')}"
    return any(holds(repository, commit, name) for name in (f"{path}.py", f"{path}/__init__.py"))


def _hidden(recipe: Recipe, given: Given) -> tuple[str, ...]:
    return tuple(name for name, value in settings_of(recipe, given).items() if _holds_hidden(value))


def _holds_hidden(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_holds_hidden, value.values()))
    if isinstance(value, list | tuple):
        return any(map(_holds_hidden, value))
    return isinstance(value, str) and HIDDEN in value


def _missing_bytes(store: Store, recorded: Recorded) -> list[str]:
    versions = [recorded.version, *([recorded.baseline.version] if recorded.baseline else [])]
    return [one.name for one in versions if not store.has(one.digest)]


def _files(recipe: Recipe, given: Given) -> dict[str, FileState]:
    """The smallest first, so that as many as can be are read."""
    found, left = {}, MOST_READ
    for file in sorted(recipe.files, key=lambda one: one.size):
        path = _moved(file, recipe, given)
        left -= file.size
        found[str(path)] = _state(path, file, read=left >= 0)
    return found


def _moved(file: DataFile, recipe: Recipe, given: Given) -> Path:
    """Where a file is now: below the setting that a person gave another value, if it was below it."""
    for name, value in given.settings.items():
        before, path = recipe.settings.get(name), PurePosixPath(posixpath.normpath(file.path))
        if isinstance(before, str) and path.is_relative_to(posixpath.normpath(before)):
            return Path(value) / path.relative_to(posixpath.normpath(before))
    return Path(file.path)


def _state(path: Path, file: DataFile, *, read: bool) -> FileState:
    try:
        if path.stat().st_size != file.size:
            return FileState.CHANGED
        if file.sha256 is None or not read:
            return FileState.SAME_SIZE
        return FileState.SAME if digest_of_file(path) == file.sha256 else FileState.CHANGED
    except OSError:
        return FileState.GONE
