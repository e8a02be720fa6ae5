"""`gate` and `evidence replay`: the gate alone, on files, and a decision that is made again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from cli_testing import Pedigree
from comparison_testing import retrained

from tfx_pedigree.comparison import Policy
from tfx_pedigree.registry import Evidence
from tfx_pedigree.service.judging.gate import COMPARISON


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_two_files_of_metrics_are_judged_by_a_policy(pedigree: Pedigree, tmp_path: Path) -> None:
    policy = written(tmp_path, "policy.yaml", "metric: auc")
    new, old = (written(tmp_path, f"{value}.json", json.dumps({"auc": value})) for value in (0.85, 0.8))
    said = pedigree("gate", "--policy", policy, "--challenger", new, "--champion", old)
    assert said.out.startswith("PASS: The challenger wins: auc rose from 0.8 to 0.85")
    back = pedigree("gate", "--policy", policy, "--challenger", old, "--champion", new, "--json", code=1)
    assert (back.json["verdict"], back.json["recommendation"]) == ("FAIL", "RECOMMEND_CHAMPION")
    alone = pedigree("gate", "--policy", policy, "--challenger", "-", stdin='{"auc": 0.7}')
    assert "First version, with no champion to beat" in alone.out


def test_a_comparison_is_judged_by_its_own_policy_or_by_another(pedigree: Pedigree, tmp_path: Path) -> None:
    comparison = written(tmp_path, "comparison.json", retrained().to_text())
    assert pedigree("gate", "--comparison", comparison).out.startswith("PASS")
    strict = written(tmp_path, "strict.yaml", "metric: auc\nrule: {relative: 0.5}\nmajor: allow")
    assert pedigree("gate", "--comparison", comparison, "--policy", strict, code=1).out.startswith("FAIL")


def test_what_is_missing_is_named(pedigree: Pedigree, tmp_path: Path) -> None:
    new = written(tmp_path, "new.json", '{"auc": 0.85}')
    assert "Give --comparison, or --challenger" in pedigree("gate", "--champion", new, code=2).err
    assert "needs a --policy" in pedigree("gate", "--challenger", new, code=2).err
    assert "no file" in pedigree("gate", "--comparison", tmp_path / "gone.json", code=3).err
    typo = written(tmp_path, "policy.yaml", "metric: auc\nrule: {relatve: 1}")
    assert "Did you mean `relative`?" in pedigree("gate", "explain", typo, code=2).err


def test_check_refuses_what_any_command_would_refuse_of_the_file_and_warns_of_typos(
    pedigree: Pedigree, tmp_path: Path
) -> None:
    trained = written(tmp_path, "trained.yaml", "metric: auc\nretraining: {every: never}")
    typo = written(tmp_path, "typo.yaml", "metric: auc\nguardrails: [{metric: recal, at_least: 0.5}]")
    said = pedigree("gate", "check", trained, typo, code=1).out
    assert "line 2: `retraining.every` is not known" in said
    assert "typo.yaml: `guardrails[0].metric` is 'recal', which Pedigree does not know. Did you mean `recall`?" in said
    assert "1 policy can be used." in said
    assert "Warning: `guardrails[0].metric` is 'recal'" in pedigree("gate", "explain", typo, "--examples", 100).out
    found = pedigree("gate", "check", trained, typo, "--json", code=1).json
    assert [bool(one["problem"]) for one in found] == [True, False]
    assert [len(one["warnings"]) for one in found] == [0, 1]


@pytest.mark.system
def test_a_policy_is_explained_with_what_chance_makes_of_it(pedigree: Pedigree, tmp_path: Path) -> None:
    policy = written(tmp_path, "policy.yaml", "metric: auc\nconfidence: 0.95")
    said = pedigree("gate", "explain", policy, "--examples", 2000)
    assert "passes in 2.5 % of evaluations" in said.out
    assert "simulated evaluations" in said.out
    found = pedigree("gate", "explain", policy, "--examples", 2000, "--json").json
    assert found["policy"] == Policy("auc", confidence=0.95).digest
    assert 0.04 < found["odds"]["half"] < found["odds"]["nine_of_ten"] < 0.1


def test_explained_policy_says_when_the_champion_is_trained_again(pedigree: Pedigree, tmp_path: Path) -> None:
    rule = "retraining: {performance: {auc: {drop: 0.03, over: 7d, min_examples: 5000}}}"
    policy = written(tmp_path, "policy.yaml", f"metric: auc\n{rule}")
    said = pedigree("gate", "explain", policy, "--examples", 2000).out
    assert "Training again: when auc of the champion, observed over 7 days on 5,000 examples or more, is below" in said
    wrong = written(tmp_path, "wrong.yaml", "metric: auc\nretraining: {performance: {auc: {drop: 0.03}}}")
    assert "`over`" in pedigree("gate", "explain", wrong, code=2).err


def test_a_decision_on_file_is_made_again_and_reported_again(pedigree: Pedigree, tmp_path: Path) -> None:
    version = pedigree("show", "flight-delay@1.1.0", "--json").json
    comparison = retrained()
    comparison = replace(comparison, challenger=replace(comparison.challenger, digest=version["digest"]))
    evidence = Evidence(
        version["digest"],
        comparison.champion.digest if comparison.champion else None,
        comparison.decision.verdict,
        comparison.decision.reason,
        policy=comparison.policy.digest,
        details={COMPARISON: comparison.to_json()},
    )
    pedigree("evidence", "attach", "flight-delay@1.1.0", written(tmp_path, "e.json", json.dumps(evidence.to_json())))
    report = tmp_path / "report.html"
    said = pedigree("evidence", "replay", "flight-delay@1.1.0", "--report", report)
    assert "PASS, as it stands on file, to the letter" in said.out
    assert report.read_text(encoding="utf-8").startswith("<!doctype html>")
    found = pedigree("evidence", "replay", "flight-delay@1.1.0", "--json").json
    assert (found["verdict"], found["differences"]) == ("PASS", [])


def test_evidence_without_its_numbers_cannot_be_replayed(pedigree: Pedigree) -> None:
    said = pedigree("evidence", "replay", "flight-delay@champion", code=2)
    assert "keeps no comparison" in said.err


def test_a_registry_without_decisions_says_so(tmp_path: Path) -> None:
    pedigree = Pedigree(tmp_path / "registry")
    pedigree("init")
    assert pedigree("evidence", "replay", "--all").out == "There is no decision on file yet.\n"
