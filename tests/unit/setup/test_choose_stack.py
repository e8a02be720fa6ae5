"""Which TFX line is set up on which machine, and what people are told where none can be."""

from __future__ import annotations

import sys

import pytest
from choose_stack import Host, Interpreter, NoLineFitsError, build_tools_advice, build_tools_missing, choose, probe

BOOKWORM, TRIXIE, CENTOS7 = (2, 36), (2, 41), (2, 17)


def python(minor: int, patch: int = 4, *, venv: bool = True, headers: bool = True) -> Interpreter:
    return Interpreter(f"/opt/python3.{minor}", (3, minor, patch), venv, headers)


def machine(glibc: tuple[int, int], *minors: int) -> Host:
    return Host(tuple(map(python, minors)), glibc)


@pytest.mark.parametrize(
    ("host", "stack", "line", "minor", "because"),
    [
        # The newest line that the C library allows, with the newest Python.
        (machine(TRIXIE, 10, 13), "", "1.21", 13, "glibc 2.41 here, it needs 2.39"),
        (machine(TRIXIE, 10), "", "1.21", 10, "glibc 2.41 here, it needs 2.39"),
        (machine((2, 39), 12, 11), "", "1.21", 12, "glibc 2.39 here"),
        (machine((2, 38), 10, 13), "", "1.16", 10, "glibc 2.38 here, the 1.21 line needs 2.39"),
        (machine(BOOKWORM, 13, 11, 10), "", "1.16", 10, "glibc 2.36 here, the 1.21 line needs 2.39"),
        # Pythons of neither line are passed over.
        (machine(TRIXIE, 14, 12, 9), "", "1.21", 12, "glibc 2.41 here"),
        # STACK= has the last word where it is possible.
        (machine(TRIXIE, 10, 13), "1.16", "1.16", 10, "STACK=1.16 says so"),
        (machine(TRIXIE, 10, 13), "1.21", "1.21", 13, "STACK=1.21 says so"),
    ],
)
def test_choice(host: Host, stack: str, line: str, minor: int, because: str) -> None:
    choice = choose(host, stack)
    assert (choice.line.name, choice.interpreter.version[1]) == (line, minor)
    assert choice.reason.startswith(f"TFX {line} line: {because}")
    assert choice.reason.endswith(f"Python 3.{minor}.4 at /opt/python3.{minor}")


@pytest.mark.parametrize(
    ("host", "stack", "words"),
    [
        (Host((python(10),), BOOKWORM), "1.21", ["needs glibc 2.39", "2.36", "STACK=1.16", "make test-latest"]),
        (Host((python(10),), CENTOS7), "", ["needs glibc 2.28", "2.17"]),
        (Host((python(10),), None), "", ["musl"]),
        (Host((python(11), python(13)), BOOKWORM), "", ["needs Python 3.10;", "3.11.4 at /opt/python3.11", "PYTHON="]),
        (Host((python(12),), TRIXIE), "1.16", ["needs Python 3.10;", "3.12.4", "pyenv install 3.10"]),
        (Host((), TRIXIE), "", ["needs Python 3.10 to 3.13", "found: none"]),
        (Host((python(12, venv=False),), TRIXIE), "", ["/opt/python3.12", "install python3.12-venv"]),
        (Host((python(10),), TRIXIE), "1.17", ["STACK=1.17 is none of the TFX lines", "STACK=1.16 or STACK=1.21"]),
        (Host((python(10),), None, "Darwin", "arm64"), "", ["x86-64 Linux only", "Darwin arm64"]),
        (Host((python(10),), BOOKWORM, "Linux", "aarch64"), "", ["x86-64 Linux only", "aarch64"]),
    ],
)
def test_no_line_fits_and_the_message_names_the_remedy(host: Host, stack: str, words: list[str]) -> None:
    with pytest.raises(NoLineFitsError) as caught:
        choose(host, stack)
    assert [word for word in words if word not in str(caught.value)] == []


def test_a_python_that_can_make_a_venv_is_better_than_a_newer_one() -> None:
    host = Host((python(13, venv=False), python(12, headers=False), python(11)), TRIXIE)
    assert choose(host).interpreter.version[1] == 11


def test_of_two_pythons_of_one_version_the_complete_one_is_taken() -> None:
    host = Host((python(10, 2, venv=False), python(10)), BOOKWORM)
    assert choose(host).interpreter.has_venv


def test_what_pyfarmhash_needs_is_named_with_its_package() -> None:
    assert build_tools_missing(python(12), "/usr/bin/c++") == {}
    missing = build_tools_missing(python(12, headers=False), None)
    assert list(missing) == ["g++", "python3.12-dev"]
    message = build_tools_advice(missing)
    assert "install a C++ compiler (Debian and Ubuntu: g++) and the headers of /opt/python3.12" in message


@pytest.mark.system
def test_probing_finds_the_python_that_runs_this_test() -> None:
    assert sys.version_info[:3] in [one.version for one in probe(sys.executable).interpreters]


@pytest.mark.system
def test_an_interpreter_that_does_not_start_is_named() -> None:
    with pytest.raises(NoLineFitsError, match="PYTHON=/no/such/python does not start"):
        probe("/no/such/python")
