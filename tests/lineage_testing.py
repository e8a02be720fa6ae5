"""The lineage of a model with three versions, as components record it: for tests that ask, show and draw."""

from __future__ import annotations

from typing import Any

from pedigree_testing import Clock, candidate, digest, lineage_of
from tfx_pedigree.comparison import Data
from tfx_pedigree.lineage.graph import Edge, EdgeKind, Node
from tfx_pedigree.lineage.node_factory import code_node, data_node, decision_node, run_node, version_node
from tfx_pedigree.lineage.run_graph import Deployment, Judged, PipelineRun, fragment_of
from tfx_pedigree.lineage.subgraph import Subgraph
from tfx_pedigree.registry import Evidence, Facts, PromotionRequest, Reference, Registry, Verdict, Version

MODEL = "flight-delay"
HOSTILE = '</script><img src=x onerror=alert(1)>"];\n%%{init}%% `end` [x](y) \\N & &amp; \u202e\u2028'


def make_versions(registry: Registry, clock: Clock) -> None:
    """1.0.0 was champion until 1.0.1 replaced it; the gate refused 1.1.0."""
    first = registry.add(MODEL, candidate("first", learning_rate=0.01), facts=Facts({"auc": 0.9, "loss": 0.31})).version
    clock.advance(minutes=1)
    registry.promote(f"{MODEL}@1.0.0", PromotionRequest(reason="first model"))
    clock.advance(hours=1)
    second = registry.add(
        MODEL, candidate("second", learning_rate=0.01), facts=Facts({"auc": 0.918, "loss": 0.29})
    ).version
    passed = Evidence(second.digest, first.digest, Verdict.PASS, "auc is 2 % better")
    registry.attach_evidence(f"{MODEL}@1.0.1", passed)
    clock.advance(minutes=1)
    registry.promote(f"{MODEL}@1.0.1")
    clock.advance(hours=1)
    third = registry.add(MODEL, candidate("third", learning_rate=0.003), facts=Facts({"auc": 0.9})).version
    failed = Evidence(third.digest, second.digest, Verdict.FAIL, "auc fell by 2 %, more than the 1 % allowed")
    registry.attach_evidence(f"{MODEL}@1.1.0", failed)


def version_json(version: Version, span: int, **changed: Any) -> dict[str, Any]:
    """What the Versioner leaves, as far as lineage reads it."""
    return {
        "format": "pedigree.model-version/1",
        "model": version.model,
        "version": version.version,
        "digest": version.digest,
        "predecessor": version.predecessor,
        "champion": None,
        "parameters": dict(version.parameters),
        "training": {"train_args": {"splits": ["train"], "num_steps": 2000}, "seed": 17},
        "data": {
            "examples": [
                {
                    "span": str(span),
                    "splits": {
                        "train": {"fingerprint": digest(f"train {span}"), "rows": 18_000 + span, "bytes": 900_000},
                        "eval": {"fingerprint": digest(f"eval {span}"), "rows": 2_000 + span, "bytes": 100_000},
                    },
                }
            ],
            "schema": {"digest": digest("schema")},
            "transform": {"digest": digest(f"transform {span}")},
        },
        "code": {
            "format": "pedigree.git-state/1",
            "commit": "4f1d2c3b" * 5,
            "remote": "https://git.example.org/flights.git",
            "branch": "main",
            "dirty": False,
            "diff_digest": None,
        },
        "modules": {"flight_model.py": digest("model code"), "preprocessing.py": digest("preprocessing")},
        "environment": {
            "python": "3.10.14",
            "packages": {"tfx": "1.16.0", "tensorflow": "2.16.2", "numpy": "1.26.4"},
            "packages_digest": digest("packages"),
            "cpu": "x86_64, 8 cores",
            "variables": {"TF_DETERMINISTIC_OPS": "1"},
        },
        **changed,
    }


def record_story(registry: Registry) -> None:
    """1.0.0 was trained on span 1, 1.0.1 on span 2 and measured on span 3, both by the same code. 1.1.0 was trained on
    span 3 by changed code with other packages; the gate refused it. Only 1.0.1 was deployed by the pipeline."""
    lineage = lineage_of(registry)
    first, second, third = (registry.get(Reference(MODEL, number)) for number in ("1.0.0", "1.0.1", "1.1.0"))
    changed = version_json(third, 3)
    changed["code"] |= {"commit": "9a8b7c6d" * 5, "dirty": True, "diff_digest": digest("diff")}
    changed["modules"] = {"flight_model.py": digest("wider model"), "preprocessing.py": digest("preprocessing")}
    changed["environment"]["packages"] |= {"numpy": "1.26.5"}
    changed["environment"]["packages_digest"] = digest("other packages")
    records = (
        (first, version_json(first, 1), None, None),
        (second, version_json(second, 2), first, Deployment(f"serving/{MODEL}/2")),
        (third, changed, second, None),
    )
    for number, (version, record, before, deployment) in enumerate(records, 1):
        if before is not None:
            record["champion"] = {"version": before.version, "digest": before.digest}
        evidence = registry.evidence(Reference(MODEL, version.version))
        fragment = fragment_of(
            record,
            predecessor=before.digest if before else None,
            judged=Judged(evidence) if evidence else None,
            evaluated_on=[_next_span(number + 1)] if before else (),
            deployment=deployment,
            run=PipelineRun(id=f"2026-11-2{number}T02:00", pipeline="flights", complete=True),
        )
        lineage.record(fragment, model=MODEL)


def _next_span(span: int) -> Data:
    """What a version trained on one span is measured on."""
    return Data("eval", str(span), digest(f"eval {span}"), 2_000 + span)


def hostile() -> Subgraph:
    """A graph whose every text tries to break out of where it is put."""
    data = data_node(fingerprint=digest("x"), span=HOSTILE, split=HOSTILE, rows=1)
    version = version_node(HOSTILE, digest("v"), version=HOSTILE)
    edge = Edge(version.key, EdgeKind.TRAINED_ON, data.key)
    return Subgraph((version.key,), {version.key: version, data.key: data}, (edge,), {version.key: 0, data.key: 1})


def drawn() -> Subgraph:
    """Two runs that share a commit and nothing else; the second one follows the first. Needs no registry."""
    nodes: dict[str, Node] = {}
    edges: list[Edge] = []

    def add(node: Node) -> Node:
        return nodes.setdefault(node.key, node)

    code = add(code_node({"commit": "4f1d2c3b" * 5, "diff_digest": None, "branch": "main"}))
    before: Node | None = None
    for number in (1, 2):
        data = add(data_node(fingerprint=digest(f"train {number}"), span=str(number), split="train", rows=1000))
        version = add(version_node(MODEL, digest(f"model {number}"), version=f"1.0.{number - 1}"))
        run = add(run_node(model=MODEL, version=version.content["digest"], data=[data.key], id=f"night-{number}"))
        decision = add(decision_node(MODEL, digest(f"evidence {number}"), verdict="PASS"))
        links = [
            (version, EdgeKind.TRAINED_ON, data),
            (version, EdgeKind.BUILT_BY, code),
            (version, EdgeKind.PRODUCED_BY, run),
            (run, EdgeKind.USED, data),
        ]
        links += [(version, EdgeKind.SUPERSEDES, before)] if before else []
        edges += [Edge(source.key, kind, target.key, run.key) for source, kind, target in links]
        edges.append(Edge(decision.key, EdgeKind.DECIDES_ON, version.key))
        before = version
    assert before is not None
    return Subgraph((before.key,), nodes, tuple(edges), {before.key: 0}, complete=False)
