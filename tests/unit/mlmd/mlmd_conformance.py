"""What holds for a store of ML Metadata wherever it is kept. One class; a subclass for each kind of database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from mlmd_testing import Ran, history_of_three

from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.lineage.graph import NodeKind
from tfx_pedigree.lineage.lineage import Lineage
from tfx_pedigree.mlmd import Mapper, Reader, connect, import_store, scan, walk_upstream
from tfx_pedigree.registry import Registry


@pytest.fixture
def local_registry(tmp_path: Path) -> Iterator[Registry]:
    """Of the importer; which database it is in is tested elsewhere."""
    Registry.create(str(tmp_path / "registry"), actor="ada", store=str(tmp_path / "store")).close()
    with Registry.open(str(tmp_path / "registry"), actor="ada", store=str(tmp_path / "store")) as registry:
        yield registry


class StoreConformance:
    """A subclass gives `filled`: runs in a store, and `address`: where that is, for somebody who may only read; and
    `empty`: a database without a store, for somebody who may write there."""

    @pytest.fixture
    def reader(self, address: str, filled: tuple[Ran, ...]) -> Iterator[Reader]:
        with connect(address) as reader:
            yield reader

    def test_everything_that_a_pipeline_wrote_is_read_once(self, reader: Reader, filled: tuple[Ran, ...]) -> None:
        pieces = list(scan(reader))
        told = sorted(number for piece in pieces for number in piece.told)
        assert told == sorted(number for ran in filled for number in ran.executions.values())
        runs = {run.name: run.pipeline for piece in pieces for run in piece.runs.values()}
        assert runs == {ran.name: "flight-delay" for ran in filled}

    def test_what_is_read_tells_types_properties_states_and_keys(self, reader: Reader, filled: tuple[Ran, ...]) -> None:
        (examples,) = reader.artifacts([filled[0].outputs["examples"]])
        assert (examples.type, examples.text("span"), examples.uri) == (
            "Examples",
            "1",
            f"/pipelines/flights/CsvExampleGen/examples/{filled[0].name}",
        )
        (cached,) = reader.executions([filled[2].executions["Transform"]])
        assert (cached.component, cached.state) == ("Transform", "CACHED")
        events = reader.events_of_executions([filled[1].executions["Evaluator"]])
        assert {(one.key, one.is_output) for one in events} == {
            ("model", False),
            ("examples", False),
            ("baseline_model", False),
            ("evaluation", True),
            ("blessing", True),
        }

    def test_ids_that_the_store_does_not_know_are_left_out(self, reader: Reader) -> None:
        assert reader.artifacts([999_999]) == []
        assert reader.executions([999_999]) == []
        assert reader.events_of_artifacts([999_999]) == []
        assert len(walk_upstream(reader, [999_999])) == 0

    def test_walk_upstream_finds_what_a_model_was_made_from_and_nothing_else(
        self, reader: Reader, filled: tuple[Ran, ...]
    ) -> None:
        second = filled[1]
        history = walk_upstream(reader, [second.outputs["pushed_model"]])
        components = {one.component for one in history.executions.values()}
        assert components == {*second.executions} - {"Resolver"}
        assert {one.name for one in history.runs.values()} == {second.name}
        # The champion is there, as what it was compared with; how it was made was told by its own run.
        assert second.outputs["champion"] in history.artifacts
        assert filled[0].outputs["examples"] not in history.artifacts

    def test_store_has_one_identity_however_often_it_is_opened(self, address: str, filled: tuple[Ran, ...]) -> None:
        with connect(address) as first, connect(address) as again:
            assert first.identity == again.identity

    def test_import_again_adds_nothing(self, reader: Reader, local_registry: Registry) -> None:
        first = import_store(reader, Lineage(local_registry))
        assert first.recorded is not None
        assert (first.recorded.nodes, first.recorded.edges) == (first.nodes, first.edges)
        again = import_store(reader, Lineage(local_registry))
        assert again.recorded is not None
        assert not again.recorded.anything
        assert (again.nodes, again.edges) == (first.nodes, first.edges)

    def test_span_leads_to_the_models_that_were_trained_on_it(
        self, reader: Reader, filled: tuple[Ran, ...], local_registry: Registry
    ) -> None:
        lineage = Lineage(local_registry)
        import_store(reader, lineage)
        down = lineage.get_downstream(next(one for one in lineage.find_all("span:2") if one.fact("split") == "train"))
        models = {
            n.fact("id") for n in down.nodes.values() if n.kind is NodeKind.ARTIFACT and n.fact("type") == "Model"
        }
        assert models == {str(filled[1].outputs["model"]), str(filled[2].outputs["model"])}

    def test_what_a_run_walks_is_what_an_import_finds(self, reader: Reader, filled: tuple[Ran, ...]) -> None:
        mapper = Mapper(reader.identity)
        every = {node.key for piece in scan(reader) for node in mapper.fragment(piece).nodes}
        walked = Mapper(reader.identity).fragment(walk_upstream(reader, [filled[1].outputs["pushed_model"]]))
        assert {node.key for node in walked.nodes} <= every

    def test_database_without_a_store_is_refused_and_stays_without(self, empty: str) -> None:
        for _ in range(2):
            with pytest.raises(InvalidInputError, match="not an ML Metadata store: it has no table MLMDEnv"):
                connect(empty)


__all__ = ["StoreConformance", "history_of_three", "local_registry"]
