"""What the set-up gets itself where something is missing: Debian's packages, and a Python.

Each says what it does before it does it, and gives False where it cannot: the caller then tells a person what to do.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import choose_stack
import installers

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parent.parent
UV = ROOT / "build/uv"


def install_packages(packages: list[str], say: Callable[[str], None]) -> bool:
    """From Debian or Ubuntu, which takes root."""
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        return False
    say(f"Installing {' and '.join(packages)} with apt-get, because it is missing here.")
    install = [apt, "install", "-qq", "-y", "--no-install-recommends", *packages]

    def run(command: list[str]) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        return subprocess.run(command, check=False, env=environment, capture_output=True, text=True)

    if run(install).returncode == 0:
        return True
    run([apt, "update", "-qq"])
    done = run(install)
    if done.returncode:
        say(f"apt-get could not install it: {done.stderr.strip()}")
    return done.returncode == 0


def fetch_python(line: choose_stack.Line, say: Callable[[str], None]) -> bool:
    """A Python for the line, into build/python. uv knows where it is, and checks it against a hash of its own."""
    uv = pinned_uv(say)
    if uv is None:
        return False
    wanted = choose_stack.pythons(line)
    say(f"No Python {wanted} here: uv fetches Python {line.fetched_python} into build/python, for this project only.")
    choose_stack.FETCHED.mkdir(parents=True, exist_ok=True)
    command = [uv, "python", "install", "--no-bin", "--install-dir", str(choose_stack.FETCHED), line.fetched_python]
    if subprocess.run(command, check=False, env=installers.uv_environment(sys.executable)).returncode == 0:
        return True
    say("uv could not fetch it here (its message is above), so you have to do it:")
    return False


def pinned_uv(say: Callable[[str], None]) -> str | None:
    """The uv of the locks, checked by its hash; without pip, one that is on the PATH."""
    uv = UV / "bin/uv"
    if not uv.exists() and can_make_venvs(say):
        requirement = ROOT / "build/uv.txt"
        requirement.parent.mkdir(exist_ok=True)
        requirement.write_text(
            installers.subset((ROOT / "requirements/light.txt").read_text("utf-8"), ("uv",)), "utf-8"
        )
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(UV)], check=True)
        pip = [str(UV / "bin/python"), "-m", "pip", "--disable-pip-version-check", "install", "-qq"]
        subprocess.run([*pip, "--require-hashes", "--no-deps", "-r", str(requirement)], check=False)
    return str(uv) if uv.exists() else shutil.which("uv")


def can_make_venvs(say: Callable[[str], None]) -> bool:
    def able() -> bool:
        importlib.invalidate_caches()
        return all(importlib.util.find_spec(name) for name in ("venv", "ensurepip"))

    return able() or (install_packages(["python3-venv"], say) and able())
