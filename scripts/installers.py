"""The packages that install the others, and how pip is told to reach its index here."""

from __future__ import annotations

import os
import re
import subprocess

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
