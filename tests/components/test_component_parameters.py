"""Parameters mean the same on every runner, hold no secret, and make a cached answer impossible where one would lie."""

from __future__ import annotations

import dataclasses
import inspect
import re
from pathlib import Path
from typing import Any

import pytest
from tfx.types import channel, standard_artifacts

import tfx_pedigree
from tfx_pedigree.comparison import Bounds, Guardrail, ModelInputs, Policy, evaluator_plan
from tfx_pedigree.errors import InvalidInputError, NotFoundError
from tfx_pedigree.tfx_components import parameters
from tfx_pedigree.tfx_components.artifacts import ModelVersion
from tfx_pedigree.tfx_components.champion_provider.component import ChampionProvider
from tfx_pedigree.tfx_components.version_comparator.component import VersionComparator


@pytest.mark.parametrize("given", [True, 1, 1.0, "1", "true", "True"])
def test_each_runners_yes_is_a_yes(given: Any) -> None:
    assert parameters.flag({"latency": given}, "latency") is True


@pytest.mark.parametrize("given", [False, 0, 0.0, "0", "false"])
def test_each_runners_no_is_a_no(given: Any) -> None:
    assert parameters.flag({"latency": given}, "latency", default=True) is False


@pytest.mark.parametrize("given", [2, "maybe", 0.5, [1]])
def test_what_is_neither_is_refused_with_the_parameters_name(given: Any) -> None:
    with pytest.raises(InvalidInputError, match="`latency`"):
        parameters.flag({"latency": given}, "latency")


@pytest.mark.parametrize("given", [7, 7.0, "7"])
def test_a_whole_number_survives_kubeflow(given: Any) -> None:
    assert parameters.whole({"span": given}, "span") == 7
    assert parameters.text({"span": given}, "span") == "7"


@pytest.mark.parametrize("given", ['{"a": [1, true]}', {"a": [1, True]}])
def test_structure_comes_as_json_or_decoded(given: Any) -> None:
    assert parameters.structure({"policy": given}, "policy") == {"a": [1, True]}


def test_broken_json_is_refused_with_the_parameters_name() -> None:
    with pytest.raises(InvalidInputError, match="`policy`"):
        parameters.structure({"policy": "{"}, "policy")


@pytest.mark.parametrize("missing", [{}, {"a": None}, {"a": ""}])
def test_missing_none_and_empty_are_the_same(missing: dict[str, Any]) -> None:
    assert parameters.text(missing, "a", "default") == "default"
    assert parameters.whole(missing, "a", 3) == 3
    assert parameters.flag(missing, "a", True) is True
    assert parameters.structure(missing, "a", "default") == "default"


@pytest.mark.parametrize("key", ["registry", "store"])
@pytest.mark.parametrize("address", ["postgresql://ada:s3cret@db/pedigree", "s3://b/p?secret_token=s3cret"])
def test_a_password_in_a_parameter_is_refused_and_not_repeated(key: str, address: str) -> None:
    with pytest.raises(InvalidInputError, match="PGPASSWORD") as refused:
        ChampionProvider("flight-delay", **{key: address})
    assert "s3cret" not in str(refused.value)
    with pytest.raises(InvalidInputError), parameters.open_workspace({key: address}):
        pass


def test_an_address_without_a_password_is_taken() -> None:
    made = ChampionProvider("flight-delay", "postgresql://ada@db/pedigree", "gs://bucket/pedigree", "ci")
    assert made.exec_properties["registry"] == "postgresql://ada@db/pedigree"


def test_the_librarys_version_is_a_parameter_because_the_cache_knows_no_code() -> None:
    assert ChampionProvider("flight-delay").exec_properties["library"] == tfx_pedigree.__version__


def test_a_registry_that_is_not_there_is_refused_and_not_made(tmp_path: Any) -> None:
    where = tmp_path / "mistyped"
    with pytest.raises(NotFoundError, match="pedigree init"), parameters.open_workspace({"registry": str(where)}):
        pass
    assert not where.exists()


def test_what_is_left_out_comes_from_the_environment(local_registry: Any, tmp_path: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("PEDIGREE_REGISTRY", str(tmp_path / "registry"))
    monkeypatch.setenv("PEDIGREE_ACTOR", "robot")
    with parameters.open_workspace({}) as workspace:
        assert workspace.registry.actor == "robot"
        assert workspace.registry.models().items == ()


def table_in(document: str, heading: str, column: str) -> list[str]:
    """The names in the first column of the table that begins with this column's title."""
    text = (Path(__file__).parents[2] / "docs" / document).read_text().split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = text.split(f"| {column} |")[1].split("\n\n")[0].splitlines()[2:]
    return [name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])]


def test_every_field_of_the_models_inputs_stands_in_the_documents() -> None:
    assert table_in("components.md", "What the Evaluator must know", "field") == [
        one.name for one in dataclasses.fields(ModelInputs)
    ]


def test_every_option_of_the_comparator_stands_in_the_documents_with_its_default() -> None:
    named = table_in("components.md", "What the Evaluator must know", "option")
    parameters = inspect.signature(VersionComparator).parameters
    assert set(named) == {name for name, one in parameters.items() if one.kind is one.KEYWORD_ONLY} - {
        "champion",
        "model_blessing",
        "infra_blessing",
        "best_champion",
        "best_evaluation",
    }


def test_snippets_of_inputs_and_options_run_as_they_stand() -> None:
    text = (Path(__file__).parents[2] / "docs" / "components.md").read_text()
    snippets = [one for one in re.findall(r"```python\n(.*?)```", text, re.S) if one.startswith(("inputs", "compar"))]
    names: dict[str, Any] = {"ModelInputs": ModelInputs}
    for snippet in snippets:
        exec(snippet, names)  # noqa: S102  it is the project's own text
    policy = Policy("kind/auc@macro_average", guardrails=(Guardrail("late/ndcg@top_k=5", bounds=Bounds(0.1)),))
    assert evaluator_plan(policy, names["inputs"]).config["modelSpecs"][0]["labelKeys"] == {
        "late": "was_late",
        "kind": "kind",
    }
    channels = {
        name: channel.Channel(type=kind)
        for name, kind in (
            ("model", standard_artifacts.Model),
            ("version", ModelVersion),
            ("evaluation", standard_artifacts.ModelEvaluation),
            ("examples", standard_artifacts.Examples),
        )
    }
    made = VersionComparator(policy=policy, **channels, **names["comparator_options"])
    assert made.exec_properties["latency_rounds"] == 200
