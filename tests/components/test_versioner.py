"""Each training becomes one version, with what it was made from, and only once."""

from __future__ import annotations

import gzip
import io
import itertools
import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest
from components_testing import MODELS, NAME, Place, record, through_kubeflow, tree, write_rows
from hypothesis import given
from hypothesis import strategies as st
from tensorflow.core.example import example_pb2
from tfx.types import standard_artifacts

from tfx_pedigree.comparison import Comparison, Data, GateDecision, MetricRow, MetricValue, Policy, Side, Slice
from tfx_pedigree.comparison import Verdict as GateVerdict
from tfx_pedigree.errors import ConflictError, InvalidInputError, NotFoundError
from tfx_pedigree.registry import Evidence, Registry, State, Verdict
from tfx_pedigree.service.judging.comparison import Behaviour, Evaluated, Found, judge
from tfx_pedigree.service.judging.contestants import contestants
from tfx_pedigree.service.judging.gate import COMPARISON
from tfx_pedigree.store import manifest_of
from tfx_pedigree.tfx_components.version_comparator.executor import given_champion
from tfx_pedigree.tfx_components.versioner import fingerprint
from tfx_pedigree.versioning.git_state import GitState

ROWS = [{"a": float(n), "b": n / 7} for n in range(50)]


def test_a_training_becomes_a_reserved_version_with_its_bytes_stored(place: Place, local_registry: Registry) -> None:
    version = place.version(place.trained("keras"))
    found = record(version)
    assert found["format"] == "pedigree.model-version/1"
    assert (found["model"], found["version"], found["sequence"], found["bump"]) == (NAME, "1.0.0", 1, None)
    assert found["digest"] == manifest_of(MODELS / "keras").digest
    assert found["champion"] is None
    assert found["description"]["signatures"].keys() >= {"serving_default"}
    assert local_registry.store.has(found["digest"])
    assert local_registry.get(f"{NAME}@1.0.0").state is State.RESERVED
    assert version.get_string_custom_property("version") == "1.0.0"
    assert through_kubeflow(version).get_int_custom_property("sequence") == 1


@pytest.mark.parametrize(
    ("golden", "number", "bump"), [("keras_retrained", "1.0.1", "patch"), ("keras_deeper", "1.1.0", "minor")]
)
def test_the_number_says_what_changed(place: Place, golden: str, number: str, bump: str) -> None:
    place.version(place.trained("keras"))
    found = record(place.version(place.trained(golden)))
    assert (found["version"], found["bump"], found["predecessor"]) == (number, bump, "1.0.0")
    assert found["reasons"]


def test_the_same_training_again_is_the_same_version_and_writes_nothing(
    place: Place, history: Callable[[], list[str]]
) -> None:
    """Though the Trainer leaves other scratch files beside the model in each run."""
    first = place.version(place.trained("keras"))
    before = history()
    again = place.version(place.trained("keras"))
    assert tree(again.uri) == tree(first.uri)
    assert history() == before == ["create-model", "reserve"]


def test_a_run_that_died_after_the_store_ends_as_one_that_did_not(
    place: Place, local_registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    class KilledError(BaseException):
        pass

    def die(*_: object, **__: object) -> None:
        raise KilledError

    for step in ("reserve", "description"):
        with monkeypatch.context() as patched, pytest.raises(KilledError):
            patched.setattr(Registry, step, die)
            place.version(place.trained("keras"))
    found = record(place.version(place.trained("keras")))
    assert (found["version"], found["sequence"]) == ("1.0.0", 1)
    assert len(local_registry.versions(NAME).items) == 1


def test_hyperparameters_decide_the_number_and_training_is_only_recorded(place: Place) -> None:
    first = {"hyperparameters": json.dumps({"units": [8, 4], "optimizer": {"rate": 0.1}}), "training": '{"steps": 10}'}
    found = record(place.version(place.trained("keras"), first))
    assert found["parameters"] == {"units": "[8, 4]", "optimizer.rate": 0.1}
    assert found["training"] == {"steps": 10}
    longer = record(place.version(place.trained("keras_retrained"), {**first, "training": '{"steps": 99}'}))
    assert longer["bump"] == "patch"
    other = {"hyperparameters": json.dumps({"units": [8, 4], "optimizer": {"rate": 0.2}})}
    assert record(place.version(place.trained("keras_tanh"), other))["bump"] == "minor"


def test_the_same_bytes_keep_the_hyperparameters_under_which_they_were_reserved(place: Place) -> None:
    first = place.version(place.trained("keras"), {"hyperparameters": '{"units": 8}'})
    again = place.version(place.trained("keras"), {"hyperparameters": '{"units": 9}'})
    assert record(again) == record(first)


def test_another_label_is_a_major_change_and_registry_diff_comparison_and_evidence_give_the_same_reason(
    place: Place, local_registry: Registry
) -> None:
    place.push(place.version(place.trained("keras"), {"label_key": "late"}), {"promote_to": "none"})
    local_registry.promote(f"{NAME}@1.0.0")
    champion, trained = place.champion(), place.trained("keras_retrained")
    version = place.version(trained, {"label_key": "cancelled"}, champion=champion)
    reasons = ["what it predicts changed from `late` to `cancelled`"]
    found = record(version)
    assert (found["version"], found["bump"], found["reasons"]) == ("2.0.0", "major", reasons)
    told = local_registry.compare(f"{NAME}@1.0.0", f"{NAME}@2.0.0")
    assert (told.bump, list(told.reasons)) == ("major", reasons)
    measured = Found(contestants(found, given_champion(champion)), Evaluated({}), Behaviour(), Data("eval"))
    comparison, evidence = judge(Policy("auc"), measured)
    assert (comparison.bump, list(comparison.changes)) == ("MAJOR", reasons)
    assert evidence.details["bump"] == "MAJOR"
    again = record(place.version(trained, {"label_key": "cancelled"}))
    assert again["version"] == "2.0.0"


def test_the_slices_on_which_the_champion_was_judged_are_recorded_with_it(
    place: Place, local_registry: Registry
) -> None:
    first = record(place.version(place.trained("keras")))
    row = MetricRow("auc", Slice.of({"carrier": "AA"}), challenger=MetricValue(0.8, count=40))
    decision = GateDecision(GateVerdict.PASS, "it passed")
    kept = Comparison(NAME, Side("1.0.0", first["digest"]), None, Policy("auc"), decision, metrics=(row,))
    evidence = Evidence(first["digest"], None, Verdict.PASS, "it passed", details={COMPARISON: kept.to_json()})
    local_registry.register(f"{NAME}@1.0.0", evidence=evidence)
    local_registry.promote(f"{NAME}@1.0.0")
    champion = place.champion()
    found = record(place.version(place.trained("keras_retrained"), champion=champion))
    assert found["champion"]["slices"] == [{"slice": {"carrier": "AA"}, "examples": 40}]
    assert contestants(found, given_champion(champion)).earlier == {Slice.of({"carrier": "AA"}): 40}


@pytest.mark.parametrize(
    ("asked", "number"),
    [({"bump": "major"}, "2.0.0"), ({"pre": "rc"}, "1.0.1-rc.1"), ({"version_number": "1.4.0"}, "1.4.0")],
)
def test_what_the_user_asks_for_outranks_the_content(place: Place, asked: dict[str, str], number: str) -> None:
    place.version(place.trained("keras"))
    assert record(place.version(place.trained("keras_retrained"), asked))["version"] == number


def test_a_number_that_is_not_higher_is_refused_and_takes_nothing(place: Place, local_registry: Registry) -> None:
    place.version(place.trained("keras"))
    with pytest.raises(ConflictError):
        place.version(place.trained("keras_retrained"), {"version_number": "0.9.0"})
    assert len(local_registry.versions(NAME).items) == 1


def test_data_code_and_environment_are_recorded(place: Place) -> None:
    state = GitState(commit="a" * 40, remote="https://example.org/x.git", branch="main")
    examples = place.examples(ROWS, "train", span="3")
    found = record(place.version(place.trained("keras"), {"git": json.dumps(state.to_json())}, examples=examples))
    assert found["code"]["commit"] == "a" * 40
    assert found["environment"]["packages"]["tfx"]
    assert found["environment"]["python"]
    (data,) = found["data"]["examples"]
    assert data["span"] == "3"
    assert data["splits"]["train"]["rows"] == 50
    assert data["splits"]["train"]["fingerprint"].startswith("sha256:")


def test_the_span_survives_kubeflow(place: Place) -> None:
    examples = through_kubeflow(place.examples(ROWS, "train", span="3"))
    found = record(place.version(place.trained("keras"), examples=examples))
    assert found["data"]["examples"][0]["span"] == "3"


def test_the_fingerprint_is_of_the_rows_and_not_of_their_order(tmp_path: Path) -> None:
    def open_file(name: str) -> BinaryIO:
        return Path(name).open("rb")

    def of(*parts: list[dict[str, float]]) -> fingerprint.Rows:
        names = []
        for number, part in enumerate(parts):
            names.append(str(tmp_path / f"{number}"))
            write_rows(Path(names[-1]), part)
        found = fingerprint.fingerprint_rows(names, open_file)
        assert found is not None
        return found

    assert of(ROWS) == of(ROWS[::-1]) == of(ROWS[:20], ROWS[20:])
    assert of(ROWS) != of(ROWS[1:])
    assert of(ROWS) != of([*ROWS, ROWS[0]])
    assert of([{**ROWS[0], "a": 0.5}]) != of([ROWS[0]])


def test_the_fingerprint_minds_no_order_of_features_within_a_row() -> None:
    """protobuf writes a map in any order, so ExampleGen's files differ from run to run."""
    a, b = example_pb2.Example(), example_pb2.Example()
    for name, value in (("x", 1.0), ("y", 2.0), ("long" * 60, 3.0)):
        a.features.feature[name].float_list.value.append(value)
    entries = fingerprint._parts(fingerprint._parts(a.SerializeToString())[0])
    assert len(entries) == 3

    orders = {_row(*order) for order in itertools.permutations(entries)}
    assert len(orders) == 6
    assert all(example_pb2.Example.FromString(order) == a for order in orders)
    assert len({fingerprint.steady(order) for order in orders}) == 1
    b.CopyFrom(a)
    b.features.feature["x"].float_list.value[0] = 1.5
    assert fingerprint.steady(b.SerializeToString()) != fingerprint.steady(a.SerializeToString())


def _varint(number: int) -> bytes:
    return bytes([number]) if number < 0x80 else bytes([number & 0x7F | 0x80]) + _varint(number >> 7)


def _row(*entries: bytes) -> bytes:
    features = b"".join(b"\x0a" + _varint(len(entry)) + entry for entry in entries)
    return b"\x0a" + _varint(len(features)) + features


@pytest.mark.parametrize("packed", [bytes, gzip.compress])
def test_fingerprints_are_those_that_earlier_releases_recorded(packed: Callable[[bytes], bytes]) -> None:
    whole = [_row(b"b", b"a"), _row(b"", b"x" * 127, b"y" * 128, b"z" * 20_000), _row()]
    rows = [*whole, b"", b"no example", _row(b"cut")[:-1]]
    data = packed(b"".join(struct.pack("<QI", len(row), 0) + row + bytes(4) for row in rows))
    found = fingerprint.fingerprint_rows(["data"], lambda _: io.BytesIO(data))
    assert found == fingerprint.Rows("sha256:f3783730e9991f3a9a7a0bfd0ac8a65d2f82211d27061ef9b18db4544debb5e3", 6)


@given(st.binary(max_size=60))
def test_any_row_has_a_fingerprint(record: bytes) -> None:
    assert fingerprint.steady(record) or not record


@pytest.mark.parametrize("content", [b"PAR1 not a record", b"\x1f\x8b broken", b"\x01"])
def test_data_in_another_form_have_no_fingerprint(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "data").write_bytes(content)
    assert fingerprint.fingerprint_rows(["data"], lambda name: (tmp_path / name).open("rb")) is None


SCHEMA = 'feature { name: "%s" type: BYTES domain: "%s" } string_domain { name: "%s" value: "%s" }'


def test_new_values_in_a_column_are_no_other_schema_and_a_new_column_is(place: Place) -> None:
    def version(golden: str, *words: str) -> str:
        schema = place.made(standard_artifacts.Schema)
        Path(schema.uri, "schema.pbtxt").write_text(SCHEMA % words)
        found = record(place.version(place.trained(golden), schema=schema))
        assert found["data"]["schema"]["digest"] != found["data"]["schema"]["structure"]
        return str(found["version"])

    assert version("keras", "carrier", "carrier", "carrier", "UA") == "1.0.0"
    assert version("keras_retrained", "carrier", "carrier", "carrier", "AA") == "1.0.1"
    assert version("keras_tf_2_21", "origin", "origin", "origin", "JFK") == "1.1.0"


def test_a_transform_graph_fitted_anew_is_no_other_one(place: Place) -> None:
    def version(golden: str, graph: str) -> str:
        transform = place.made(standard_artifacts.TransformGraph)
        shutil.copytree(MODELS / graph, Path(transform.uri, "transform_fn"))
        return str(record(place.version(place.trained(golden), transform_graph=transform))["version"])

    assert version("keras", "keras") == "1.0.0"
    assert version("keras_retrained", "keras_retrained") == "1.0.1"
    assert version("keras_tanh", "keras_deeper") == "1.1.0"


def test_the_champion_of_the_record_is_the_one_that_is_evaluated_against(
    place: Place, local_registry: Registry
) -> None:
    """Even if another one was promoted since: a promotion must notice that."""
    for golden in ("keras", "keras_tanh"):
        place.version(place.trained(golden))
        newest = local_registry.versions(NAME, limit=1).items[0]
        local_registry.register(f"{NAME}@{newest.version}")
    local_registry.promote(f"{NAME}@1.0.0")
    champion = place.champion()
    local_registry.promote(f"{NAME}@1.1.0")
    found = record(place.version(place.trained("keras_retrained"), champion=champion))
    assert found["champion"]["version"] == "1.0.0"
    assert found["champion"]["description"]["signatures"]
    assert record(place.version(place.trained("keras_retrained")))["champion"]["version"] == "1.1.0"


def test_a_model_without_files_is_refused_before_a_number_is_taken(place: Place, local_registry: Registry) -> None:
    with pytest.raises((NotFoundError, InvalidInputError)):
        place.version(place.made(standard_artifacts.Model))
    assert local_registry.models().items == ()


def test_two_runs_at_once_get_two_numbers(shared_place: Place, registry: Registry) -> None:
    from concurrent.futures import ThreadPoolExecutor

    models = [shared_place.trained(golden) for golden in ("keras", "keras_retrained", "keras_deeper")]
    with ThreadPoolExecutor(3) as pool:
        numbers = [record(version)["version"] for version in pool.map(shared_place.version, models)]
    assert len(set(numbers)) == 3
    assert sorted(v.sequence for v in registry.versions(NAME).items) == [1, 2, 3]
