"""What a run left behind becomes one piece of the graph: all of it, once, and nothing that nobody recorded."""

from __future__ import annotations

from typing import Any

import pytest

from pedigree_testing import digest
from tfx_pedigree.comparison import Comparison, Data, GateDecision, Policy, Side
from tfx_pedigree.comparison import Verdict as GateVerdict
from tfx_pedigree.lineage.graph import EdgeKind, Fragment, Node, NodeKind
from tfx_pedigree.lineage.run_graph import Deployment, Judged, PipelineRun, Seen, fragment_of, merged, without_secrets
from tfx_pedigree.registry import Evidence, Verdict

MODEL = "flight-delay"
ROWS, LATER = digest("january"), digest("february")


def record(**changed: Any) -> dict[str, Any]:
    """As a Versioner writes it, of a second version."""
    found = {
        "format": "pedigree.model-version/1",
        "model": MODEL,
        "version": "1.0.1",
        "digest": digest("new"),
        "predecessor": "1.0.0",
        "champion": {"version": "1.0.0", "digest": digest("old")},
        "parameters": {"units": 4, "seed": 7},
        "training": {"train_args": {"splits": ["train"]}, "custom_config": {"epochs": 2}},
        "data": {
            "examples": [
                {
                    "span": "1",
                    "input_fingerprint": "split:train,num_files:1",
                    "splits": {
                        "train": {"fingerprint": ROWS, "rows": 90, "bytes": 900},
                        "eval": {"fingerprint": LATER, "rows": 10, "bytes": 100},
                    },
                }
            ],
            "schema": {"digest": digest("schema"), "structure": digest("shape")},
            "transform": {"digest": digest("transform"), "structure": digest("graph")},
        },
        "code": {"commit": "c" * 40, "remote": "https://example.org/x.git", "branch": "main", "diff_digest": None},
        "modules": {"flight_model.py": digest("module")},
        "environment": {"python": "3.10.1", "packages": {"tfx": "1.16.0"}, "packages_digest": digest("packages")},
    }
    return {**found, **changed}


def comparison(champion: str | None = digest("old"), verdict: str = "PASS") -> Comparison:
    rival = Side("1.0.0", champion) if champion else None
    decision = GateDecision(GateVerdict(verdict), "better by 6 %")
    evaluated = (Data("eval", "1", LATER, 10),)
    return Comparison(MODEL, Side("1.0.1", digest("new")), rival, Policy("auc"), decision, evaluated_on=evaluated)


def evidence(champion: str | None = digest("old"), reason: str = "better by 6 %", **more: Any) -> Evidence:
    return Evidence(digest("new"), champion, Verdict.PASS, reason, evaluation_data=LATER, **more)


def said(fragment: Fragment) -> set[tuple[str, str, str]]:
    """Edges as kinds of nodes and edges."""
    kinds = {node.key: node.kind.value for node in fragment.nodes}
    return {(kinds[one.source], one.kind.value, kinds[one.target]) for one in fragment.edges}


def of(fragment: Fragment, kind: NodeKind) -> list[Node]:
    return [node for node in fragment.nodes if node.kind is kind]


def only(fragment: Fragment, kind: NodeKind) -> Node:
    (found,) = of(fragment, kind)
    return found


def targets(fragment: Fragment, kind: EdgeKind) -> list[Node]:
    nodes = {node.key: node for node in fragment.nodes}
    return [nodes[one.target] for one in fragment.edges if one.kind is kind]


def whole() -> Fragment:
    return fragment_of(
        record(),
        predecessor=digest("old"),
        comparison=comparison(),
        judged=Judged(evidence()),
        deployment=Deployment("/serving/flight-delay/2", "2", "promoted"),
        seen=Seen(statistics={"train": digest("statistics")}, uris={"train": "/artifacts/1/Split-train"}),
        run=PipelineRun(id="run-7", pipeline="flights"),
    )


def test_all_that_a_run_left_behind_is_linked() -> None:
    assert said(whole()) == {
        ("version", "trained_on", "data"),
        ("version", "conforms_to", "schema"),
        ("version", "transformed_by", "transform"),
        ("version", "built_by", "code"),
        ("version", "built_by", "module"),
        ("version", "ran_in", "environment"),
        ("version", "configured_by", "parameters"),
        ("version", "produced_by", "run"),
        ("version", "supersedes", "version"),
        ("run", "used", "data"),
        ("transform", "derived_from", "data"),
        ("evaluation", "evaluates", "version"),
        ("evaluation", "evaluated_on", "data"),
        ("evaluation", "compared_with", "version"),
        ("comparison", "rests_on", "evaluation"),
        ("comparison", "evaluates", "version"),
        ("comparison", "compared_with", "version"),
        ("decision", "rests_on", "comparison"),
        ("decision", "decides_on", "version"),
        ("deployment", "deploys", "version"),
    }


def test_every_edge_names_the_run_that_linked_it_and_nodes_that_are_there() -> None:
    fragment = whole()
    keys = {node.key for node in fragment.nodes}
    run = only(fragment, NodeKind.RUN)
    assert {edge.run for edge in fragment.edges} == {run.key}
    assert all({edge.source, edge.target} <= keys for edge in fragment.edges)
    assert (run.fact("id"), run.fact("pipeline")) == ("run-7", "flights")


def test_the_same_making_is_one_run_whatever_its_runner_calls_it() -> None:
    one, other = (only(fragment_of(record(), run=PipelineRun(id=name)), NodeKind.RUN) for name in ("a", "b"))
    assert one.key == other.key
    assert merged([whole(), whole()]) == whole()


def test_a_version_was_trained_on_what_the_trainer_was_told_and_judged_on_the_rest() -> None:
    fragment = whole()
    (trained,) = targets(fragment, EdgeKind.TRAINED_ON)
    assert trained.content == {"fingerprint": ROWS}
    assert (trained.fact("span"), trained.fact("rows"), trained.fact("statistics")) == ("1", "90", digest("statistics"))
    (judged,) = targets(fragment, EdgeKind.EVALUATED_ON)
    assert (judged.content, judged.fact("part")) == ({"fingerprint": LATER}, "1/eval")


@pytest.mark.parametrize(
    ("training", "splits", "used"),
    [
        ({}, ("train", "eval"), {"train"}),
        ({"train_args": {"splits": ["first", "second"]}}, ("first", "second", "eval"), {"first", "second"}),
        ({"train_args": {"splits": ["lost"]}}, ("train", "eval"), {"train"}),
        ({"train_args": {"num_steps": 10}}, ("a", "b"), {"a", "b"}),
    ],
)
def test_which_splits_were_learned_from(training: dict[str, Any], splits: tuple[str, ...], used: set[str]) -> None:
    parts = {name: {"fingerprint": digest(name)} for name in splits}
    fragment = fragment_of(record(training=training, data={"examples": [{"span": "1", "splits": parts}]}))
    assert {node.fact("split") for node in targets(fragment, EdgeKind.TRAINED_ON)} == used


def test_data_too_large_to_read_are_known_by_the_files_and_else_by_their_place() -> None:
    bare = {"span": "1", "splits": {"train": {"fingerprint": None, "rows": None, "bytes": 2**40}}}
    by_files = fragment_of(record(data={"examples": [{**bare, "input_fingerprint": "num_files:9"}]}))
    assert only(by_files, NodeKind.DATA).content == {"input_fingerprint": "num_files:9", "split": "train"}
    by_place = fragment_of(record(data={"examples": [bare]}), seen=Seen(uris={"train": "gs://bucket/1"}))
    assert only(by_place, NodeKind.DATA).content == {"uri": "gs://bucket/1", "split": "train"}
    assert of(fragment_of(record(data={"examples": [bare]})), NodeKind.DATA) == []


def test_a_record_of_an_older_release_is_read() -> None:
    """It had few packages, no digest of them, no modules, and nothing of the files that ExampleGen read."""
    old = record(environment={"python": "3.10.1", "packages": {"tfx": "1.16.0", "keras": None}})
    del old["modules"]
    del old["data"]["examples"][0]["input_fingerprint"]
    fragment = fragment_of(old, modules={"model.py": digest("told")}, image="registry.example/trainer@sha256:1")
    assert only(fragment, NodeKind.MODULE).fact("name") == "model.py"
    assert only(fragment, NodeKind.ENVIRONMENT).content == {
        "python": "3.10.1",
        "packages": {"tfx": "1.16.0"},
        "image": "registry.example/trainer@sha256:1",
    }


def test_a_bare_record_is_a_version_and_its_run() -> None:
    bare = {"model": MODEL, "version": "1.0.0", "digest": digest("new"), "champion": None}
    assert said(fragment_of(bare)) == {("version", "produced_by", "run")}


def test_a_champion_compared_with_itself_adds_no_judgement() -> None:
    """As when a run is repeated after its model was promoted."""
    itself = digest("new")
    fragment = fragment_of(record(), comparison=comparison(itself), judged=Judged(evidence(itself)))
    assert not {NodeKind.EVALUATION, NodeKind.COMPARISON, NodeKind.DECISION} & {node.kind for node in fragment.nodes}


def test_what_decided_before_is_told_though_this_run_compared_the_champion_with_itself() -> None:
    """The evidence knows on which data, and against whom: that is the evaluation of the first run, known again."""
    fragment = fragment_of(record(), comparison=comparison(digest("new")), judged=Judged(evidence(), here=False))
    assert only(fragment, NodeKind.EVALUATION).key == only(whole(), NodeKind.EVALUATION).key
    assert only(fragment, NodeKind.DECISION).key == only(whole(), NodeKind.DECISION).key
    assert ("decision", "rests_on", "evaluation") in said(fragment)


def test_an_evidence_of_an_earlier_comparison_does_not_rest_on_this_one() -> None:
    fragment = fragment_of(record(), comparison=comparison(), judged=Judged(evidence(policy=digest("p")), here=False))
    assert ("decision", "rests_on", "comparison") not in said(fragment)


def test_an_evaluation_that_nobody_compared_is_told_of() -> None:
    fragment = fragment_of(record(), evaluated_on=[Data("eval", "1", LATER)], judged=Judged(evidence()))
    assert only(fragment, NodeKind.EVALUATION).key == only(whole(), NodeKind.EVALUATION).key
    assert ("decision", "rests_on", "evaluation") in said(fragment)


def test_a_first_version_is_compared_with_nobody() -> None:
    first = record(champion=None, predecessor=None)
    fragment = fragment_of(first, comparison=comparison(None), judged=Judged(evidence(None)))
    assert not {EdgeKind.COMPARED_WITH, EdgeKind.SUPERSEDES} & {edge.kind for edge in fragment.edges}
    assert "champion" not in only(fragment, NodeKind.EVALUATION).content


SECRET = "hunter2-never-to-be-seen"  # noqa: S105


def with_secret(secret: str) -> Fragment:
    """In every place where somebody could have put one."""
    found = record(
        parameters={"db.password": secret, "units": 4},
        training={"custom_config": {"wandb": {"api_key": secret}, "url": f"https://ada:{secret}@example.org/x"}},
        code={"commit": "c" * 40, "remote": f"https://ada:{secret}@example.org/x.git", "diff_digest": None},
        environment={"python": "3.10", "variables": {"SERVICE_TOKEN": secret}},
    )
    for examples in found["data"]["examples"]:
        examples.update(input_fingerprint=None, splits={"train": {"fingerprint": None}})
    return without_secrets(
        fragment_of(
            found,
            judged=Judged(evidence(reason=f"measured with token={secret}")),
            deployment=Deployment(f"https://ada:{secret}@serving.example/models"),
            seen=Seen(uris={"train": f"s3://key:{secret}@bucket/data"}),
            image=f"https://ada:{secret}@registry.example/trainer",
            run=PipelineRun(id="1", incomplete=f"postgresql://ada:{secret}@db/mlmd does not answer"),
        )
    )


def test_a_secret_is_in_no_part_of_the_fragment() -> None:
    found = with_secret(SECRET)
    assert {NodeKind.DATA, NodeKind.PARAMETERS, NodeKind.CODE, NodeKind.ENVIRONMENT, NodeKind.DEPLOYMENT} <= {
        n.kind for n in found.nodes
    }
    assert SECRET not in repr(found)


def test_another_secret_gives_the_same_keys_so_that_none_can_be_guessed_from_them() -> None:
    keys = [{node.key for node in with_secret(secret).nodes} for secret in (SECRET, "another-secret-word")]
    decisions = [{key for key in found if key.startswith("decision:")} for found in keys]
    # An evidence is known by the digest under which the registry keeps it, whatever its reason says.
    assert keys[0] - decisions[0] == keys[1] - decisions[1]


def test_the_version_of_a_package_is_no_secret_whatever_the_package_is_called() -> None:
    """Else an upgrade of it would show in no difference."""
    packages = {"azure-keyvault-secrets": "4.7.0", "google-auth-token": "1.0", "tfx": "1.16.0"}
    found = without_secrets(fragment_of(record(environment={"python": "3.10", "packages": packages})))
    assert only(found, NodeKind.ENVIRONMENT).content["packages"] == packages
    told = record(parameters={"packages": {"password": SECRET}})
    assert SECRET not in repr(without_secrets(fragment_of(told)))


def test_cleaning_a_fragment_leaves_no_edge_without_its_nodes() -> None:
    found = fragment_of(record(environment={"python": "3.10", "variables": {"MY_SECRET": SECRET}}))
    clean = without_secrets(found)
    keys = {node.key for node in clean.nodes}
    assert {node.key for node in found.nodes} != keys
    assert all({edge.source, edge.target, edge.run} <= keys for edge in clean.edges)
