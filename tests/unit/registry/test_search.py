"""Search: the right versions, in order, page by page, and by an index."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from pedigree_testing import Clock, candidate
from tfx_pedigree.errors import InvalidInputError, NotFoundError
from tfx_pedigree.registry import Facts, Registry, Version
from tfx_pedigree.registry.search import Search, Term

pytestmark = pytest.mark.conformance

MODEL = "m"
AUCS = [0.5, 0.9, 0.7, 0.9, 0.8, 0.6]


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def six(module_address: str, tmp_path_factory: pytest.TempPathFactory, clock: Clock) -> Iterator[Registry]:
    """Six versions a day apart; even ones are of team ops; the third is staged and the fourth is champion. Whoever
    searches changes nothing: they are made once."""
    store = str(tmp_path_factory.mktemp("search") / "store")
    clock.time = Clock().time
    with Registry.create(module_address, actor="ada", store=store, clock=clock) as registry:
        for number, auc in enumerate(AUCS):
            tags = {"team": "ops" if number % 2 == 0 else "research"}
            registry.add(MODEL, candidate(number), facts=Facts({"auc": auc, "loss": 1 - auc}, tags))
            clock.advance(days=1)
        registry.promote(f"{MODEL}@4")
        yield registry


def found(registry: Registry, *terms: str) -> list[int]:
    return [version.sequence for version in registry.search(MODEL, terms).items]


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ([], [6, 5, 4, 3, 2, 1]),
        (["metric.auc>=0.7"], [4, 2, 5, 3]),
        (["metric.auc > 0.7"], [4, 2, 5]),
        (["metric.auc<0.7"], [1, 6]),
        (["metric.auc=0.9"], [4, 2]),
        (["metric.auc>0.55", "metric.loss>0.25"], [3, 6]),
        (["metric.unknown>0"], []),
        (["tag.team=ops"], [5, 3, 1]),
        (["tag.team=ops", "metric.auc>=0.7"], [5, 3]),
        (["tag.team=nobody"], []),
        (["state=production"], [4]),
        (["state!=production"], [6, 5, 3, 2, 1]),
        (["state=staging"], []),
        (["created>=2026-11-23"], [6, 5, 4]),
        (["created<2026-11-22"], [2, 1]),
        (["created>2026-11-22T11:00:00", "created<=2026-11-23T12:00:00.500000"], [4, 3]),
        (["created>2030-01-01"], []),
        (["created<2026-11-25", "tag.team=ops"], [5, 3, 1]),
        (["created>2026-11-21", "metric.auc>0.65", "state=development"], [2, 5, 3]),
    ],
)
def test_terms_must_all_hold_and_give_the_order(six: Registry, terms: list[str], expected: list[int]) -> None:
    assert found(six, *terms) == expected


@pytest.mark.parametrize(
    "name", ["auc@class_id=3", "late/precision_at_recall(0.8)@top_k=5@macro_average", "auc@micro_average"]
)
@pytest.mark.parametrize("op", ["=", ">=", "<"])
def test_a_metric_of_one_class_or_output_is_found_by_its_name(name: str, op: str) -> None:
    term = Term.parse(f"metric.{name}{op}0.9")
    assert (term.name, term.op, term.value) == (name, op, 0.9)
    assert Term.parse(str(term)) == term


@pytest.mark.parametrize("terms", [[], ["metric.auc>0"], ["metric.loss<1"], ["tag.team=ops"], ["metric.auc>0.5"]])
def test_pages_together_are_the_whole_answer(six: Registry, terms: list[str]) -> None:
    whole, pages, after = six.search(MODEL, terms).items, [], None
    while True:
        page = six.search(MODEL, terms, limit=2, after=after)
        pages += page.items
        after = page.next
        if after is None:
            break
    assert tuple(pages) == whole


@pytest.mark.parametrize(
    ("term", "says"),
    [
        ("auc>0.9", "'auc' cannot be searched for.*metric.auc>=0.9"),
        ("metric.auc", "not a search term"),
        ("metric.auc>high", "not a number"),
        ("metric.auc>nan", "not a number"),
        ("metric.auc!=1", "takes < <= > >= ="),
        ("state=retired", "no state 'retired'.*reserved, development"),
        ("state>staging", "takes = !="),
        ("created>yesterday", "not a time"),
        ("tag.team>a", "takes ="),
        ("", "not a search term"),
        ("tag.=x", "cannot be searched for"),
    ],
)
def test_terms_that_are_none_say_what_would_be(six: Registry, term: str, says: str) -> None:
    with pytest.raises(InvalidInputError, match=says):
        six.search(MODEL, [term])


def test_search_in_an_unknown_model_and_with_a_wrong_cursor(six: Registry) -> None:
    with pytest.raises(NotFoundError, match="no model"):
        six.search("nothing", [])
    for terms in ([], ["metric.auc>0"], ["tag.team=ops"]):
        with pytest.raises(InvalidInputError, match="not the `next` of a page"):
            six.search(MODEL, terms, after="xyz")


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.builds("metric.auc{}{}".format, st.sampled_from(["<", "<=", ">", ">=", "="]), st.sampled_from(AUCS)),
            st.sampled_from(["tag.team=ops", "tag.team=research", "state=production", "state!=production"]),
            st.builds("created{}2026-11-2{}".format, st.sampled_from(["<", ">=", ">"]), st.integers(0, 6)),
        ),
        max_size=3,
    )
)
def test_search_agrees_with_looking_at_each_version(six: Registry, terms: list[str]) -> None:
    def holds(version: Version, term: Term) -> bool:
        values = {"state": version.state, "created": version.created_at}
        value = values.get(term.field)
        if value is None:
            value = version.metrics.get(term.name) if term.is_metric else version.tags.get(term.name)
        return {
            "=": value == term.value,
            "!=": value != term.value,
            "<": term.op != "<" or value < term.value,
            "<=": term.op != "<=" or value <= term.value,
            ">": term.op != ">" or value > term.value,
            ">=": term.op != ">=" or value >= term.value,
        }[term.op]

    parsed = [Term.parse(term) for term in terms]
    expected = {v.sequence for v in six.versions(MODEL).items if all(holds(v, term) for term in parsed)}
    assert set(found(six, *terms)) == expected


@pytest.mark.parametrize(
    "terms",
    [[], ["state=development"], ["metric.auc>=0.7"], ["tag.team=ops"], ["created<2026-11-22"]],
    ids=["newest", "state", "metric", "tag", "created"],
)
def test_search_walks_an_index_and_sorts_nothing(six: Registry, terms: list[str]) -> None:
    """What makes a page cost the same in a long history: no scan of the table, no sort of what was found."""
    with six.transactions.reading(MODEL) as connection:
        if connection.dialect.name == "postgresql":
            for setting in ("enable_seqscan", "enable_bitmapscan", "enable_hashjoin", "enable_mergejoin"):
                connection.execute(sa.text(f"SET LOCAL {setting} = off"))
        statement, values = Search(MODEL, tuple(Term.parse(term) for term in terms), 20, None).question()
        prepared = statement.prepared(connection.dialect)
        parameters = prepared.parameters(values)
        explain = "EXPLAIN QUERY PLAN " if connection.dialect.name == "sqlite" else "EXPLAIN "
        rows = connection.exec_driver_sql(
            explain + prepared.text, parameters if isinstance(parameters, dict) else tuple(parameters)
        )
        # Roles and names of the actor are few: that they are looked through is no walk through a history.
        plan = "\n".join(str(row) for row in rows if "role_bindings" not in str(row) and "json_each" not in str(row))
    assert "TEMP B-TREE" not in plan, plan
    assert "SCAN" not in plan.replace("Index Scan", "").replace("Index Only Scan", "").upper(), plan
    assert "Sort" not in plan, plan


def test_at_and_created_agree_on_time(six: Registry, clock: Clock) -> None:
    champion = six.at(MODEL, clock.time + timedelta(days=1))
    assert champion is not None
    assert champion.sequence == 4
