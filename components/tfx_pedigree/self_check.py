"""Whether an installation is sound: `python -m tfx_pedigree.self_check [LOCK]`.

What containers run when they are given nothing else to do. One line an item; exit code 1 if any of them failed. LOCK is
the list of pins from which the environment was made. Where TFX is installed, the components are loaded as well; where
what serves is installed, so is the server.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import platform
import re
import sqlite3
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import tfx_pedigree
from tfx_pedigree.errors import PedigreeError
from tfx_pedigree.registry import Registry

# What a compiled pipeline starts in a container: executors, and the driver of those ExampleGens that read spans.
TASK_MODULES = (
    "tfx.orchestration.kubeflow.v2.container.kubeflow_v2_run_executor",
    "tfx.orchestration.kubeflow.v2.file_based_example_gen.driver",
)
_PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;\\]+)\s*(?P<marker>;)?", re.MULTILINE)

Check = Callable[[], str]


class UnsoundError(Exception):
    """What is wrong, in words for whoever built the image."""


def pins(lock: str) -> dict[str, tuple[set[str], bool]]:
    """For each name the versions that the lock allows, and whether it may be left out: every pin has a condition."""
    found: dict[str, tuple[set[str], bool]] = {}
    for pin in _PIN.finditer(lock):
        name = re.sub(r"[-_.]+", "-", pin["name"]).lower()
        versions, optional = found.get(name, (set(), True))
        found[name] = (versions | {pin["version"]}, optional and pin["marker"] is not None)
    return found


def differing(wanted: Mapping[str, tuple[set[str], bool]], installed: Mapping[str, str]) -> list[str]:
    rows = []
    for name, (versions, optional) in sorted(wanted.items()):
        version = installed.get(name)
        if version is None and not optional:
            rows.append(f"{name} {' or '.join(sorted(versions))} is missing")
        elif version is not None and version not in versions:
            rows.append(f"{name} is {version}, the lock has {' or '.join(sorted(versions))}")
    return rows


def check_python() -> str:
    return f"{platform.python_version()} in {sys.prefix}"


def check_user() -> str:
    if os.geteuid() == 0:
        raise UnsoundError("this runs as root; a container of Pedigree needs no root")
    site = sysconfig.get_path("purelib")
    if os.access(site, os.W_OK):
        raise UnsoundError(f"user {os.geteuid()} can change the installed packages in {site}")
    return f"{os.geteuid()}, who cannot change {site}"


def check_packages(lock: Path) -> str:
    installed = {
        re.sub(r"[-_.]+", "-", one.metadata["Name"]).lower(): one.version for one in importlib.metadata.distributions()
    }
    wanted = pins(lock.read_text("utf-8"))
    if not wanted:
        raise UnsoundError(f"{lock} pins nothing")
    wrong = differing(wanted, installed)
    if wrong:
        raise UnsoundError("; ".join(wrong))
    return f"{len(wanted.keys() & installed.keys())} as in {lock}"


def check_registry() -> str:
    with tempfile.TemporaryDirectory() as folder:
        Registry.create(folder, actor="self-check").close()
        with Registry.open(folder, actor="self-check") as registry:
            registry.models()
    return f"made and opened on SQLite {sqlite3.sqlite_version}"


def check_server() -> str:
    """All that a server loads when it starts: it is opened on a registry, and takes no connections."""
    for name in ("tfx_pedigree.server.running", "uvloop"):
        importlib.import_module(name)
    room = importlib.import_module("tfx_pedigree.server")
    with tempfile.TemporaryDirectory() as folder:
        Registry.create(folder, actor="self-check").close()
        with room.create_app(room.ServerSettings(folder)).state.server:
            return f"can be started, with uvicorn {importlib.metadata.version('uvicorn')}"


def check_components() -> str:
    """Artifact types must be importable by the very name that is written into a compiled pipeline."""
    room = importlib.import_module("tfx_pedigree.tfx_components")
    for name in room.__all__:
        type_name = getattr(getattr(room, name), "TYPE_NAME", None)
        if type_name is not None and getattr(tfx_pedigree, name, None) is not getattr(room, name):
            raise UnsoundError(f"the artifact type {type_name} is not found under that name")
    return ", ".join(room.__all__)


def check_tasks() -> str:
    for name in TASK_MODULES:
        importlib.import_module(name)
    tfx, beam = (importlib.metadata.version(one) for one in ("tfx", "apache-beam"))
    return f"TFX {tfx} with Beam {beam} can start them"


def check_user_modules() -> str:
    """A pipeline's `module_file` is packed and installed when its task runs, with no right to write but in /tmp."""
    udf = importlib.import_module("tfx.components.util.udf_utils")
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "modules" / "pedigree_self_check.py"
        source.parent.mkdir()
        source.write_text("ANSWER = 42\n", "utf-8")
        wheel, _ = udf.package_user_module_file("SelfCheck", str(source), folder)
        target = udf.install_to_temp_directory(wheel, f"{folder}/installed")
        if not (Path(target) / source.name).exists():
            raise UnsoundError(f"pip installed {wheel}, but {source.name} is not in {target}")
    return "a module file was packed and installed"


def checks(lock: Path | None, *, server: bool, tfx: bool) -> dict[str, Check]:
    found: dict[str, Check] = {"python": check_python, "user": check_user}
    if lock is not None:
        found["packages"] = lambda: check_packages(lock)
    found["registry"] = check_registry
    if server:
        found["server"] = check_server
    if tfx:
        found |= {"components": check_components, "tasks": check_tasks, "user modules": check_user_modules}
    return found


def run(found: Mapping[str, Check], say: Callable[[str], None]) -> bool:
    """All are run, whatever the first ones find: an image takes minutes to build."""
    sound = True
    for name, check in found.items():
        try:
            word, detail = "ok", check()
        except (UnsoundError, PedigreeError, OSError, ImportError, RuntimeError, AttributeError) as error:
            word, detail, sound = "FAILED", f"{error}", False
        say(f"{word:<7} {name:<13} {detail}")
    return sound


def main(arguments: Iterable[str]) -> int:
    lock = next(map(Path, arguments), None)
    # What pip and TensorFlow have to say goes to standard error: standard output has one line an item.
    terminal = os.dup(1)
    os.dup2(2, 1)

    def say(line: str) -> None:
        os.write(terminal, f"{line}\n".encode())

    say(f"Pedigree {tfx_pedigree.__version__}")
    server, tfx = (importlib.util.find_spec(name) is not None for name in ("uvicorn", "tfx"))
    return 0 if run(checks(lock, server=server, tfx=tfx), say) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
