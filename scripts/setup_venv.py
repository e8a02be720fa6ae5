"""Make .venv-<line> complete: the locked packages, checked by their hashes, and this project in editable form.

A stamp inside the venv is written last and names what it was made from. Without a stamp, or with one that tells of
another lock, folder or Python, the venv is made anew from nothing: a half installed one is never taken for complete.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import choose_stack
import installers
import other_programs
import remedies

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent


def say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def digest(*parts: bytes) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def wanted_stamp(venv: Path, lock: bytes, project: bytes) -> dict[str, str]:
    """What a complete venv was made from. A moved venv is worthless: its scripts begin with its old path."""
    return {"packages": digest(lock, str(venv).encode(), b"layout 1"), "project": digest(project)}


def what_is_left(venv: Path, wanted: dict[str, str], python: str) -> str:
    """'nothing', 'project' (only its metadata changed) or 'all'. `python` is the interpreter asked for, if any."""
    try:
        stamp = json.loads((venv / "stamp.json").read_text("utf-8"))
    except (OSError, ValueError):
        return "all"
    if stamp.get("packages") != wanted["packages"] or (python and stamp.get("python") != python):
        return "all"
    # The venv's Python is a link to one that may have been removed since.
    if choose_stack.ask(str(venv / "bin/python")) is None:
        return "all"
    return "nothing" if stamp.get("project") == wanted["project"] else "project"


def pip_install(venv: Path) -> list[str]:
    """Errors only: one warning for each package and index would bury them."""
    return [str(venv / "bin/python"), "-m", "pip", "--disable-pip-version-check", "install", "-qq"]


def install_installers(venv: Path, lock: Path, installer: str) -> None:
    pip = [*pip_install(venv), "--require-hashes"]
    first = venv / "installers.txt"
    for names in (installers.NAMES, installers.NAMES[:2]):
        if "uv" in names and installer == "pip":
            continue
        first.write_text(installers.subset(lock.read_text("utf-8"), names), "utf-8")
        done = subprocess.run([*pip, "--no-deps", "-r", str(first)], check=False)
        if done.returncode == 0:
            break
    else:
        raise SystemExit(f"pip could not install {' and '.join(names)} into {venv}: see its message above.")


def install_packages(venv: Path, lock: Path, installer: str) -> None:
    python, uv = venv / "bin/python", venv / "bin/uv"
    if installer != "pip" and uv.exists():
        command = [str(uv), "pip", "install", "--quiet", "--python", str(python), "--require-hashes"]
        command += ["--no-build-isolation", "-r", str(lock)]
        if venv.name != ".venv-light":  # where most of what TFX brings is loaded; little of the light part is
            command.append("--compile-bytecode")
        done = subprocess.run(command, check=False, env=installers.uv_environment(str(python)))
        if done.returncode == 0:
            return
        say("uv could not install the lock here (its message is above): pip does it, which takes longer.")
    pip = [*pip_install(venv), "--require-hashes", "--no-build-isolation"]
    done = subprocess.run([*pip, "-r", str(lock)], check=False)
    if done.returncode:
        raise SystemExit(
            f"pip could not install {lock.name} into {venv.name}: see its message above, then run it again."
        )


def install_project(venv: Path) -> None:
    command = [*pip_install(venv), "--no-index", "--no-deps", "--no-build-isolation", "--editable", str(ROOT)]
    # Without the packaging advice of setuptools, which is for releases.
    if subprocess.run(command, check=False, env={**os.environ, "PYTHONWARNINGS": "ignore"}).returncode:
        raise SystemExit(
            "This project could not be installed: see pip's message above; pyproject.toml may be at fault."
        )


@contextlib.contextmanager
def alone(line: str) -> Iterator[None]:
    """Two runs of make at once: the second waits for the first, then finds all done."""
    (ROOT / "build").mkdir(exist_ok=True)
    with (ROOT / "build" / f"setup-{line}.lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"Another run is setting up .venv-{line}: waiting for it.")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def provide_build_tools(interpreter: choose_stack.Interpreter) -> None:
    def missing() -> dict[str, str]:
        asked = choose_stack.ask(interpreter.path) or interpreter
        return choose_stack.build_tools_missing(asked, shutil.which("c++") or shutil.which("g++"))

    lacking = missing()
    if lacking and not (remedies.install_packages(list(lacking), say) and not missing()):
        raise SystemExit(choose_stack.build_tools_advice(lacking))


def chosen(stack: str, python: str) -> choose_stack.Choice:
    """What fits; where no Python does, after an attempt to get one. Raises NoLineFitsError with advice for a person."""
    try:
        return choose_stack.choose(choose_stack.probe(python), stack)
    except choose_stack.NoLineFitsError as error:
        if python or error.line is None:
            raise
        mended = error.package and remedies.install_packages([error.package], say)
        if not mended and not remedies.fetch_python(error.line, say):
            raise
    return choose_stack.choose(choose_stack.probe(), stack)


def set_up(choice: choose_stack.Choice, python: str, installer: str) -> None:
    venv = ROOT / f".venv-{choice.line.name}"
    lock = ROOT / "requirements" / choice.line.lock
    wanted = wanted_stamp(venv, lock.read_bytes(), (ROOT / "pyproject.toml").read_bytes())
    asked = choice.interpreter.path if python else ""
    left = what_is_left(venv, wanted, asked)
    started = time.monotonic()
    base = choice.interpreter.path
    stamp = venv / "stamp.json"
    # Light tests that start a program are run by `make system-light`, which fetches them.
    programs = [] if choice.line is choose_stack.LIGHT else list(other_programs.RECIPES)
    if left == "project":
        base = json.loads(stamp.read_text("utf-8"))["python"]
    elif left == "all":
        if choice.line is not choose_stack.LIGHT:
            provide_build_tools(choice.interpreter)
        say(f"Setting up {venv.name} from requirements/{lock.name}: minutes the first time, nothing the next.")
        stamp.unlink(missing_ok=True)
        subprocess.run([base, "-m", "venv", "--clear", str(venv)], check=True)
        install_installers(venv, lock, installer)
    with ThreadPoolExecutor(1) as beside:
        # The browser may be one that a package of the venv fetches.
        early = [name for name in programs if name != "chromium"]
        fetched = beside.submit(other_programs.provide_all, early, str(venv / "bin/python"), say)
        if left == "all":
            install_packages(venv, lock, installer)
        if left != "nothing":
            install_project(venv)
            draft = venv / "stamp.json.new"
            draft.write_text(json.dumps({**wanted, "python": base}, indent=2), "utf-8")
            draft.replace(stamp)
            say(f"{venv.name} is ready after {time.monotonic() - started:.0f} s.")
        fetched.result()
    other_programs.provide_all(programs, str(venv / "bin/python"), say)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stack", default="", help="the TFX line, 1.16 or 1.21, or light; default: the line that fits")
    parser.add_argument("--python", default="", help="make the venv with this interpreter; default: what fits")
    parser.add_argument("--installer", choices=("auto", "pip"), default="auto", help="auto: uv, and pip if uv fails")
    options = parser.parse_args()
    try:
        choice = chosen(options.stack, options.python)
    except choose_stack.NoLineFitsError as error:
        say(str(error))
        return 1
    say(choice.reason)
    with alone(choice.line.name):
        set_up(choice, options.python, options.installer)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        say("Interrupted: the next run sets up from nothing what is not complete.")
        sys.exit(130)
