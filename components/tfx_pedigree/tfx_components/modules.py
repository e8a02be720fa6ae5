"""Which code a component was given beside the repository's commit: the digests of its module files.

Read when the pipeline is built, where those files are: in a container there is only the wheel that TFX packs of them.
The digests travel as a parameter. What cannot be read is left out, and never stops a pipeline from being built.

A wheel comes last on Python's path, and what is installed in a container may be older than what the pipeline was built
from: which module really runs is known only there, by `imported_digests`.
"""

from __future__ import annotations

import importlib.machinery
import io
import posixpath
import sys
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import tensorflow as tf
from tfx.dsl.components.base.base_component import BaseComponent
from tfx.dsl.io import fileio

from tfx_pedigree.digest import digest_of
from tfx_pedigree.tfx_components import files

# As Trainer, Transform, Tuner and Evaluator call them: a file, a module or a module in a wheel, a function in a module.
_FILE, _MODULE = "module_file", "module_path"
_FUNCTIONS = ("run_fn", "preprocessing_fn", "tuner_fn")
# What TFX's file systems raise where nothing is, or nobody may read, or no such file system is known.
_UNREADABLE = (OSError, ValueError, tf.errors.OpError)


class Module(NamedTuple):
    """A file; `imported_as` is the name under which Python imports it, where the component itself says so."""

    digest: str
    imported_as: str = ""


def modules_of(components: Iterable[BaseComponent]) -> dict[str, Module]:
    """By file name. A name that two components use for different files is told apart by the component's id."""
    found: dict[str, Module] = {}
    for component in components:
        for name, module in sorted(_modules(component.exec_properties)):
            if found.setdefault(name, module).digest != module.digest:
                found[f"{component.id}/{name}"] = module
    return found


def imported_digests(names: Mapping[str, str]) -> dict[str, str]:
    """Of modules, by file name and the name under which Python imports them: the digest of what this process has
    imported, or would import from its path. Without those that it does not find."""
    found = {}
    for name, imported_as in names.items():
        loaded = getattr(sys.modules.get(imported_as), "__file__", None)
        content = _read(loaded or _origin(imported_as) or "")
        if content is not None:
            found[name] = digest_of(content)
    return found


def _modules(properties: Mapping[str, Any]) -> Iterator[tuple[str, Module]]:
    """Values that only a run knows are no text, and name nothing yet."""
    file, module = properties.get(_FILE), properties.get(_MODULE)
    if isinstance(file, str) and file:
        yield from _packed_beside(file)
    if isinstance(module, str) and "@" in module:
        yield from _in_wheel(*module.split("@", 1))
    elif isinstance(module, str) and module:
        yield from _imported(module)
    for key in _FUNCTIONS:
        function = properties.get(key)
        if isinstance(function, str) and "." in function:
            yield from _imported(function.rpartition(".")[0])


def _packed_beside(file: str) -> Iterator[tuple[str, Module]]:
    """The file, and all other `.py` in its folder: TFX packs them with it, so it may import them."""
    folder = posixpath.dirname(file) or "."
    try:
        names = {str(name) for name in fileio.listdir(folder) if str(name).endswith(".py")}
    except _UNREADABLE:
        names = set()
    for name in sorted({*names, posixpath.basename(file)}):
        content = _read(posixpath.join(folder, name))
        if content is not None:
            yield name, Module(digest_of(content), name[:-3] if name == posixpath.basename(file) else "")


def _in_wheel(module: str, path: str) -> Iterator[tuple[str, Module]]:
    content = _read(path)
    if content is None or not zipfile.is_zipfile(io.BytesIO(content)):
        return  # it may be made only when the pipeline runs
    with zipfile.ZipFile(io.BytesIO(content)) as wheel:
        for name in wheel.namelist():
            if name.endswith(".py"):
                same = name[:-3].replace("/", ".") == module
                yield name, Module(digest_of(wheel.read(name)), module if same else "")


def _imported(module: str) -> Iterator[tuple[str, Module]]:
    origin = _origin(module)
    content = _read(origin) if origin else None
    if origin and content is not None:
        yield posixpath.basename(origin), Module(digest_of(content), module)


def _origin(module: str) -> str | None:
    """Found as Python would find it, but without importing anything. None also for a folder without code of its own."""
    path: Iterable[str] | None = None
    spec = None
    for depth in range(1, len(parts := module.split(".")) + 1):
        spec = importlib.machinery.PathFinder.find_spec(".".join(parts[:depth]), path)  # type: ignore[arg-type]
        if spec is None:
            return None
        path = spec.submodule_search_locations
    return spec.origin if spec is not None and spec.has_location else None


def _read(path: str) -> bytes | None:
    try:
        with files.open_binary(path) as file:
            return file.read()
    except _UNREADABLE:
        return None
