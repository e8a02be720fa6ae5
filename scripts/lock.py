"""Write requirements/tfx-<line>.txt anew: every package of a line with its version and hashes.

The answer depends on the .in files, pyproject.toml and the date alone: uv sees no package newer than the date. What a
lock holds already is kept as long as it fits; --upgrade starts over. A lock names no index, host or path.

The images' locks (requirements/image-*.txt) and that of the light tests (light.txt) follow: the part of a line that a
container or those tests need, in the same versions.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from installers import subset

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "requirements"
EXTRAS = (
    *("tfx", "lineage", "postgres", "s3", "gcs", "git", "kubeflow", "vertex"),
    *("server", "rollout", "sign", "pkcs11", "dev"),
)

# TFX's compiled parts (tfx-bsl, ml-metadata) exist for this platform only.
PLATFORM = "platform_machine == 'x86_64' and platform_python_implementation == 'CPython' and sys_platform == 'linux'"
PYTHONS = {"1.16": "python_full_version < '3.11'", "1.21": "python_full_version < '3.14'"}

# Installed first, from a lock of their own: sdists are then built with this setuptools, not with one fetched unchecked.
IMAGE_TOOLS = ("pip", "setuptools", "wheel")

HEADER = """\
# Every package of the TFX {line} line on x86-64 Linux, as of {date}.
# Made by `make lock` from pyproject.toml, tools.in and tfx-{line}.in: edit those.
"""


@dataclass(frozen=True)
class Image:
    """The extras of the library that an image holds, with the versions of a line, and what they forget to name."""

    line: str
    extras: tuple[str, ...]
    besides: tuple[str, ...] = ()


# tf.summary needs tensorboard, and the TensorFlow of the 1.21 line does not depend on it any longer.
_TASKS = (("tfx", "postgres", "s3", "gcs", "kubeflow"), ("tensorboard",))
IMAGES = {
    "image-1.16": Image("1.16", *_TASKS),
    "image-1.21": Image("1.21", *_TASKS),
    # Not Vertex: its client alone is larger than all the rest.
    "image-light": Image("1.21", ("postgres", "s3", "gcs", "kubeflow")),
    "image-server": Image("1.21", ("postgres", "s3", "gcs", "server", "rollout", "sign")),
}
# What `make unit-light` installs: light.in says the tools.
LIGHT = Image("1.21", ("postgres", "s3", "git", "server", "rollout", "sign", "pkcs11"))
IMAGE_HEADER = """\
# What {what} installs: a part of tfx-{line}.txt.
# Made by `make lock` from pyproject.toml and that lock; scripts/lock.py says which extras.
"""


def plain(line: str, text: str) -> str:
    """The lock with the markers taken out that hold wherever this line is installed: people read locks, too."""
    always = {*PLATFORM.split(" and "), PYTHONS[line], "implementation_name != 'pypy'"}

    def shorter(row: re.Match[str]) -> str:
        if " or " in row["marker"]:
            return row[0]
        rest = [part for part in row["marker"].split(" and ") if part not in always]
        return f"{row['pin']} ; {' and '.join(rest)} \\" if rest else f"{row['pin']} \\"

    return re.sub(r"^(?P<pin>\S+==\S+) ; (?P<marker>.+) \\$", shorter, text, flags=re.MULTILINE)


def foreign(text: str) -> list[str]:
    """Lines that would carry this machine's indexes or paths into the project."""
    return [row for row in text.splitlines() if re.search(r"://|^\s*-{1,2}(?!-?hash=)[a-z]|\s/[a-z]|file:", row)]


@contextlib.contextmanager
def workplace(line: str) -> Iterator[Path]:
    """A folder from which uv resolves. uv reads the platforms only from a pyproject.toml: a copy says them, so that the
    project's own needs no uv.
    """
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        environment = f"{PLATFORM} and {PYTHONS[line]}"
        project = (ROOT / "pyproject.toml").read_text("utf-8")
        (work / "pyproject.toml").write_text(f'{project}\n[tool.uv]\nenvironments = ["{environment}"]\n', "utf-8")
        for source in REQUIREMENTS.glob("*.in"):
            (work / source.name).write_bytes(source.read_bytes())
        yield work


def resolve(uv: str, work: Path, line: str, extras: tuple[str, ...], *more: str) -> str:
    command = [uv, "pip", "compile", "--quiet", "--universal", "--python-version", "3.10", "--generate-hashes"]
    command += ["--no-header", "--no-annotate", "--python", sys.executable]
    command += [word for extra in extras for word in ("--extra", extra)]
    command += ["pyproject.toml", *more, "--output-file", "lock.txt"]
    subprocess.run(command, cwd=work, check=True, env={**os.environ, "UV_PYTHON_DOWNLOADS": "never"})
    body = plain(line, (work / "lock.txt").read_text("utf-8"))
    leaked = foreign(body)
    if leaked:
        raise SystemExit(f"No lock for TFX {line} was written, because it would name this machine: {leaked[0]!r}")
    return body


def compile_line(uv: str, line: str, date: str, upgrade: bool) -> str:
    lock = REQUIREMENTS / f"tfx-{line}.txt"
    with workplace(line) as work:
        if lock.exists() and not upgrade:
            (work / "lock.txt").write_bytes(lock.read_bytes())
        body = resolve(uv, work, line, EXTRAS, f"tfx-{line}.in", "--exclude-newer", date)
    return HEADER.format(line=line, date=date) + body


def compile_part(uv: str, image: Image, what: str, source: str = "besides.in") -> str:
    """Nothing is decided here: the line's lock has the versions, and uv says which of them are needed."""
    with workplace(image.line) as work:
        (work / "line.txt").write_bytes((REQUIREMENTS / f"tfx-{image.line}.txt").read_bytes())
        (work / "besides.in").write_text("".join(f"{one}\n" for one in image.besides), "utf-8")
        body = resolve(uv, work, image.line, image.extras, source, "--constraints", "line.txt")
    return IMAGE_HEADER.format(what=what, line=image.line) + body


def write(name: str, text: str) -> None:
    (REQUIREMENTS / f"{name}.txt").write_text(text, "utf-8")
    count = len(set(re.findall(r"^[a-z0-9][^=\s]*(?===)", text, re.MULTILINE)))
    sys.stdout.write(f"requirements/{name}.txt: {count} packages\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uv", required=True, help="the uv to resolve with")
    parser.add_argument("--date", required=True, help="leave out what was published on this day or later")
    parser.add_argument("--upgrade", action="store_true", help="forget the present lock, take the newest that fits")
    parser.add_argument("lines", nargs="*", default=sorted(PYTHONS), help="default: all lines")
    options = parser.parse_args()
    uv = Path(options.uv).absolute()
    if not uv.exists():
        raise SystemExit(f"{options.uv} is not there: the venv was set up without uv, which makes the locks.")
    for line in options.lines:
        write(f"tfx-{line}", compile_line(str(uv), line, options.date, options.upgrade))
    for name, image in IMAGES.items():
        if image.line in options.lines:
            write(name, compile_part(str(uv), image, f"the image {name.removeprefix('image-')}"))
    if LIGHT.line in options.lines:
        write("light", compile_part(str(uv), LIGHT, "`make unit-light`", "light.in"))
    tools = subset((REQUIREMENTS / "tfx-1.21.txt").read_text("utf-8"), IMAGE_TOOLS)
    write("image-tools", IMAGE_HEADER.format(what="every image, before all else,", line="1.21") + tools)


if __name__ == "__main__":
    main()
