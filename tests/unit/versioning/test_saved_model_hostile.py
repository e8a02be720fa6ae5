"""Files that are cut off, mutated or made to hurt: they are refused with a sentence, quickly and in little memory."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from saved_model_messages import SavedModel
from versioning_testing import GOLDENS, quick

from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.versioning import ModelDescription, describe_files
from tfx_pedigree.versioning.tensor_bundle import table, variables
from tfx_pedigree.versioning.tfrecord import crc32c
from tfx_pedigree.versioning.wire import WireError, varint

MODELS = GOLDENS / "saved_models"
GRAPHS = [(MODELS / name / "saved_model.pb").read_bytes() for name in ("composite", "module", "bare")]
INDEXES = [(MODELS / name / "variables/variables.index").read_bytes() for name in ("composite", "module", "keras")]


def graph_only(data: bytes) -> ModelDescription:
    return describe_files(lambda _: io.BytesIO(data), ["saved_model.pb"])


def with_index(data: bytes) -> ModelDescription:
    files = {"saved_model.pb": GRAPHS[2], "variables/variables.index": data}
    return describe_files(lambda path: io.BytesIO(files[path]), files)


def read_or_refuse(read: Callable[[bytes], ModelDescription], data: bytes) -> None:
    try:
        found = read(data)
    except InvalidInputError as error:
        assert "cannot be read as part of a SavedModel" in str(error)
        assert str(error).isprintable()
    else:
        assert ModelDescription.from_json(found.to_json()) == found


@st.composite
def _mutated(draw: st.DrawFn, originals: list[bytes]) -> bytes:
    data = bytearray(draw(st.sampled_from(originals)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        end = min(len(data), at + draw(st.integers(0, 8)))
        data[at:end] = draw(st.binary(max_size=8))
    return bytes(data)


@quick
@given(_mutated(GRAPHS))
def test_mutated_graph_is_read_or_refused(data: bytes) -> None:
    read_or_refuse(graph_only, data)


@quick
@given(_mutated(INDEXES))
def test_mutated_index_is_read_or_refused(data: bytes) -> None:
    read_or_refuse(with_index, data)


@quick
@given(_mutated(INDEXES))
def test_index_with_mended_checksums_is_read_or_refused(data: bytes) -> None:
    """A mutation that a checksum would catch goes deeper if the checksums are made right again."""
    read_or_refuse(with_index, _mended(data))


def _mended(data: bytes) -> bytes:
    if len(data) < 48:
        return data
    mended = bytearray(data)
    try:
        at = len(data) - 48
        notes, at = varint(data, at, len(data))
        length, at = varint(data, at, len(data))
        index, at = varint(data, at, len(data))
        size, _ = varint(data, at, len(data))
    except WireError:
        return data
    for start, stop in ((0, notes - 5), (notes, notes + length), (index, index + size)):
        if start < stop and stop + 5 <= len(mended):
            crc = crc32c(bytes(mended[start : stop + 1]))
            mended[stop + 1 : stop + 5] = (((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF).to_bytes(4, "little")
    return bytes(mended)


@quick
@given(st.binary(max_size=300))
def test_garbage_is_read_or_refused(data: bytes) -> None:
    read_or_refuse(graph_only, data)
    read_or_refuse(with_index, data)


@pytest.mark.parametrize("data", INDEXES, ids=["composite", "module", "keras"])
def test_index_cut_off_anywhere_is_refused(data: bytes) -> None:
    for length in range(len(data)):
        with pytest.raises(InvalidInputError, match="variables.index cannot be read"):
            with_index(data[:length])


def test_graph_cut_off_anywhere_is_refused() -> None:
    data = GRAPHS[0]
    for length in range(0, len(data), 7):
        with pytest.raises(InvalidInputError, match="saved_model.pb cannot be read"):
            graph_only(data[:length])


def test_every_flipped_bit_of_an_index_block_is_found() -> None:
    data = INDEXES[1]
    for at in range(len(data) - 48 - 8):
        flipped = bytearray(data)
        flipped[at] ^= 1
        with pytest.raises(InvalidInputError):
            with_index(bytes(flipped))


def test_crc32c_is_castagnolis() -> None:
    assert crc32c(b"123456789") == 0xE3069283  # the check value of the CRC catalogue


def _number(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _block(content: bytes, kind: int = 0) -> bytes:
    block = content + (0).to_bytes(4, "little") + (1).to_bytes(4, "little")
    crc = crc32c(block + bytes([kind]))
    masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
    return block + bytes([kind]) + masked.to_bytes(4, "little")


def _entry(shared: int, key: bytes, value: bytes) -> bytes:
    return _number(shared) + _number(len(key)) + _number(len(value)) + key + value


def _table(entries: bytes, kind: int = 0, handles: int = 1) -> bytes:
    data, notes = _block(entries, kind), _block(b"")
    handle = _number(0) + _number(len(data) - 5)
    index = _block(b"".join(_entry(0, bytes([byte]), handle) for byte in range(handles)))
    footer = _number(len(data)) + _number(len(notes) - 5)
    footer += _number(len(data) + len(notes)) + _number(len(index) - 5)
    return data + notes + index + footer.ljust(40, b"\0") + (0xDB4775248B80FB57).to_bytes(8, "little")


HEADER = _entry(0, b"", b"")


def test_table_made_here_is_a_good_one() -> None:
    assert [key for key, _ in table(_table(HEADER + _entry(0, b"a", b"")))] == [b"", b"a"]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (_table(HEADER, kind=1), "compressed with Snappy"),
        (_table(HEADER, kind=7), "compressed with method 7"),
        (_table(HEADER, handles=2), "begins inside the one before"),
        (_table(_entry(0, b"a", b"")), "not the header"),
        (_table(HEADER + _entry(0, b"b", b"") + _entry(0, b"a", b"")), "out of order"),
        (_table(HEADER + _entry(0, b"a", b"") * 2), "out of order"),
        (_table(HEADER + _entry(3, b"a", b"")), "does not fit its block"),
        (_table(HEADER + _entry(0, bytes(5000), b"")), "does not fit its block"),
        (_table(HEADER + _entry(0, b"\xff\xfe", b"")), "not UTF-8"),
        (_table(HEADER + _entry(0, b"w", b"\x12\x02\x18\x01")), "`w` has no complete shape"),
        (_table(HEADER + _entry(0, b"w", b"\x12\x05\x12\x03\x08\xff\x01")), None),
        (b"", "last eight bytes"),
        (bytes(48), "last eight bytes"),
    ],
)
def test_malformed_table_is_refused(data: bytes, said: str | None) -> None:
    if said is None:
        assert variables(data)["w"].shape == (255,)
        return
    with pytest.raises(InvalidInputError, match=said):
        with_index(data)


def _within_limits(read: Callable[[bytes], ModelDescription], data: bytes, said: str) -> None:
    tracemalloc.start()
    began = time.monotonic()
    try:
        with pytest.raises(InvalidInputError, match=said):
            read(data)
        assert tracemalloc.get_traced_memory()[1] < (200 << 20)
        assert time.monotonic() - began < 60
    finally:
        tracemalloc.stop()


def test_short_file_cannot_name_gigabytes_of_variables() -> None:
    names = (bytes([48 + i // 4096, 48 + i // 64 % 64, 48 + i % 64]) for i in range(20_000))
    entries = HEADER + _entry(0, b"a" * 4000, b"") + b"".join(_entry(4000, name, b"") for name in names)
    assert len(entries) < 150_000
    _within_limits(with_index, _table(entries), "far too long")


def test_composite_tensor_nested_without_end_is_refused() -> None:
    model = SavedModel()
    info = model.meta_graphs.add().signature_def["s"].outputs["y"]
    for _ in range(50):
        info = info.composite_tensor.components.add()
    _within_limits(graph_only, model.SerializeToString(), "nested too deeply")


def test_shape_of_many_dimensions_is_refused() -> None:
    model = SavedModel()
    shape = model.meta_graphs.add().signature_def["s"].inputs["x"].tensor_shape
    for _ in range(255):
        shape.dim.add(size=1)
    _within_limits(graph_only, model.SerializeToString(), "more than 254 dimensions")


@pytest.mark.parametrize("size", [-2, 2**53])
def test_dimension_that_cannot_be_is_refused(size: int) -> None:
    model = SavedModel()
    model.meta_graphs.add().signature_def["s"].inputs["x"].tensor_shape.dim.add(size=size)
    _within_limits(graph_only, model.SerializeToString(), f"has the size {size}")


def test_signature_that_needs_a_missing_node_is_refused() -> None:
    model = SavedModel()
    model.meta_graphs.add().signature_def["s"].outputs["y"].name = "gone:0"
    _within_limits(graph_only, model.SerializeToString(), "needs the node `gone`, which the graph does not have")


def test_tags_and_names_from_a_file_cannot_write_to_a_terminal() -> None:
    model = SavedModel()
    for _ in range(2):
        model.meta_graphs.add().meta_info_def.tags.append("a\x1b[2J" * 100)
    read_or_refuse(graph_only, model.SerializeToString())
    model = SavedModel()
    model.meta_graphs.add().signature_def["s"].outputs["y"].name = "\x1b[2J"
    read_or_refuse(graph_only, model.SerializeToString())


def test_endless_run_of_empty_nodes_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tfx_pedigree.versioning.graph._MOST_NODES", 1000)
    model = SavedModel()
    graph = model.meta_graphs.add().graph_def
    for _ in range(1001):
        graph.node.add()
    _within_limits(graph_only, model.SerializeToString(), "more than 1,000 nodes")


@pytest.mark.system
def test_eight_megabytes_of_anything_cost_little_time_and_memory() -> None:
    """In a process of its own, so that nothing but the reader counts."""
    child = Path(__file__).with_name("saved_model_bombs.py")
    done = subprocess.run([sys.executable, child], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert len(told["seconds"]) >= 15
    assert {kind: spent for kind, spent in told["seconds"].items() if spent > 10} == {}
    assert told["peak"] < 250 << 20


@pytest.mark.parametrize("key", [b"\x00", b"\x02", b"\x05", _number(1 << 32 | 2)])
def test_number_that_no_field_can_have_is_refused(key: bytes) -> None:
    _within_limits(graph_only, key + bytes(16), "is no field's number")


def test_index_of_more_than_it_can_be_is_refused() -> None:
    _within_limits(with_index, bytes((32 << 20) + 1), "more than 32 MiB")


def test_model_without_graph_is_refused() -> None:
    _within_limits(graph_only, b"", "it holds no graph")


def test_chain_of_functions_may_be_long() -> None:
    model = SavedModel()
    graph = model.meta_graphs.add()
    graph.signature_def["s"].outputs["y"].name = "call:0"
    graph.graph_def.node.add(name="call", op="PartitionedCall").attr["f"].func.name = "f0"
    for index in range(3000):
        function = graph.graph_def.library.function.add()
        function.signature.name = f"f{index}"
        function.node_def.add(op="PartitionedCall").attr["f"].func.name = f"f{index + 1}"
    assert graph_only(model.SerializeToString()).operations == {"PartitionedCall": 3000}
