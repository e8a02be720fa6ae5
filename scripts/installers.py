"""The packages that install the others, and how pip is told to reach its index here."""

from __future__ import annotations

import functools
import os
import re
import subprocess
from pathlib import Path

# Installed first, from the same lock: sdists are then built with this setuptools, not with one fetched unchecked.
NAMES = ("pip", "setuptools", "uv")


def subset(lock: str, names: tuple[str, ...]) -> str:
    """The entries of the lock for these packages, hashes included."""
    entries = re.split(r"\n(?=\S)", lock)
    return "".join(f"{entry.rstrip()}\n" for entry in entries if entry.split("==")[0] in names)


def pip_settings(listed: str) -> dict[str, str]:
    """What `pip config list` says, by name without section; as in pip, the environment has the last word."""
    rows = re.findall(r"^(global|install|:env:)\.([a-z-]+)='(.*)'$", listed, re.MULTILINE)
    rows.sort(key=lambda row: ("global", "install", ":env:").index(row[0]))
    return {name: value for _, name, value in rows}


@functools.cache
def listed_settings(python: str) -> dict[str, str]:
    """Nothing where there is no pip."""
    listed = subprocess.run([python, "-m", "pip", "config", "list"], check=False, capture_output=True, text=True)
    return pip_settings(listed.stdout)


def uv_environment(python: str) -> dict[str, str]:
    """uv reads no pip configuration: the index and the certificate are handed on, unless uv has its own."""
    settings = listed_settings(python)
    names = {"index-url": "UV_DEFAULT_INDEX", "cert": "SSL_CERT_FILE"}
    found = {variable: settings[name] for name, variable in names.items() if settings.get(name)}
    return {**found, **os.environ, "VIRTUAL_ENV": ""}


def ways(python: str, into: Path) -> list[tuple[list[str], dict[str, str]]]:
    """The commands that install into another environment, and the variables that each needs: uv's, where the venv of
    this Python has uv, then pip's."""
    uv = Path(python).with_name("uv")
    fast = [([str(uv), "pip", "install", "--quiet", "--python", str(into)], uv_environment(python))]
    slow = [python, "-m", "pip", "--python", str(into), "--disable-pip-version-check", "install", "-q"]
    return [*(fast if uv.exists() else []), (slow, dict(os.environ))]
