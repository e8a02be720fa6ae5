"""What a container's build must know to reach the package index as pip does here: a pip.conf and a certificate.

Both are given to the build as secrets (`--secret`), so that nothing of them stays in an image. Paths of this machine
mean nothing in there and are left out, but for the certificate, which comes along under its name inside.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from installers import listed_settings

INSIDE = "/run/secrets/ca.crt"
NETWORK = ("index-url", "extra-index-url", "proxy", "timeout", "default-timeout", "trusted-host")


def configuration(settings: Mapping[str, str]) -> str:
    rows = ["[global]"]
    for name in NETWORK:
        reachable = [one for one in settings.get(name, "").split() if not one.startswith(("file:", "/"))]
        if reachable:
            rows.append(f"{name} = {' '.join(reachable)}")
    if settings.get("cert"):
        rows.append(f"cert = {INSIDE}")
    return "\n".join([*rows, ""])


def main(folder: Path) -> None:
    settings = listed_settings(sys.executable)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / "pip.conf").write_text(configuration(settings), "utf-8")
    if settings.get("cert"):
        shutil.copyfile(settings["cert"], folder / "ca.crt")
    else:
        (folder / "ca.crt").write_bytes(b"")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
