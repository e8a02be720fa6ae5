"""An environment with the recorded packages at exactly their versions, in a folder of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path

import tfx_pedigree
from tfx_pedigree.errors import UnavailableError
from tfx_pedigree.service.reproducing import package_index
from tfx_pedigree.service.reproducing.checking import OWN_PACKAGE
from tfx_pedigree.service.reproducing.recorded import Environment
from tfx_pedigree.service.versions.environment import VARIABLES
from tfx_pedigree.text import plain

REQUIREMENTS = "requirements.txt"
_PIP_TAKES_PYTHON = 23
_IMPORT = "import importlib, sys; [importlib.import_module(name) for name in sys.argv[1:]]"
# Of what is installed, what a pipeline cannot do without: package and module.
_NEEDED = {"tfx": "tfx", "tensorflow": "tensorflow", "apache-beam": "apache_beam", "ml-metadata": "ml_metadata"}
_RUNNER = "tfx_pedigree.tfx_runner.run_pipeline"
# What names the real registry, its bytes, its metadata and who acts there: none of it is the reproduction's affair.
_OF_THE_REGISTRY = frozenset(
    f"PEDIGREE_{name}" for name in ("REGISTRY", "STORE", "ACTOR", "TOKEN", "CONFIG", "MLMD", "MLMD_PASSWORD")
)
# They would bring packages of this environment into the other one.
_FOREIGN = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")


def build(folder: Path, environment: Environment, interpreter: str, log: Path) -> None:
    """With uv where it is installed, else with venv and pip. The list is complete, so nothing is resolved."""
    folder.mkdir(parents=True)
    packages = {name: version for name, version in environment.packages.items() if name != OWN_PACKAGE}
    requirements = folder / REQUIREMENTS
    requirements.write_text("".join(f"{name}=={version}\n" for name, version in sorted(packages.items())))
    venv, python, uv = str(folder / "venv"), python_of(folder), shutil.which("uv")
    # The list says all versions: what somebody wants of others must not stand in their way.
    more = {"PIP_CONSTRAINT": os.devnull}
    if uv is not None:
        make = [uv, "venv", "--quiet", "--python", interpreter, venv]
        install = [uv, "pip", "install", "--python", python]
        more = package_index.variables_of_uv()
    elif _can_install_elsewhere():
        make = [interpreter, "-m", "venv", "--without-pip", venv]
        install = [sys.executable, "-m", "pip", "--python", python, "install"]
    else:
        make, install = [interpreter, "-m", "venv", venv], [python, "-m", "pip", "install"]
    _run(make, log, "The environment cannot be made")
    problem = "The recorded packages cannot be installed"
    _run([*install, "--no-deps", "-r", str(requirements)], log, problem, more)
    _bring_own(python, log)
    modules = [module for name, module in _NEEDED.items() if name in packages]
    _run([python, "-c", _IMPORT, *modules, _RUNNER], log, "The environment was built, but cannot import what it needs")


def _can_install_elsewhere() -> bool:
    """Whether the pip here takes another interpreter, which saves unpacking a pip into the new environment first."""
    try:
        return int(metadata.version("pip").partition(".")[0]) >= _PIP_TAKES_PYTHON
    except (metadata.PackageNotFoundError, ValueError):
        return False


def python_of(folder: Path) -> str:
    return str(folder / "venv" / "bin" / "python")


def variables(environment: Environment, built: bool, now: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The variables of the process that runs the pipeline: of the list, those that were recorded and no others. Another
    name in the record is not set: it could be one that makes a process load somebody's code."""
    dropped = {*VARIABLES, *_OF_THE_REGISTRY, *(_FOREIGN if built else ())}
    kept = {name: value for name, value in now.items() if name not in dropped}
    told = {name: value for name, value in environment.variables.items() if name in VARIABLES and "\0" not in value}
    return {**kept, **told}


def _bring_own(python: str, log: Path) -> None:
    """Pedigree itself, as it runs now: both sides of the order that a run is given must be of one release."""
    where = "import sysconfig; print(sysconfig.get_paths()['purelib'])"
    site = _run([python, "-c", where], log, "The environment cannot be used").strip()
    Path(site, "tfx_pedigree").symlink_to(Path(tfx_pedigree.__file__).parent)


def _run(words: Iterable[str], log: Path, problem: str, more: Mapping[str, str] | None = None) -> str:
    environ = {name: value for name, value in os.environ.items() if name not in _FOREIGN} | dict(more or {})
    # In a session of its own: pip starts itself once more, and all of it must end with this command.
    with subprocess.Popen(
        list(words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ, start_new_session=True
    ) as running:
        try:
            out, err = running.communicate()
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGKILL)
            raise
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as file:
        file.write(f"$ {' '.join(words)}\n{out}{err}")
    if running.returncode:
        told = _essence(err) or f"exit code {running.returncode}"
        raise UnavailableError(f"{problem}: {told}. The full log is in {log}.")
    return out


def _essence(err: str) -> str:
    """uv says what is wrong first and explains it afterwards; pip and Python say it last."""
    lines = [line.strip() for line in err.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith("error:")]
    return plain((errors or lines or [""])[-1], 300).rstrip(".")
