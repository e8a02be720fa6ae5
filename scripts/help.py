"""Print what `make` can do: the targets of the Makefile that have a `##` text, and its variables."""

from __future__ import annotations

import re
import sys
from pathlib import Path


def main() -> None:
    text = Path(sys.argv[1]).read_text("utf-8")
    bold, plain = ("\033[1m", "\033[0m") if sys.stdout.isatty() else ("", "")
    out = ["Pedigree: versions, lineage and gated promotion for the models that TFX pipelines train", ""]
    out += [
        f"  {bold}make {name:<12}{plain} {what}" for name, what in re.findall(r"^([a-z-]+):.*?## +(.+)$", text, re.M)
    ]
    out += ["", "Variables:", ""]
    out += [f"  {bold}{name:<17}{plain} {what}" for name, what in re.findall(r"^#   ([A-Z]+=.*?)  +(.+)$", text, re.M)]
    sys.stdout.write("\n".join(out) + "\n")


if __name__ == "__main__":
    main()
