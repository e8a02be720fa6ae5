"""Write requirements/tfx-<line>.txt anew: every package of a line with its version and hashes.

The answer depends on the .in files, pyproject.toml and the date alone: uv sees no package newer than the date. What a
lock holds already is kept as long as it fits; --upgrade starts over. A lock names no index, host or path.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "requirements"
EXTRAS = ("tfx", "lineage", "postgres", "s3", "gcs", "git", "kubeflow", "vertex", "dev")

# TFX's compiled parts (tfx-bsl, ml-metadata) exist for this platform only.
PLATFORM = "platform_machine == 'x86_64' and platform_python_implementation == 'CPython' and sys_platform == 'linux'"
PYTHONS = {"1.16": "python_full_version < '3.11'", "1.21": "python_full_version < '3.14'"}

HEADER = """\
# Every package of the TFX {line} line on x86-64 Linux, as of {date}.
# Made by `make lock` from pyproject.toml, tools.in and tfx-{line}.in: edit those.
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


def compile_line(uv: str, line: str, date: str, upgrade: bool) -> str:
    lock = REQUIREMENTS / f"tfx-{line}.txt"
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        # uv reads the platforms only from a pyproject.toml: a copy says them, so that the project's own needs no uv.
        environment = f"{PLATFORM} and {PYTHONS[line]}"
        project = (ROOT / "pyproject.toml").read_text("utf-8")
        (work / "pyproject.toml").write_text(f'{project}\n[tool.uv]\nenvironments = ["{environment}"]\n', "utf-8")
        for source in REQUIREMENTS.glob("*.in"):
            (work / source.name).write_bytes(source.read_bytes())
        out = work / "lock.txt"
        if lock.exists() and not upgrade:
            out.write_bytes(lock.read_bytes())
        command = [uv, "pip", "compile", "--quiet", "--universal", "--python-version", "3.10", "--generate-hashes"]
        command += ["--no-header", "--no-annotate", "--exclude-newer", date, "--python", sys.executable]
        command += [word for extra in EXTRAS for word in ("--extra", extra)]
        command += ["pyproject.toml", f"tfx-{line}.in", "--output-file", out.name]
        subprocess.run(command, cwd=work, check=True, env={**os.environ, "UV_PYTHON_DOWNLOADS": "never"})
        body = plain(line, out.read_text("utf-8"))
    leaked = foreign(body)
    if leaked:
        raise SystemExit(f"The lock for TFX {line} was not written, because it would name this machine: {leaked[0]!r}")
    return HEADER.format(line=line, date=date) + body


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
        text = compile_line(str(uv), line, options.date, options.upgrade)
        (REQUIREMENTS / f"tfx-{line}.txt").write_text(text, "utf-8")
        count = len(set(re.findall(r"^[a-z0-9][^=\s]*(?===)", text, re.MULTILINE)))
        sys.stdout.write(f"requirements/tfx-{line}.txt: {count} packages\n")


if __name__ == "__main__":
    main()
