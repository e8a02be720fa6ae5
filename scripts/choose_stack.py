"""Decide which TFX line this machine can run, and with which Python.

`choose` is the decision: a pure function of what `probe` found. Printed: the line ("1.16") on standard output.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

# These scripts must start on a Python 3.8, which knows such types in annotations only.
if TYPE_CHECKING:
    Version = tuple[int, ...]


@dataclass(frozen=True)
class Line:
    """One of the two TFX versions that the project is locked, tested and linted against, or what needs no TFX."""

    name: str
    oldest_python: Version
    newest_python: Version
    glibc: Version
    # Fetched where no Python fits: one that the uv of the lock knows, with its hash.
    fetched_python: str

    @property
    def title(self) -> str:
        return "light part" if self.name == "light" else f"TFX {self.name} line"

    @property
    def lock(self) -> str:
        return "light.txt" if self.name == "light" else f"tfx-{self.name}.txt"


# Newest first: the first one that fits is taken. 2.28 is what the wheels beside TFX (orjson, pygit2, ...) ask for.
LINES = (
    Line("1.21", (3, 10), (3, 13), (2, 39), "3.13.18"),
    Line("1.16", (3, 10), (3, 10), (2, 28), "3.10.22"),
)
# Only where it is asked for: the tests and the tour that need no TFX.
LIGHT = Line("light", (3, 10), (3, 13), (2, 28), "3.13.18")
FETCHED = Path(__file__).resolve().parent.parent / "build/python"


@dataclass(frozen=True)
class Interpreter:
    path: str
    version: Version
    has_venv: bool = True
    has_headers: bool = True


@dataclass(frozen=True)
class Host:
    """What the decision depends on. `glibc` is None where the C library is another one (musl, macOS)."""

    interpreters: tuple[Interpreter, ...]
    glibc: Version | None
    system: str = "Linux"
    machine: str = "x86_64"


@dataclass(frozen=True)
class Choice:
    line: Line
    interpreter: Interpreter
    reason: str


class NoLineFitsError(Exception):
    """The message says what is missing and what to install. `line` is one that lacks nothing but a Python, `package`
    what Debian calls the missing part of the Python that is there.
    """

    def __init__(self, message: str, line: Line | None = None, package: str = "") -> None:
        super().__init__(message)
        self.line = line
        self.package = package


def dotted(version: Version) -> str:
    return ".".join(str(part) for part in version)


def pythons(line: Line) -> str:
    oldest, newest = dotted(line.oldest_python), dotted(line.newest_python)
    return oldest if oldest == newest else f"{oldest} to {newest}"


def pick(line: Line, host: Host) -> Interpreter | None:
    """The best interpreter for the line: able to make a venv, with headers, then the newest, then the first found."""
    fitting = [one for one in host.interpreters if line.oldest_python <= one.version[:2] <= line.newest_python]
    return max(fitting, key=lambda one: (one.has_venv, one.has_headers, one.version[:2]), default=None)


def venv_package(python: Interpreter) -> str:
    return f"python{dotted(python.version[:2])}-venv"


def obstacle(line: Line, host: Host) -> str | None:
    """Why the line cannot be set up here; None if it can."""
    if host.glibc is None or host.glibc < line.glibc:
        here = f"here is {dotted(host.glibc)}" if host.glibc else "here is none (musl?)"
        return f"needs glibc {dotted(line.glibc)} or newer and {here}"
    python = pick(line, host)
    if python is None:
        found = ", ".join(f"{dotted(one.version)} at {one.path}" for one in host.interpreters) or "none"
        version = dotted(line.newest_python)
        return (
            f"needs Python {pythons(line)}; found: {found}. Install one (Debian and Ubuntu, where packaged: "
            f"python{version}-venv and -dev; else `pyenv install {version}` or `uv python install {version}`), or name "
            "one with PYTHON=/path/to/python"
        )
    if not python.has_venv:
        found = f"Python {dotted(python.version)} at {python.path}"
        return f"found {found}, which lacks the venv module: install {venv_package(python)}"
    return None


def choose(host: Host, stack: str = "") -> Choice:
    """The line to set up and why; raises NoLineFitsError with the remedy."""
    if (host.system, host.machine) != ("Linux", "x86_64"):
        raise NoLineFitsError(
            f"TFX's compiled parts exist for x86-64 Linux only and this is {host.system} {host.machine}: "
            "use a machine or container with x86-64 Linux."
        )
    wanted = [line for line in (*LINES, LIGHT) if stack == line.name] if stack else list(LINES)
    if not wanted:
        raise NoLineFitsError(f"STACK={stack} is none of the TFX lines: say STACK=1.16 or STACK=1.21, or leave it out.")
    obstacles = [(line, obstacle(line, host)) for line in wanted]
    for line, problem in obstacles:
        python = pick(line, host)
        if problem is None and python is not None:
            title = line.title[0].upper() + line.title[1:]
            reason = f"{title}: {_because(line, host, stack)}; Python {dotted(python.version)} at {python.path}"
            return Choice(line, python, reason)
    messages = [f"The {line.title} {problem}." for line, problem in obstacles]
    if stack == LINES[0].name and host.glibc is not None and host.glibc < LINES[0].glibc:
        messages.append("Take STACK=1.16 here; `make test-latest` runs the tests on this line in a Debian 13 folder.")
    able = next((line for line in wanted if host.glibc is not None and host.glibc >= line.glibc), None)
    python = pick(able, host) if able else None
    raise NoLineFitsError("\n".join(messages), able, venv_package(python) if python else "")


def _because(line: Line, host: Host, stack: str) -> str:
    newest = LINES[0]
    if line is LIGHT:
        return "no TFX needed"
    if stack:
        return f"STACK={stack} says so"
    here = f"glibc {dotted(host.glibc or ())} here"
    if line is newest:
        return f"{here}, it needs {dotted(line.glibc)}"
    if host.glibc is not None and host.glibc < newest.glibc:
        return f"{here}, the {newest.name} line needs {dotted(newest.glibc)}"
    return f"the {newest.name} line {obstacle(newest, host)}"


def build_tools_missing(python: Interpreter, compiler: str | None) -> dict[str, str]:
    """pyfarmhash, which TFDV needs, is published without wheels: what is missing to compile it, by Debian's package."""
    missing = {}
    if compiler is None:
        missing["g++"] = "a C++ compiler"
    if not python.has_headers:
        missing[f"python{dotted(python.version[:2])}-dev"] = f"the headers of {python.path}"
    return missing


def build_tools_advice(missing: dict[str, str]) -> str:
    named = " and ".join(f"{what} (Debian and Ubuntu: {package})" for package, what in missing.items())
    return f"pyfarmhash, which TFX needs, has no wheel and is compiled here; install {named}."


PROBE = """
import importlib.util, json, os, sys, sysconfig
print(json.dumps({
    # Inside a venv, the Python that the venv was made from: a venv on a venv ends with the first one.
    "path": os.path.realpath(getattr(sys, "_base_executable", sys.executable)),
    "version": sys.version_info[:3],
    "has_venv": all(importlib.util.find_spec(name) for name in ("venv", "ensurepip")),
    "has_headers": os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")),
}))
"""


def ask(command: str) -> Interpreter | None:
    """What the interpreter says of itself; None if it does not start."""
    try:
        answer = subprocess.run(
            [command, "-I", "-c", PROBE], capture_output=True, text=True, timeout=20, check=True, cwd="/"
        )
        facts = json.loads(answer.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    return Interpreter(facts["path"], tuple(facts["version"]), facts["has_venv"], facts["has_headers"])


def candidates() -> list[str]:
    """Commands that may be a fitting Python: on the PATH, pyenv's versions (even if not selected), uv's."""
    minors = range(LINES[0].newest_python[1], LINES[0].oldest_python[1] - 1, -1)
    names = [*(f"python3.{minor}" for minor in minors), "python3"]
    found = [path for path in map(shutil.which, names) if path]
    found += [f"/usr/bin/{name}" for name in names]
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv", "versions")
    uv = Path(os.environ.get("UV_PYTHON_INSTALL_DIR") or Path.home() / ".local/share/uv/python")
    for minor in minors:
        found += sorted(map(str, pyenv.glob(f"3.{minor}.*/bin/python3.{minor}")), reverse=True)
        for folder in (uv, FETCHED):
            found += sorted(map(str, folder.glob(f"cpython-3.{minor}.*/bin/python3.{minor}")), reverse=True)
    return found


def glibc() -> Version | None:
    try:
        name, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").split()
    except (AttributeError, ValueError, OSError):
        return None
    return tuple(int(part) for part in version.split(".")[:2]) if name == "glibc" else None


def probe(python: str = "") -> Host:
    """Look around: all interpreters that start, or only the one that PYTHON= names."""
    if python:
        only = ask(python)
        if only is None:
            raise NoLineFitsError(f"PYTHON={python} does not start: name a Python 3.10 to 3.13, or leave it out.")
        found = {only.path: only}
    else:
        started: dict[str, Interpreter | None] = {}
        for command in candidates():
            real = os.path.realpath(command)
            if Path(real).exists() and real not in started:
                started[real] = ask(command)
        found = {one.path: one for one in started.values() if one is not None}
    return Host(tuple(found.values()), glibc(), platform.system(), platform.machine())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stack", default="", help="take this TFX line: 1.16 or 1.21")
    parser.add_argument("--python", default="", help="take this interpreter")
    parser.add_argument("--why", action="store_true", help="say the reason on standard error")
    options = parser.parse_args()
    try:
        choice = choose(probe(options.python), options.stack)
    except NoLineFitsError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if options.why:
        sys.stderr.write(f"{choice.reason}\n")
    sys.stdout.write(f"{choice.line.name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
