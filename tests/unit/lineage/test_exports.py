"""What other tools read of the graph is valid, complete, and lets no foreign text out of its quotes.

PEDIGREE_UPDATE_GOLDENS=1 writes the goldens anew.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lineage_testing import HOSTILE, drawn, hostile
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.lineage import wording
from tfx_pedigree.lineage.exports import render
from tfx_pedigree.lineage.exports.dot import quoted
from tfx_pedigree.lineage.exports.mermaid import escaped
from tfx_pedigree.lineage.graph import Edge, EdgeKind, Node, NodeKind
from tfx_pedigree.lineage.subgraph import Subgraph

GOLDENS = Path(__file__).parent / "goldens"
UPDATE = os.environ.get("PEDIGREE_UPDATE_GOLDENS") == "1"
# One string of DOT: no quote stands in it but after a backslash.
DOT_STRING = r'"(?:[^"\\]|\\.)*"'
DOT_LINE = re.compile(
    rf"  (?:rankdir=RL;|label={DOT_STRING};|(?:node|edge) \[[^\]]*\];"
    rf"|{DOT_STRING} \[(?:\w+=(?:{DOT_STRING}|\w+)(?:, )?)+\];|{DOT_STRING} -> {DOT_STRING} \[label={DOT_STRING}\];)"
)
MERMAID_LABEL = r'"(?:[^"#<>]|#\d+;)*"'
MERMAID_LINE = re.compile(
    rf"flowchart RL|  (?:%% [A-Za-z .]+|n\d+(?:\(|\[\(|\(\[){MERMAID_LABEL}(?:\)|\)\]|\]\)):::[a-z]+"
    rf'|n\d+ -->\|"[a-z ]+"\| n\d+|classDef [a-z]+ [a-z:#0-9,]+|style n\d+ stroke-width:4px)'
)


@st.composite
def graphs(draw: st.DrawFn) -> Subgraph:
    text = st.text(max_size=12) | st.just(HOSTILE)
    nodes = [
        Node(kind, {"digest": number, "of": name}, {"span": (fact,)} if fact else {})
        for number, (kind, name, fact) in enumerate(
            draw(st.lists(st.tuples(st.sampled_from(NodeKind), text, text), min_size=1, max_size=8))
        )
    ]
    keys = [node.key for node in nodes]
    ends = st.sampled_from(keys)
    run = st.none() | ends
    edges = draw(st.lists(st.builds(Edge, ends, st.sampled_from(EdgeKind), ends, run), max_size=12, unique=True))
    depth = {key: number for number, key in enumerate(keys) if number % 2 == 0}
    return Subgraph(
        (keys[0],), dict(zip(keys, nodes, strict=True)), tuple(edges), depth, draw(st.booleans()), ((keys[0],),)
    )


# JSON


@given(graph=graphs())
def test_json_read_again_is_the_same_graph(graph: Subgraph) -> None:
    text = render(graph, "json")
    assume("\\u0000" not in text)  # no reader takes the character zero, which not every database can hold
    again = Subgraph.from_json(json.loads(text))
    assert again == graph
    assert [edge.run for edge in again.edges] == [edge.run for edge in graph.edges]


def _without(name: str) -> Callable[[dict[str, Any]], None]:
    return lambda data: data.pop(name)


@pytest.mark.parametrize(
    "spoil",
    [
        _without("format"),
        _without("nodes"),
        lambda data: data.update(format="pedigree.lineage/2"),
        lambda data: data["nodes"][0]["content"].update(commit="another"),
        lambda data: data["nodes"][0].update(kind="dragon"),
        lambda data: data["edges"][0].update(kind="ate"),
        lambda data: data["edges"][0].update(target="data:0000"),
        lambda data: data.update(nodes=None),
    ],
)
def test_json_that_is_not_whole_is_refused(spoil: Callable[[dict[str, Any]], None]) -> None:
    data = drawn().to_json()
    spoil(data)
    with pytest.raises(InvalidInputError, match="lineage"):
        Subgraph.from_json(data)


# DOT and Mermaid


@pytest.mark.parametrize(("form", "ending"), [("dot", "dot"), ("mermaid", "mmd"), ("json", "json")])
def test_people_read_what_they_read_before(form: str, ending: str) -> None:
    golden = GOLDENS / f"lineage.{ending}"
    text = render(drawn(), form)
    if UPDATE:
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")


@given(graph=graphs())
@settings(max_examples=60)
def test_every_line_of_dot_is_one_statement_whatever_the_names(graph: Subgraph) -> None:
    first, *lines, last = render(graph, "dot").splitlines()
    assert (first, last) == ("digraph lineage {", "}")
    assert [line for line in lines if not DOT_LINE.fullmatch(line)] == []
    assert sum(" -> " in re.sub(DOT_STRING, "", line) for line in lines) == len(graph.edges)


@given(text=st.text())
def test_dot_string_means_the_text_that_was_quoted(text: str) -> None:
    inner = quoted(text)[1:-1]
    assert re.sub(r"\\(.)", r"\1", inner, flags=re.S).replace("&amp;", "&") == text


@given(graph=graphs())
@settings(max_examples=60)
def test_every_line_of_mermaid_is_one_statement_whatever_the_names(graph: Subgraph) -> None:
    lines = render(graph, "mermaid").splitlines()
    assert [line for line in lines if not MERMAID_LINE.fullmatch(line)] == []
    assert sum("-->" in line for line in lines) == len(graph.edges)


@given(text=st.text())
def test_mermaid_label_means_the_text_that_was_escaped(text: str) -> None:
    shown = escaped(text)
    assert not set('"<>`[]{}()%;|\n\\') & set(re.sub(r"#\d+;", "", shown))
    assert re.sub(r"#(\d+);", lambda found: chr(int(found[1])), shown) == text


@pytest.mark.parametrize("form", ["dot", "mermaid", "html"])
def test_picture_says_that_a_limit_left_something_out(form: str) -> None:
    assert "A limit on the depth left something out." in render(drawn(), form)


# The HTML picture


class Page(HTMLParser):
    """What a browser makes of the page: its elements, and the text of each script."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text: list[str] = []
        self._inside = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts[-1] += data
        else:
            self.text.append(data)

    @property
    def data(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.scripts[0])
        return found


def test_page_loads_nothing_and_allows_only_its_own_script() -> None:
    text = render(drawn(), "html")
    page = Page(text)
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|@import|url\((?!#)", text)
    assert {tag for tag, _ in page.elements} & {"link", "img", "iframe", "object", "base"} == set()
    assert not any(
        name in attributes for _, attributes in page.elements for name in ("src", "href", "onclick", "onload")
    )
    policy = next(attributes["content"] for tag, attributes in page.elements if "http-equiv" in attributes)
    assert policy is not None
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "connect-src" not in policy


def test_policy_names_the_digest_of_the_very_script_in_the_page() -> None:
    page = Page(render(drawn(), "html"))
    policy = next(attributes["content"] for _, attributes in page.elements if "http-equiv" in attributes)
    digest = base64.b64encode(hashlib.sha256(page.scripts[1].encode()).digest()).decode()
    assert f"'sha256-{digest}'" in (policy or "")


def test_hostile_names_stay_text_in_the_page() -> None:
    safe, attacked = Page(render(drawn(), "html")), Page(render(hostile(), "html"))
    kinds = {tag for tag, _ in safe.elements}
    assert {tag for tag, _ in attacked.elements} <= kinds
    assert len(attacked.scripts) == 2
    labels = [node["label"] for node in attacked.data["nodes"]]
    assert labels == [wording.label(node) for node in hostile().nodes.values()]
    assert any("</script><img" in text for text in attacked.text), "the title is shown as the text that it is"


def test_script_of_the_page_never_takes_text_for_html() -> None:
    script = Page(render(drawn(), "html")).scripts[1]
    for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function(", "fetch("):
        assert word not in script


def test_page_holds_every_node_and_edge_with_what_is_known_of_it() -> None:
    graph = drawn()
    data = Page(render(graph, "html")).data
    keys = [node["key"] for node in data["nodes"]]
    assert sorted(keys) == sorted(graph.nodes)
    assert {(keys[a], kind, keys[b]) for a, kind, b in data["edges"]} == {
        (edge.source, edge.kind.value, edge.target) for edge in graph.edges
    }
    version = next(node for node in data["nodes"] if node["start"])
    assert ["model", "flight-delay"] in version["content"]
    assert ["version", "1.0.1"] in version["facts"]


def test_page_has_a_colour_for_each_kind_in_both_schemes() -> None:
    text = render(drawn(), "html")
    for kind in NodeKind:
        assert text.count(f".k-{kind.value}{{") == 2
    assert "prefers-color-scheme:dark" in text
