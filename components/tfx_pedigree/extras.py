"""What an install leaves out until somebody needs it, and the command that adds it."""

from __future__ import annotations

import json
import shlex
from importlib.metadata import Distribution, PackageNotFoundError
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from tfx_pedigree.errors import UnavailableError

PACKAGE = "tfx-pedigree"


def not_installed(what: str, *extras: str) -> UnavailableError:
    """`what` begins the sentence, up to its "is" or "are"."""
    return UnavailableError(f"{what} not installed here. Run: {install_command(*extras)}")


def install_command(*extras: str) -> str:
    """Installs from where this install came from: pip looks for the bare name in an index, where it may not be."""
    return "pip install " + shlex.quote(_requirement(f"[{','.join(extras)}]"))


def _requirement(extras: str) -> str:
    noted = _noted()
    address = str(noted.get("url", ""))
    if "vcs_info" in noted:
        versioned = noted["vcs_info"]
        return f"{PACKAGE}{extras} @ {versioned['vcs']}+{address}@{versioned['commit_id']}"
    here = Path(unquote(urlsplit(address).path))
    if address.startswith("file:") and here.is_dir():
        return f"{here}{extras}"
    gone = not address or (address.startswith("file:") and not here.exists())
    return f"{PACKAGE}{extras}" if gone else f"{PACKAGE}{extras} @ {address}"


def _noted() -> dict[str, Any]:
    """What pip or uv noted when it installed this (PEP 610); where nobody did, the checkout that this file is in."""
    try:
        noted: dict[str, Any] = json.loads(Distribution.from_name(PACKAGE).read_text("direct_url.json") or "{}")
        return noted
    except (PackageNotFoundError, ValueError):
        checkout = Path(__file__).parents[2]
        return {"url": checkout.as_uri()} if (checkout / "pyproject.toml").is_file() else {}
