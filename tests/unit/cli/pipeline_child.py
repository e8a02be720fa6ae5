"""Stands in for the process that runs TFX: reads the same order, and registers a version of the span that it names.

A file `behave` beside the log says how: nothing, `fail N` (on span N), `die N` (as when memory runs out), or `hang N`
(until a file `go` appears).
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from tfx_pedigree.registry import Candidate, Facts, Registry
from tfx_pedigree.versioning import ModelDescription, Signature, TensorSpec


def main() -> int:
    return act(json.load(sys.stdin))


def act(order: dict[str, Any]) -> int:
    here, settings = Path(order["log"]).parent, order["settings"]
    span, given = settings["span"], settings["pedigree"]
    with (here / "runs").open("a") as file:
        file.write(json.dumps({"span": span, "promote_to": given.get("promote_to")}) + "\n")
    word, _, number = ((here / "behave").read_text() if (here / "behave").exists() else "").partition(" ")
    mine = number.strip() == str(span)
    if word in ("fail", "die") and mine:
        return 1 if word == "fail" else -9
    with Registry.open(given["registry"], actor=given["actor"]) as registry:
        version = registry.add(settings["name"], _candidate(span), facts=Facts(tags={"span": str(span)})).version
        while word == "hang" and mine and not (here / "go").exists():
            time.sleep(0.02)
        if given.get("promote_to") != "none":
            registry.promote(f"{version.model}@{version.version}")
    return 0


def _candidate(span: int) -> Candidate:
    signature = Signature({"x": TensorSpec("float32", (None,))}, {"y": TensorSpec("float32", (None,))})
    return Candidate(f"sha256:{span:064x}", ModelDescription(signatures={"serving_default": signature}))


if __name__ == "__main__":
    sys.exit(main())
