"""The help is complete, agrees with itself, and so do the shells' completions."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import click
import pytest
from cli_testing import Pedigree
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from tfx_pedigree.cli.app import App
from tfx_pedigree.cli.lazy import Lazy
from tfx_pedigree.cli.main import SECTIONS, cli
from tfx_pedigree.registry import PromotionRequest, Role, State
from tfx_pedigree.versioning import Bump

LAZY = {name: lazy for commands in SECTIONS.values() for name, lazy in commands.items()}


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


@pytest.mark.parametrize(("name", "lazy"), LAZY.items())
def test_list_of_commands_says_what_the_command_says_of_itself(name: str, lazy: Lazy) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert (command.help or "").partition("\n")[0] == lazy.summary
    assert command.name == name


def test_every_command_and_option_is_explained(reader: Pedigree) -> None:
    for path, command in commands(cli):
        assert command.help, path
        said = reader(*path, "--help").out
        assert said.startswith(f"Usage: pedigree {' '.join(path)}")
        for param in command.params:
            if isinstance(param, click.Option) and not param.hidden:
                explained = param.help or param.show_default
                assert explained, (path, param.name)


def test_every_command_takes_the_common_options(reader: Pedigree) -> None:
    for path, command in commands(cli):
        if not isinstance(command, click.Group):
            names = {param.name for param in command.params}
            assert {"registry", "store", "actor", "config", "json"} <= names, path


def test_help_of_a_command_that_takes_a_version_says_how_one_is_written(reader: Pedigree) -> None:
    for words in (("promote",), ("diff",), ("history",), ("evidence", "attach")):
        assert "REF is MODEL@VERSION" in reader(*words, "--help").out
    assert "REF is" not in reader("models", "--help").out


def test_examples_in_the_help_have_all_that_their_commands_need(monkeypatch: pytest.MonkeyPatch) -> None:
    examples = [line for _, one in commands(cli) for line in re.findall(r"^ *pedigree (.+)$", one.help or "", re.M)]
    assert len(examples) > 10
    monkeypatch.setattr(click.Command, "invoke", lambda *_: None)  # commands are read, and not done
    for example in examples:
        done = CliRunner().invoke(cli, shlex.split(example))
        assert done.exit_code == 0, (example, done.output)


def test_no_command_means_help(reader: Pedigree) -> None:
    assert reader().out == reader("--help").out == reader("-h").out
    assert "Usage: pedigree alias" in reader("alias").out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.system
def test_completion_script_names_the_command(reader: Pedigree, shell: str) -> None:
    assert "_PEDIGREE_COMPLETE" in reader("completion", shell).out


@pytest.mark.parametrize(
    ("words", "incomplete", "expected"),
    [
        ((), "prom", {"promote"}),
        (("versions",), "fl", {"flight-delay"}),
        (("show",), "flight-delay@1.0", {"flight-delay@1.0.0", "flight-delay@1.0.1"}),
        (("show",), "flight-delay@c", {"flight-delay@champion", "flight-delay@canary"}),
        (("show",), "fl", {"flight-delay@"}),
        (("roles", "grant", "bob"), "re", {"reviewer", "releaser"}),
    ],
)
def test_shell_completes_what_is_there(
    reader: Pedigree, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], incomplete: str, expected: set[str]
) -> None:
    monkeypatch.setenv("PEDIGREE_REGISTRY", str(reader.registry))
    completion = ShellComplete(cli, {"obj": App()}, "pedigree", "_PEDIGREE_COMPLETE")
    assert {item.value for item in completion.get_completions(list(words), incomplete)} == expected


def test_completion_is_silent_where_there_is_no_registry(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PEDIGREE_REGISTRY", str(tmp_path_factory.mktemp("empty")))
    completion = ShellComplete(cli, {"obj": App()}, "pedigree", "_PEDIGREE_COMPLETE")
    assert completion.get_completions(["versions"], "fl") == []


def test_words_to_choose_from_are_those_that_the_registry_knows() -> None:
    """They stand in the command line a second time, so that the help needs no registry."""
    known = dict(commands(cli))

    def choices(*path: str, name: str) -> list[str]:
        (param,) = (param for param in known[path].params if param.name == name)
        assert isinstance(param.type, click.Choice)
        return list(param.type.choices)

    assert choices("roles", "grant", name="role") == [str(role) for role in Role]
    assert set(choices("register", name="bump")) == {bump.value for bump in Bump}
    assert {PromotionRequest(State(word)).target for word in choices("promote", name="target")} == {
        State.STAGING,
        State.PRODUCTION,
    }
