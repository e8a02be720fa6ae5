"""The real process: what it imports, how it behaves in a pipe, and the script that pip installs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cli_testing import MODELS, Pedigree

RUN = "import sys; from tfx_pedigree.cli.main import cli\n"
HEAVY = ("tensorflow", "tfx", "apache_beam", "ml_metadata", "keras", "tensorflow_model_analysis")


def loaded_after(told: Path, *commands: tuple[str, ...], fakes: Path | None = None) -> set[str]:
    """The top-level modules, and ours in full, that running these commands in a fresh process has imported.

    What the interpreter brings along by itself (some packages install a .pth file) does not count.
    """
    script = (
        "import sys; before = set(sys.modules)\n"
        + RUN
        + (
            "for words in " + repr(list(commands)) + ":\n"
            "    try: cli.main(words, 'pedigree')\n"
            "    except SystemExit as end: assert not end.code, (words, end.code)\n"
            "print('LOADED', *(set(sys.modules) - before))\n"
        )
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, env=environment(told, fakes)
    )
    assert done.returncode == 0, done.stderr
    names = done.stdout.rpartition("LOADED")[2].split()
    return {name for name in names if name.startswith("tfx_pedigree")} | {name.partition(".")[0] for name in names}


def environment(told: Path, fakes: Path | None = None) -> dict[str, str]:
    paths = filter(None, (str(fakes or ""), os.environ.get("PYTHONPATH", "")))
    own = {"PEDIGREE_REGISTRY": str(told / "registry"), "PEDIGREE_ACTOR": "mia", "PYTHONPATH": os.pathsep.join(paths)}
    return {**{k: v for k, v in os.environ.items() if not k.startswith("PEDIGREE_")}, **own}


def test_help_imports_neither_database_nor_tables(told: Path) -> None:
    loaded = loaded_after(told, ("--help",), ("promote", "--help"), ("alias", "--help"), ("show", "--help"))
    assert not loaded & {"sqlalchemy", "rich", "fsspec", "google", "alembic", "yaml", "rfc8785", "semver"}


# Each module costs a start about a millisecond.
READING = frozenset({"cli", "service", "registry", "signing", "versioning", "db", "json_form"})
NOT_FOR_READING = (
    *("registry.audit", "registry.row_check", "registry.model_replay", "registry.registry_replay"),
    *("registry.transfer", "signing.pkcs11", "versioning.saved_model", "versioning.git_state", "service.promotion"),
)


def test_reading_versions_needs_neither_bytes_nor_other_rooms(told: Path) -> None:
    loaded = loaded_after(told, ("versions", "flight-delay"), ("show", "flight-delay"), ("history", "flight-delay"))
    assert not loaded & {"fsspec", "google", "alembic", "cryptography", "yaml", "urllib3"}
    ours = {name.removeprefix("tfx_pedigree.") for name in loaded if name.startswith("tfx_pedigree.")}
    assert {name.partition(".")[0] for name in ours if "." in name} == READING
    assert not ours & set(NOT_FOR_READING)
    assert "rich" not in loaded_after(told, ("versions", "flight-delay", "--json"))


def test_no_command_that_reads_loads_tensorflow(told: Path, tmp_path: Path) -> None:
    for name in HEAVY:  # so that an import which only succeeds where TensorFlow is installed is seen here too
        (tmp_path / f"{name}.py").write_text("")
    model = "flight-delay"
    loaded = loaded_after(
        told,
        *[("models",), ("versions", model), ("show", model), ("search", model, "metric.auc>0"), ("history", model)],
        *[("compare", model), ("at", model, "2027-01-01"), ("history",), ("alias", "list", model), ("roles", "list")],
        *[("audit", "verify"), ("audit", "anchor"), ("verify",), ("gc",), ("config",), ("evidence", "show", model)],
        *[("pull", model, str(tmp_path / "out")), ("export", model, str(tmp_path / "model.tar"))],
        fakes=tmp_path,
    )
    assert "tfx_pedigree.store.store" in loaded
    assert not loaded & set(HEAVY)


def test_script_registers_a_model(tmp_path: Path, told: Path) -> None:
    script = Path(sys.executable).with_name("pedigree")
    command = (
        [str(script)] if script.exists() else [sys.executable, "-c", "from tfx_pedigree.cli.main import main; main()"]
    )
    env = {**environment(told), "PEDIGREE_REGISTRY": str(tmp_path / "registry")}

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*command, *words], capture_output=True, text=True, check=False, env=env)

    assert run("init").returncode == 0
    said = run("register", "flight-delay", str(MODELS / "keras"), "--json")
    assert json.loads(said.stdout)["version"]["version"] == "1.0.0"
    assert run("--version").stdout.startswith("pedigree ")
    refused = run("show", "flight-delay@2")
    assert (refused.returncode, refused.stdout) == (3, "")


@pytest.mark.parametrize("words", [("versions", "flight-delay", "--json"), ("history", "flight-delay"), ("--help",)])
def test_reader_that_went_away_is_no_error(told: Path, words: tuple[str, ...]) -> None:
    read, write = os.pipe()
    os.close(read)
    script = RUN + f"cli.main({list(words)!r}, 'pedigree')"
    done = subprocess.run(
        [sys.executable, "-c", script], stdout=write, stderr=subprocess.PIPE, check=False, env=environment(told)
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")


def test_output_that_cannot_be_encoded_is_shown_all_the_same(registry: Path, told: Path) -> None:
    Pedigree(registry)("tag", "flight-delay@1.0.0", "team=Größe")
    env = {**environment(told), "PEDIGREE_REGISTRY": str(registry), "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; from tfx_pedigree.cli.main import main; main()",
            "show",
            "flight-delay@1.0.0",
        ],
        capture_output=True,
        text=True,
        check=False,
        env=env,
    )
    assert done.returncode == 0
    assert "Gr\\xf6\\xdfe" in done.stdout


def test_archive_goes_from_one_registry_to_another_through_a_pipe(told: Path, tmp_path: Path) -> None:
    own, other = environment(told), {**environment(told), "PEDIGREE_REGISTRY": str(tmp_path / "other")}
    words = [sys.executable, "-c", f"{RUN}cli.main(sys.argv[1:], 'pedigree')"]
    subprocess.run([*words, "init"], check=True, capture_output=True, env=other)
    with subprocess.Popen(
        [*words, "export", "flight-delay", "-", "--json"], stdout=subprocess.PIPE, env=own
    ) as exporting:
        done = subprocess.run(
            [*words, "import", "-", "--json"], stdin=exporting.stdout, capture_output=True, check=True, env=other
        )
    assert exporting.returncode == 0
    assert json.loads(done.stdout)["versions"] == 3
    said = subprocess.run([*words, "export", "flight-delay", "-"], capture_output=True, check=True, env=own)
    assert b"was written to standard output" in said.stderr
    again = subprocess.run([*words, "import", "-"], input=said.stdout, capture_output=True, check=True, env=other)
    assert b"nothing changed" in again.stdout
