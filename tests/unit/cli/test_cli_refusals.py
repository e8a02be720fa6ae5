"""Every mistake ends with a sentence that helps and the exit code that docs/cli.md promises, never with a traceback."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from cli_testing import MODELS, Pedigree, evidence, write_json

from tfx_pedigree.registry import Registry


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("versions", "flight-dely"), 3, "Did you mean flight-delay?"),
        (("versions", "flight-delay@1.0.0"), 2, "Name only its model here: flight-delay."),
        (("rollback", "flight-delay@1.0.0", "--reason", "x"), 2, "Name only its model here: flight-delay."),
        (("show", "flight-delay@9.9.9"), 3, "Its highest version is 1.1.0"),
        (("show", "flight-delay@canry"), 3, "no version or alias 'canry'"),
        (("show", "flight-delay@"), 2, "names no version after '@'"),
        (("show", "Flight"), 2, "lower-case letters"),
        (("promot",), 2, "Did you mean `promote`"),
        (("versions",), 2, "Missing argument 'MODEL'"),
        (("versions", "flight-delay", "--limit", "0"), 2, "not in the range"),
        (("versions", "flight-delay", "--after", "x"), 2, "is not the `next`"),
        (("versions", "flight-delay", "--after", "9" * 30), 2, "is not the `next`"),
        (("history", "flight-delay", "--after", "9" * 30), 2, "is not the `next`"),
        (("search", "flight-delay", "metric.auc>0", "--after", f"0.5:{'9' * 30}"), 2, "is not the `next`"),
        (("search", "flight-delay", "created>0001-01-01T00:00:00+23:59"), 2, "is not a time"),
        (("at", "flight-delay", "9999-12-31T23:59:59-23:59"), 2, "is not a time"),
        (("search", "flight-delay", "auc>0.9"), 2, "Write terms such as"),
        (("at", "flight-delay", "yesterday"), 2, "is not a time"),
        (("register", "flight-delay", "no/folder"), 3, "no/folder does not exist"),
        (("register", "flight-delay", MODELS / "keras", "--metric", "auc"), 2, "Write it as name=value"),
        (("register", "flight-delay", MODELS / "keras", "--metric", "auc=high"), 2, "'high', which is not a number"),
        (("register", "flight-delay", MODELS / "keras", "--metric", "a=1", "--metric", "a=2"), 2, "given twice"),
        (("register", "flight-delay", MODELS / "keras", "--metrics", "none.json"), 3, "no file none.json"),
        (("register", "flight-delay", MODELS / "keras", "--version", "1"), 2, "not a semantic version"),
        (
            ("register", "flight-delay", MODELS / "module", "--version", "1.0.0"),
            4,
            "1.0.0 cannot be given: it exists already",
        ),
        (("promote", "flight-delay@1.1.0", "--expect", "1.0.0"), 5, "promote with `--expect 1.0.1`"),
        (("promote", "flight-delay@1.1.0"), 4, "the gate's verdict is FAIL"),
        (("promote", "flight-delay@1.1.0", "--override"), 2, "Give --reason"),
        (("promote", "flight-delay@1.0.0"), 4, "pedigree rollback flight-delay --to 1.0.0"),
        (("rollback", "flight-delay"), 2, "Missing option '--reason'"),
        (("rollback", "flight-delay", "--reason", " "), 2, "'--reason': it is empty"),
        (("rollback", "flight-delay", "--reason", "x", "--expect", "1.0.0"), 5, "1.0.1 is champion since"),
        (("promote", "flight-delay@1.1.0", "--expect", ""), 2, "'--expect': it is empty"),
        (("alias", "set", "champion", "flight-delay"), 2, "kept by the registry itself"),
        (("alias", "remove", "flight-delay", "nope"), 3, "has no alias 'nope'"),
        (("alias", "sett"), 2, "Did you mean `set`?"),
        (("evidence", "show", "flight-delay@1.0.0"), 3, "pedigree evidence attach flight-delay@1.0.0 FILE"),
        (("roles", "revoke", "mia"), 4, "the only admin"),
        (("gc", "--grace", "soon"), 2, "Write 90s, 30m, 24h"),
        (("audit", "verify", "--anchor", "none.json"), 3, "no file none.json"),
        (("import", "none.tar"), 3, "none.tar"),
        (("export", "flight-delay", "no/folder/x.tar"), 2, "no/folder"),
        (("export", "flight-dely", "x.tar"), 3, "Did you mean flight-delay?"),
        (("import", "-"), 2, "Standard input is not an archive of `pedigree export`: it is empty"),
        (("pull", "flight-delay@7", "out"), 3, "no version or alias '7'"),
        (("verify", "--store", "nowhere"), 3, "nowhere"),
        (("git", "tag", "flight-delay", "--repo", "nowhere"), 3, "nowhere"),
        (("--config", "none.yaml", "models"), 3, "none.yaml"),
    ],
)
def test_mistake_is_explained(pedigree: Pedigree, words: tuple[Any, ...], code: int, sentence: str) -> None:
    said = pedigree(*words, code=code)
    assert sentence in said.err
    assert "Traceback" not in said.err
    assert said.out == ""
    as_json = pedigree(*words, "--json", code=code)
    assert sentence in as_json.error["message"]


@pytest.mark.parametrize(
    ("kind", "code", "words"),
    [
        ("usage", 2, ("versions",)),
        ("invalid-input", 2, ("show", "Flight")),
        ("not-found", 3, ("show", "nothing")),
        ("conflict", 4, ("promote", "flight-delay@1.0.0")),
        ("stale-evidence", 5, ("promote", "flight-delay@1.1.0", "--expect", "none")),
    ],
)
def test_json_error_names_its_kind(pedigree: Pedigree, kind: str, code: int, words: tuple[str, ...]) -> None:
    said = pedigree(*words, "--json", code=code)
    assert said.error["kind"] == kind
    assert set(json.loads(said.err)) == {"error"}
    assert said.out == ""


def test_wrong_role_is_refused_before_bytes_are_read_and_logged(pedigree: Pedigree) -> None:
    said = pedigree("register", "flight-delay", "no/folder", actor="eve", code=6)
    assert "pedigree roles grant eve contributor" in said.err
    assert pedigree("promote", "flight-delay@1.1.0", "--json", actor="eve", code=6).error["kind"] == "forbidden"
    event = pedigree("history", "flight-delay", "--limit", 1, "--json").json["items"][0]
    assert (event["action"], event["actor"]) == ("refuse", "eve")


def test_evidence_for_another_version(pedigree: Pedigree, tmp_path: Path) -> None:
    digest = pedigree("show", "flight-delay@1.0.0", "--json").json["digest"]
    file = write_json(tmp_path / "evidence.json", evidence(digest, None))
    assert "not about flight-delay 1.1.0" in pedigree("evidence", "attach", "flight-delay@1.1.0", file, code=2).err


@pytest.mark.parametrize(
    ("content", "sentence"),
    [("{", "this is not JSON"), ("[]", "This is not evidence"), ('{"format": "pedigree.evidence/1"}', "lacks")],
)
def test_evidence_that_is_none(pedigree: Pedigree, tmp_path: Path, content: str, sentence: str) -> None:
    file = tmp_path / "evidence.json"
    file.write_text(content)
    assert sentence in pedigree("evidence", "attach", "flight-delay", file, code=2).err


def test_a_metric_of_one_class_is_given_by_its_name(pedigree: Pedigree) -> None:
    pedigree("register", "m", MODELS / "keras", "--metric", "late/auc@class_id=3=0.9")
    assert pedigree("show", "m@1.0.0", "--json").json["metrics"] == {"late/auc@class_id=3": 0.9}
    assert "1.0.0" in pedigree("search", "m", "metric.late/auc@class_id=3>0.8").out


@pytest.mark.parametrize("content", ["[1]", '{"auc": "high"}', '{"auc": true}', "\xff", "nope"])
def test_metrics_file_that_holds_none(pedigree: Pedigree, tmp_path: Path, content: str) -> None:
    file = tmp_path / "metrics.json"
    file.write_bytes(content.encode("latin-1"))
    assert "metrics.json" in pedigree("register", "m", MODELS / "keras", "--metrics", file, code=2).err


def test_no_registry_says_where_it_was_sought_and_why_there(tmp_path: Path) -> None:
    said = Pedigree(tmp_path / "nowhere")("models", code=3)
    assert str(tmp_path / "nowhere") in said.err
    assert f"`pedigree init --registry sqlite:///{tmp_path / 'nowhere' / 'registry.db'}`" in said.err
    assert "comes from PEDIGREE_REGISTRY" in said.err


def test_registry_of_a_newer_release(pedigree: Pedigree, registry: Path) -> None:
    with sqlite3.connect(registry / "registry.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    for command in ("models", "init"):
        assert "Install a newer tfx-pedigree" in pedigree(command, code=4).err


def test_file_that_is_no_registry(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_text("hello " * 100)
    said = Pedigree(tmp_path / "x.db")("models", code=7)
    assert "not a registry, or is damaged" in said.err


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("postgresql://ann:geheim@127.0.0.1:1/x", 8),
        ("postgresql://ann:geheim@127.0.0.1:port/x", 2),
        ("postgresql:/ann:geheim@127.0.0.1/x", 2),
        ("mysql://ann:geheim@127.0.0.1/x", 2),
    ],
)
def test_password_of_an_address_is_never_echoed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str, code: int
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    said = Pedigree(address)("models", code=code)
    assert "geheim" not in said.err + said.out
    if code == 8:
        assert "geheim" not in Pedigree(address)("config").out


def test_unreadable_configuration(pedigree: Pedigree, tmp_path: Path) -> None:
    (tmp_path / "pedigree.toml").write_text('\nregisty = "here"\n')
    said = pedigree("models", code=2)
    assert f"{tmp_path / 'pedigree.toml'}, line 2" in said.err
    assert "Did you mean `registry`?" in said.err


def test_control_characters_in_names_do_not_reach_the_terminal(pedigree: Pedigree) -> None:
    pedigree("tag", "flight-delay@1.0.0", "team=\x1b[31mred")
    said = pedigree("show", "flight-delay@1.0.0")
    assert "\x1b" not in said.out
    assert "\\x1b[31mred" in said.out
    assert "\x1b" not in pedigree("show", "flight-delay@\x1b[31m", code=3).err


def test_bug_is_told_without_a_traceback_unless_asked_for(reader: Pedigree, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("postgresql://ann:geheim@host/x broke")

    monkeypatch.setattr(Registry, "models", broken)
    said = reader("models", code=70)
    assert "report it" in said.err
    assert "Traceback" not in said.err
    loud = reader("models", code=70, PEDIGREE_DEBUG="1")
    assert "Traceback" in loud.err
    assert "geheim" not in said.err + loud.err
    assert reader("models", "--json", code=70).error["kind"] == "internal"


def test_interruption_ends_with_130(reader: Pedigree, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Registry, "models", interrupted)
    assert "Nothing was left half done" in reader("models", code=130).err


def test_operating_systems_refusal_is_no_bug(reader: Pedigree, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Registry, "models", full)
    assert "No space left on device" in reader("models", code=8).err


def test_registry_that_cannot_be_created(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said = Pedigree(tmp_path / "file" / "registry")("init", code=8)
    assert "Traceback" not in said.err


def test_model_that_cannot_be_read_leaves_nothing_behind(pedigree: Pedigree, registry: Path, tmp_path: Path) -> None:
    broken = Path(shutil.copytree(MODELS / "keras", tmp_path / "broken"))
    (broken / "saved_model.pb").write_bytes(b"garbage")
    before = sorted((registry / "store").rglob("*"))
    assert "saved_model.pb cannot be read" in pedigree("register", "flight-delay", broken, code=2).err
    assert sorted((registry / "store").rglob("*")) == before


@pytest.mark.parametrize(
    "words",
    [
        ("show", "flight-delay@\udc80"),
        ("search", "flight-delay", "tag.a=\udc80"),
        ("archive", "flight-delay@1.0.0", "--reason", "\udc80"),
        ("promote", "flight-delay@1.1.0", "--expect", "\udc80"),
        ("tag", "flight-delay", "a=\udc80"),
        ("register", "flight-delay", MODELS / "keras", "--param", "\udc80=1"),
        ("register", "flight-delay", MODELS / "keras", "--version", "\udc80"),
        ("alias", "set", "\udc80", "flight-delay"),
        ("history", "\udc80"),
        ("at", "flight-delay", "\udc80"),
        ("roles", "grant", "\udc80", "viewer"),
        ("models", "--actor", "\udc80"),
        ("versions", "flight-delay", "--columns", "\udc80"),
        ("explain", "flight-delay@\udc80"),
        ("impact", "\udc80"),
    ],
)
def test_bytes_that_are_no_text_are_refused(pedigree: Pedigree, words: tuple[Any, ...]) -> None:
    pedigree(*words, code=2)


def test_folder_whose_name_is_no_text_can_be_registered(pedigree: Pedigree, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(MODELS / "keras", tmp_path / "\udc80"))
    assert "holds these files already" in pedigree("register", "flight-delay", folder).out
