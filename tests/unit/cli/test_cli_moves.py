"""Versions come, move and go: what a command says happened is what the registry then holds."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_testing import MODELS, Pedigree, evidence, write_json


def state(pedigree: Pedigree, ref: str) -> str:
    return str(pedigree("show", ref, "--json").json["state"])


def test_first_steps_lead_from_one_command_to_the_next(tmp_path: Path) -> None:
    pedigree = Pedigree(tmp_path / "registry")
    assert "pedigree init" in pedigree("models", code=3).err
    assert "pedigree register MODEL FOLDER" in pedigree("init").err
    assert "pedigree register MODEL FOLDER" in pedigree("models").err
    assert "pedigree promote flight-delay@1.0.0" in pedigree("register", "flight-delay", MODELS / "keras").err
    pedigree("promote", "flight-delay@1.0.0")
    assert pedigree("show", "flight-delay@champion", "--json").json["version"] == "1.0.0"


def test_secrets_are_neither_kept_nor_printed(pedigree: Pedigree, new_model: Path) -> None:
    given = ("--param", "api_key=hunter2hunter2", "--param", "rate=0.5", "--tag", "url=https://u:hunter2hunter2@host/x")
    given = (*given, "--bump", "minor")
    for said in (
        pedigree("register", "flight-delay", new_model, *given),
        pedigree("tag", "flight-delay", "db_password=hunter2hunter2", "--json"),
        pedigree("archive", "flight-delay", "--reason", "it holds password=hunter2hunter2"),
        pedigree("show", "flight-delay@latest", "--json"),
        pedigree("history", "flight-delay", "--json"),
    ):
        assert "hunter2" not in said.out + said.err
    said = pedigree("register", "flight-delay", new_model, *given)
    assert "Not stored, because they look like secrets: api_key and url. `(hidden)` was stored instead." in said.err
    assert "not changed" not in said.err


def test_init_twice_changes_nothing(pedigree: Pedigree) -> None:
    before = pedigree("history", "--json").json
    assert "nothing changed" in pedigree("init", actor="eve").out
    assert pedigree("init", "--json", actor="eve").json["changed"] is False
    assert pedigree("history", "--json").json == before


def test_same_files_again_are_the_same_version(pedigree: Pedigree) -> None:
    before = pedigree("history", "flight-delay", "--json").json
    said = pedigree("register", "flight-delay", MODELS / "keras", "--metric", "auc=0.9", "--tag", "team=ops")
    assert said.out == "flight-delay 1.0.0 holds these files already; nothing changed.\n"
    assert pedigree("history", "flight-delay", "--json").json == before


def test_same_files_with_a_new_metric_add_only_that(pedigree: Pedigree) -> None:
    said = pedigree("register", "flight-delay", MODELS / "keras", "--metric", "f1=0.7", "--json").json
    assert said["changed"] is True
    assert said["version"]["version"] == "1.0.0"
    assert said["version"]["metrics"] == {"auc": 0.9, "f1": 0.7, "loss": 0.31}


def test_parameters_of_a_version_do_not_change_and_that_is_said(pedigree: Pedigree) -> None:
    said = pedigree("register", "flight-delay", MODELS / "keras", "--param", "learning_rate=9")
    assert "Not changed: `learning_rate`" in said.err
    assert pedigree("show", "flight-delay@1.0.0", "--json").json["parameters"]["learning_rate"] == 0.01


def test_number_follows_from_what_changed_and_says_why(pedigree: Pedigree) -> None:
    said = pedigree("register", "flight-delay", MODELS / "module")
    assert "flight-delay 2.0.0, a MAJOR change after 1.0.1" in said.out
    assert "removed" in said.out


def test_user_chooses_bump_pre_release_or_whole_number(pedigree: Pedigree, new_model: Path) -> None:
    def register(content: bytes, *options: str) -> str:
        (new_model / "weights.bin").write_bytes(content)
        return str(pedigree("register", "other", new_model, *options, "--json").json["version"]["version"])

    assert register(b"1") == "1.0.0"
    assert register(b"2", "--bump", "major") == "2.0.0"
    assert register(b"3", "--bump", "minor", "--pre", "rc") == "2.1.0-rc.1"
    assert register(b"4", "--version", "v3.4.5") == "3.4.5"


def test_metrics_parameters_and_description_from_files(pedigree: Pedigree, new_model: Path, tmp_path: Path) -> None:
    described = pedigree("show", "flight-delay@1.0.0", "--json").json["description"]
    said = pedigree(
        *("register", "other", new_model, "--metrics", write_json(tmp_path / "m.json", {"auc": 0.5, "loss": 1})),
        *("--metric", "auc=0.6", "--description", write_json(tmp_path / "d.json", described)),
        *("--param", "layers=3", "--param", "flag=true", "--param", 'text="7"', "--param", "word=adam", "--json"),
    ).json["version"]
    assert said["metrics"] == {"auc": 0.6, "loss": 1.0}
    own = {"flag": True, "layers": 3, "text": "7", "word": "adam"}
    assert said["parameters"] == {**described["parameters"], **own}
    found = pedigree("show", "other@1.0.0", "--json").json["description"]
    assert found["signatures"] == described["signatures"]


def test_register_takes_evidence_in_the_same_step(pedigree: Pedigree, new_model: Path, tmp_path: Path) -> None:
    digest = pedigree("register", "scratch", new_model, "--json").json["version"]["digest"]
    file = write_json(tmp_path / "evidence.json", evidence(digest, None, reason="meets the floors"))
    pedigree("register", "other", new_model, "--evidence", file)
    assert pedigree("evidence", "show", "other").json["reason"] == "meets the floors"


def test_promotion_to_staging_and_then_to_production(pedigree: Pedigree) -> None:
    pedigree("promote", "flight-delay@1.1.0", "--to", "staging")
    assert state(pedigree, "flight-delay@1.1.0") == "staging"
    said = pedigree("promote", "flight-delay@1.1.0", "--override", "--reason", "urgent")
    assert said.out == "flight-delay 1.1.0 is champion now; it replaces 1.0.1.\n"
    assert "pedigree rollback flight-delay" in said.err
    assert state(pedigree, "flight-delay@1.0.1") == "archived"


def test_promoting_the_champion_changes_nothing(pedigree: Pedigree) -> None:
    before = pedigree("history", "flight-delay", "--json").json
    said = pedigree("promote", "flight-delay@champion")
    assert said.out == "flight-delay 1.0.1 is champion already; nothing changed.\n"
    again = pedigree("promote", "flight-delay@champion", "--json").json
    assert (again["changed"], again["replaced"]) == (False, None)
    assert pedigree("history", "flight-delay", "--json").json == before


def test_rollback_goes_back_by_one_and_says_whom_it_replaced(pedigree: Pedigree) -> None:
    said = pedigree("rollback", "flight-delay", "--reason", "errors in the night", "--json").json
    assert (said["changed"], said["replaced"], said["version"]["version"]) == (True, "1.0.1", "1.0.0")
    event = pedigree("history", "flight-delay", "--limit", 1, "--json").json["items"][0]
    assert (event["action"], event["reason"]) == ("rollback", "errors in the night")


def test_rollback_to_the_champion_changes_nothing(pedigree: Pedigree) -> None:
    said = pedigree("rollback", "flight-delay", "--to", "1.0.1", "--reason", "again")
    assert said.out == "flight-delay 1.0.1 is champion already; nothing changed.\n"


def test_archive_and_restore_each_once(pedigree: Pedigree) -> None:
    assert pedigree("archive", "flight-delay@1.1.0", "--reason", "leaks").out == "flight-delay 1.1.0 is archived.\n"
    assert "nothing changed" in pedigree("archive", "flight-delay@1.1.0", "--reason", "leaks").out
    assert "archived, kept out" in pedigree("versions", "flight-delay").out
    assert "in development again" in pedigree("restore", "flight-delay@1.1.0").out
    assert "nothing changed" in pedigree("restore", "flight-delay@1.1.0").out


def test_archiving_the_champion_leaves_none_and_shows_the_way_back(pedigree: Pedigree) -> None:
    said = pedigree("archive", "flight-delay@champion", "--reason", "leaks")
    assert "has no champion now" in said.out
    assert "pedigree restore flight-delay@1.0.1" in said.err
    assert pedigree("models", "--json").json["items"][0]["champion"] is None
    pedigree("rollback", "flight-delay", "--reason", "back")
    assert state(pedigree, "flight-delay@1.0.0") == "production"


def test_alias_is_set_moved_listed_and_removed(pedigree: Pedigree) -> None:
    assert "nothing changed" in pedigree("alias", "set", "canary", "flight-delay@1.1.0").out
    pedigree("alias", "set", "canary", "flight-delay@1.0.0")
    assert pedigree("show", "flight-delay@canary", "--json").json["version"] == "1.0.0"
    listed = pedigree("alias", "list", "flight-delay", "--json").json["items"]
    assert listed == [{"alias": "canary", "version": "1.0.0"}]
    pedigree("alias", "remove", "flight-delay", "canary")
    assert "canary" not in pedigree("alias", "list", "flight-delay").out


def test_tags_are_set_and_taken_away(pedigree: Pedigree) -> None:
    assert "owner=ann and team=ops" in pedigree("tag", "flight-delay@1.0.0", "owner=ann").out
    assert "nothing changed" in pedigree("tag", "flight-delay@1.0.0", "owner=ann").out
    assert "owner" not in pedigree("tag", "flight-delay@1.0.0", "owner=").out
    assert "nothing changed" in pedigree("tag", "flight-delay@1.0.0", "owner=").out


def test_evidence_twice_is_one(pedigree: Pedigree, tmp_path: Path) -> None:
    digest = pedigree("show", "flight-delay@1.0.0", "--json").json["digest"]
    file = write_json(tmp_path / "evidence.json", evidence(digest, None, reason="meets the floors"))
    assert "verdict PASS now: meets the floors" in pedigree("evidence", "attach", "flight-delay@1.0.0", file).out
    assert "nothing changed" in pedigree("evidence", "attach", "flight-delay@1.0.0", file).out


def test_evidence_that_is_shown_can_be_attached(pedigree: Pedigree, tmp_path: Path) -> None:
    shown = tmp_path / "shown.json"
    shown.write_text(pedigree("evidence", "show", "flight-delay@1.0.1").out)
    assert "nothing changed" in pedigree("evidence", "attach", "flight-delay@1.0.1", shown).out


def test_role_on_a_model_to_come_counts_when_it_comes_and_a_typo_is_pointed_out(
    pedigree: Pedigree, new_model: Path
) -> None:
    said = pedigree("roles", "grant", "bob", "contributor", "--model", "flight-delai")
    assert "Did you mean flight-delay? The role counts as soon as there is one." in said.err
    assert "bob is contributor on flight-delai now." in said.out
    pedigree("--actor", "bob", "register", "flight-delai", str(new_model))
    assert "There is no model" not in pedigree("roles", "grant", "bob", "reviewer", "--model", "flight-delai").err


def test_roles_are_granted_listed_and_revoked(pedigree: Pedigree) -> None:
    assert (
        "bob is reviewer on flight-delay now"
        in pedigree("roles", "grant", "bob", "reviewer", "--model", "flight-delay").out
    )
    assert "nothing changed" in pedigree("roles", "grant", "bob", "reviewer", "--model", "flight-delay").out
    held = {(g["principal"], g["scope"]): g["role"] for g in pedigree("roles", "list", "--json").json["items"]}
    assert held == {("mia", "*"): "admin", ("*", "*"): "viewer", ("bob", "flight-delay"): "reviewer"}
    pedigree("promote", "flight-delay@1.1.0", "--to", "staging", actor="bob")
    pedigree("roles", "revoke", "bob", "--model", "flight-delay")
    pedigree("archive", "flight-delay@1.1.0", "--reason", "x", actor="bob", code=6)


def test_at_tells_who_was_champion(reader: Pedigree) -> None:
    assert "had no champion" in reader("at", "flight-delay", "2026-11-20T14:03").out
    assert "1.0.0 was champion" in reader("at", "flight-delay", "2026-11-20T14:05").out
    assert reader("at", "flight-delay", "2027-01-01", "--json").json["version"]["version"] == "1.0.1"
    assert reader("at", "flight-delay", "2020-01-01", "--json").json["version"] is None


def test_compare_with_the_champion_and_with_another(reader: Pedigree) -> None:
    found = reader("compare", "flight-delay@1.1.0", "--json").json
    assert (found["old"]["version"], found["new"]["version"], found["bump"]) == ("1.0.1", "1.1.0", "minor")
    assert reader("compare", "flight-delay@1.0.0", "flight-delay@1.1.0", "--exit-code", code=1).out
    reader("compare", "flight-delay@1.0.0", "flight-delay@1.0.0", "--exit-code")
    assert "Name the version to compare it with" in reader("compare", "flight-delay@champion", code=4).err


def test_search_finds_and_says_when_there_is_nothing(reader: Pedigree) -> None:
    found = reader("search", "flight-delay", "metric.auc>=0.9", "tag.team=ops", "--json").json["items"]
    assert [version["version"] for version in found] == ["1.0.0"]
    said = reader("search", "flight-delay", "metric.auc>2")
    assert said.out == "No version of flight-delay fits metric.auc>2.\n"


@pytest.mark.parametrize(
    "words", [("versions", "flight-delay"), ("history", "flight-delay"), ("search", "flight-delay", "metric.auc>0")]
)
def test_pages_follow_each_other_to_the_end(reader: Pedigree, words: tuple[str, ...]) -> None:
    whole = reader(*words, "--json").json["items"]
    page = reader(*words, "--limit", 2, "--json").json
    pages = [page]
    while page["next"]:
        page = reader(*words, "--limit", 2, "--after", page["next"], "--json").json
        pages.append(page)
    assert [item for page in pages for item in page["items"]] == whole
    assert f"--limit 2 --after {pages[0]['next']}" in reader(*words, "--limit", 2).err


def test_common_options_may_stand_before_and_after_the_command(registry: Path, tmp_path: Path) -> None:
    nowhere = Pedigree(tmp_path / "nowhere")
    assert nowhere("--registry", registry, "--json", "models").json["items"]
    assert nowhere("models", "--json", "--registry", registry).json["items"]
    assert nowhere("--registry", "elsewhere", "models", "--json", "--registry", registry).json["items"]


def test_files_that_are_no_savedmodel_are_taken_and_said_to_be_none(pedigree: Pedigree, tmp_path: Path) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("not a model")
    said = pedigree("register", "other", notes)
    assert "hold no SavedModel that could be read. Of later versions, say --bump yourself." in said.err
    assert "SavedModel" not in pedigree("register", "other", notes).err
    notes.write_text("nor is this")
    assert "--bump" in pedigree("register", "other", notes, code=2).err
