"""Bytes: what was stored comes out again, damage is found and healed, nothing that is needed is deleted."""

from __future__ import annotations

import hashlib
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from cli_testing import MODELS, Pedigree


def damage(registry: Path, model_file: Path) -> None:
    """Changes one byte of a stored file, as a bad disk would: its size stays."""
    sha256 = hashlib.sha256(model_file.read_bytes()).hexdigest()
    stored = next(path for path in (registry / "store").rglob("*") if "".join(path.parts[-2:]).endswith(sha256))
    stored.chmod(0o644)
    data = bytearray(stored.read_bytes())
    data[0] ^= 1
    stored.write_bytes(data)


WEIGHTS = MODELS / "keras_wider" / "variables" / "variables.data-00000-of-00001"


def test_pulled_folder_is_what_was_registered(pedigree: Pedigree, tmp_path: Path) -> None:
    pedigree("pull", "flight-delay@1.1.0", tmp_path / "out")
    for path in (MODELS / "keras_wider").rglob("*"):
        if path.is_file():
            assert (tmp_path / "out" / path.relative_to(MODELS / "keras_wider")).read_bytes() == path.read_bytes()
    assert pedigree("pull", "flight-delay@1.1.0", tmp_path / "out", "--json").json["version"]["version"] == "1.1.0"


def test_all_is_well_where_nothing_is_damaged(pedigree: Pedigree) -> None:
    for words in (("verify",), ("verify", "flight-delay"), ("verify", "flight-delay@1.0.0")):
        assert "all bytes are as they were stored" in pedigree(*words).out
        assert pedigree(*words, "--json").json["problems"] == []


def test_damage_is_found_named_and_healed(pedigree: Pedigree, registry: Path) -> None:
    damage(registry, WEIGHTS)
    said = pedigree("verify", "flight-delay", code=1)
    assert "flight-delay 1.1.0: variables/variables.data-00000-of-00001 is damaged (set aside)" in said.out
    assert "Register the same model again" in said.err
    pedigree("verify", "flight-delay@1.0.0")
    problem = pedigree("verify", "--json", code=1).json["problems"][0]
    assert (problem["names"], problem["state"]) == (["flight-delay 1.1.0"], "missing")
    assert "nothing changed" in pedigree("register", "flight-delay", MODELS / "keras_wider").out
    pedigree("verify")


def test_damaged_version_is_not_promoted(pedigree: Pedigree, registry: Path) -> None:
    damage(registry, WEIGHTS)
    said = pedigree("promote", "flight-delay@1.1.0", "--to", "staging", code=7)
    assert "flight-delay 1.1.0 cannot be used" in said.err
    assert "pedigree register flight-delay FOLDER" in said.err
    assert pedigree("show", "flight-delay@1.1.0", "--json").json["state"] == "development"
    pedigree("promote", "flight-delay@1.1.0", "--to", "staging", "--no-verify")


def test_version_of_which_the_store_knows_nothing_is_a_problem(pedigree: Pedigree, tmp_path: Path) -> None:
    other = Pedigree(tmp_path / "other")
    other("init")
    store = tmp_path / "other" / "store"
    problems = pedigree("verify", "--store", store, "--json", code=1).json["problems"]
    assert {name for problem in problems for name in problem["names"]} == {
        "flight-delay 1.0.0",
        "flight-delay 1.0.1",
        "flight-delay 1.1.0",
    }
    assert "not in the store" in pedigree("gc", "--store", store, "--also", other.registry, code=4).err


def test_gc_deletes_only_on_demand_and_only_what_no_version_needs(
    pedigree: Pedigree, registry: Path, tmp_path: Path, new_model: Path
) -> None:
    from tfx_pedigree.store import Store

    unneeded = Store.open(registry / "store").put(new_model).digest
    pedigree("archive", "flight-delay@1.0.0", "--reason", "old")
    assert "nothing to delete" in pedigree("gc").out
    said = pedigree("gc", "--grace", "0")
    assert said.out.startswith("Would delete 1 unregistered version and 1 object (7 B)")
    assert "pedigree gc --delete --grace 0" in said.err
    assert Store.open(registry / "store").has(unneeded)
    assert pedigree("gc", "--grace", "0", "--delete", "--json").json["versions"] == [unneeded]
    assert not Store.open(registry / "store").has(unneeded)
    pedigree("verify")


def test_gc_refuses_to_delete_what_another_registry_with_the_same_store_needs(
    pedigree: Pedigree, registry: Path, tmp_path: Path, new_model: Path
) -> None:
    store = registry / "store"
    other = Pedigree(tmp_path / "other")
    other("init", "--store", store)
    other("register", "penguin", new_model)
    digest = other("show", "penguin@latest", "--json").json["digest"]
    for words in (("gc",), ("gc", "--grace", "0"), ("gc", "--grace", "0", "--delete", "--force")):
        said = pedigree(*words, code=4)
        assert re.search(f"is also used by the registry [^ ]*{other.registry}", said.err)
    (suggested,) = re.findall("`pedigree (gc --also [^`]*)`", said.err)
    assert "nothing to delete" in pedigree(*shlex.split(suggested), "--grace", "0").out
    unneeded = _put(store, tmp_path / "unneeded")
    said = pedigree(*shlex.split(suggested), "--grace", "0")
    assert "pedigree gc --delete --grace 0 --also" in said.err
    assert other("gc", "--also", registry, "--grace", "0", "--delete", "--json").json["versions"] == [unneeded]
    other("verify", "penguin")
    pedigree("verify", "flight-delay")
    (mark,) = re.findall(r"`users/` \(([^)]*)\)", pedigree("gc", code=4).err)
    (store / "users" / mark).unlink()
    assert digest in pedigree("gc", "--grace", "0", "--json").json["versions"]


def _put(store: Path, folder: Path) -> str:
    from tfx_pedigree.store import Store

    folder.mkdir()
    (folder / "file").write_text("nobody needs this")
    return Store.open(store).put(folder).digest


def test_mark_that_cannot_be_read_counts_all_the_same(pedigree: Pedigree, registry: Path) -> None:
    (registry / "store" / "users" / "elsewhere").write_bytes(b"\xff" * 10_000)
    assert "an unknown address" in pedigree("gc", code=4).err


def test_gc_keeps_a_version_that_is_only_reserved(pedigree: Pedigree, registry: Path, new_model: Path) -> None:
    from tfx_pedigree.registry import Registry
    from tfx_pedigree.service.intake import candidate_of

    with Registry.open(registry, actor="mia") as opened:
        reserved = opened.reserve("other", candidate_of(opened.store, new_model)).version
        assert pedigree("gc", "--grace", "0", "--delete", "--json").json["versions"] == []
        assert opened.store.has(reserved.digest)


def test_deleting_garbage_needs_an_admin_and_looking_does_not(pedigree: Pedigree) -> None:
    pedigree("gc", actor="eve")
    assert "eve may not collect garbage" in pedigree("gc", "--delete", actor="eve", code=6).err


def test_exported_model_arrives_with_history_and_bytes(pedigree: Pedigree, tmp_path: Path) -> None:
    report = pedigree("export", "flight-delay", tmp_path / "model.tar", "--json").json
    assert (report["model"], report["versions"]) == ("flight-delay", 3)
    assert "exists already" in pedigree("export", "flight-delay", tmp_path / "model.tar", code=4).err
    other = Pedigree(tmp_path / "other", actor="zoe")
    other("init")
    assert "flight-delay is here with 3 versions" in other("import", tmp_path / "model.tar").out
    assert "nothing changed" in other("import", tmp_path / "model.tar").out
    assert other("show", "flight-delay@champion").out == pedigree("show", "flight-delay@champion").out
    other("verify")
    other("audit", "verify")


def test_audit_finds_what_was_altered_behind_the_registrys_back(pedigree: Pedigree, registry: Path) -> None:
    import sqlite3

    pedigree("audit", "anchor", "--output", registry / "anchor.json")
    assert "all is as it was" in pedigree("audit", "verify", "--anchor", registry / "anchor.json").out
    with sqlite3.connect(registry / "registry.db") as connection:
        connection.execute("UPDATE events SET actor = 'eve' WHERE action = 'promote'")
    said = pedigree("audit", "verify", code=1)
    assert "flight-delay: event" in said.out
    report = pedigree("audit", "verify", "--json", code=1).json
    assert report["ok"] is False
    assert report["problems"]


@pytest.mark.system
def test_anchor_in_a_git_tag_comes_back_byte_by_byte(pedigree: Pedigree, tmp_path: Path) -> None:
    def git(*words: str) -> str:
        return subprocess.run(["git", "-C", str(tmp_path), *words], capture_output=True, text=True, check=True).stdout

    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    for key, value in (("user.name", "Ada"), ("user.email", "ada@example.org")):
        git("config", key, value)
    said = pedigree("audit", "anchor", "--git", tmp_path, "--json").json
    (tmp_path / "anchor.json").write_text(git("cat-file", "blob", said["tag"]))
    assert "all is as it was" in pedigree("audit", "verify", "--anchor", tmp_path / "anchor.json").out
    assert git("cat-file", "-t", said["tag"]) == "tag\n", "annotated: it says who and when"
    assert "no git repository" in pedigree("audit", "anchor", "--git", tmp_path.parent, code=3).err


def test_anchor_is_never_overwritten(pedigree: Pedigree, tmp_path: Path) -> None:
    anchor = pedigree("audit", "anchor").json
    assert set(anchor["heads"]) == {"*", "flight-delay"}
    pedigree("audit", "anchor", "--output", tmp_path / "anchor.json")
    assert "exists already" in pedigree("audit", "anchor", "--output", tmp_path / "anchor.json", code=4).err


@pytest.mark.parametrize("link", ["copy", "hardlink"])
def test_pull_refuses_to_overwrite(pedigree: Pedigree, tmp_path: Path, link: str) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("do not touch")
    pedigree("pull", "flight-delay@1.0.0", tmp_path / "out", "--link", link, code=4)
    assert (tmp_path / "out" / "mine").read_text() == "do not touch"
    shutil.rmtree(tmp_path / "out")
