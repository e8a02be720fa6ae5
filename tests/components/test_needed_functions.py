"""A model of which only one signature is loaded predicts what the whole of it predicts, to the bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tfx_pedigree.errors import DamagedError
from tfx_pedigree.tfx_components.version_comparator import serving
from tfx_pedigree.tfx_components.version_comparator.needed_functions import without_other_functions
from tfx_pedigree.tfx_components.version_comparator.serving import ServedModel, ServingSignature

GOLDENS = Path(__file__).parents[1] / "goldens" / "saved_models"
KERAS = sorted(path.name for path in GOLDENS.glob("keras*"))
ROWS = 7
_STRINGS = tf.TensorSpec([None], tf.string, name="examples")
_WORDS, _STEPS = "words", "steps"


class Model(tf.Module):
    """One of everything that a signature may reach, beside an optimizer that none reaches."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        words = folder / "words.txt"
        words.write_text("AA\nUA\nDL\n")
        self.words = tf.lookup.StaticVocabularyTable(
            tf.lookup.TextFileInitializer(
                str(words), tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER
            ),
            num_oov_buckets=2,
        )
        self.counted = tf.lookup.experimental.MutableHashTable(tf.string, tf.float32, -1.0)
        self.counted.insert(tf.constant(["AA", "UA"]), tf.constant([0.25, 0.5]))
        self.embedding = keras.layers.Embedding(5, 3)
        steps = keras.Input((None, 1), name=_STEPS)
        self.recurrent = keras.Model(steps, keras.layers.Dense(2)(keras.layers.GRU(3)(steps)))
        self.trunk = keras.layers.Dense(4, activation="relu")
        self.heads = {"late": keras.layers.Dense(1, activation="sigmoid"), "kind": keras.layers.Dense(3)}
        inner = keras.Sequential([keras.Input((4,)), keras.layers.BatchNormalization(), keras.layers.Dense(1)])
        inner.compile(keras.optimizers.Adam(), "mse")
        inner.fit(np.random.default_rng(1).normal(size=(16, 4)), np.zeros(16), verbose=0)
        self.inner = inner
        tf.saved_model.save(inner, str(folder / "inner"))
        self.restored = tf.saved_model.load(str(folder / "inner"))

    def _parsed(self, examples: Any) -> tuple[Any, Any]:
        spec = {
            _WORDS: tf.io.FixedLenFeature([1], tf.string, "DL"),
            _STEPS: tf.io.RaggedFeature(tf.float32),
        }
        found = tf.io.parse_example(examples, spec)
        return found[_WORDS], found[_STEPS].to_tensor()[:, :, None]

    @tf.function(input_signature=[_STRINGS])
    def several_heads(self, examples: Any) -> dict[str, Any]:
        words, _ = self._parsed(examples)
        seen = self.trunk(self.embedding(self.words.lookup(words))[:, 0, :])
        return {name: head(seen) for name, head in self.heads.items()}

    @tf.function(input_signature=[_STRINGS])
    def sequence(self, examples: Any) -> dict[str, Any]:
        return {"score": self.recurrent(self._parsed(examples)[1])}

    @tf.function(input_signature=[_STRINGS])
    def kept_state(self, examples: Any) -> dict[str, Any]:
        return {"score": self.counted.lookup(self._parsed(examples)[0])}

    @tf.function(input_signature=[_STRINGS])
    def branches_and_loops(self, examples: Any) -> dict[str, Any]:
        total = tf.reduce_sum(self._parsed(examples)[1], axis=[1, 2])
        total = tf.while_loop(lambda one: tf.reduce_max(one) < 100.0, lambda one: (one * 1.7 + 1.0,), (total,))[0]
        return {"score": tf.cond(tf.reduce_max(total) > 50.0, lambda: total / 3.0, lambda: total)}

    @tf.function(input_signature=[_STRINGS])
    def another_model_within(self, examples: Any) -> dict[str, Any]:
        mean = tf.reduce_mean(self._parsed(examples)[1], axis=1)
        return {"score": self.restored.signatures["serving_default"](tf.tile(mean, [1, 4]))["output_0"]}

    @tf.function(input_signature=[_STRINGS])
    def gradient_of_its_own(self, examples: Any) -> dict[str, Any]:
        @tf.custom_gradient
        def clipped(value: Any) -> Any:
            return tf.clip_by_value(value, 0.0, 2.0), lambda upstream: upstream * 0.5

        return {"score": clipped(tf.reduce_sum(self._parsed(examples)[1], axis=1))}


SIGNATURES = (
    "several_heads",
    "sequence",
    "kept_state",
    "branches_and_loops",
    "another_model_within",
    "gradient_of_its_own",
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("needed")
    made = Model(folder)
    signatures = {name: getattr(made, name) for name in SIGNATURES}
    tf.saved_model.save(made, str(folder / "model"), signatures=signatures)
    return folder / "model"


@pytest.fixture(scope="module")
def whole(model: Path) -> Any:
    return tf.saved_model.load(str(model))


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The folders that TensorFlow is asked to load."""
    asked: list[str] = []
    load = tf.saved_model.load
    monkeypatch.setattr(tf.saved_model, "load", lambda folder: asked.append(str(folder)) or load(folder))
    return asked


def examples() -> Any:
    chance = np.random.default_rng(5)

    def row(number: int) -> bytes:
        feature = {
            _STEPS: tf.train.Feature(
                float_list=tf.train.FloatList(value=chance.normal(size=1 + number % 3).astype(np.float32))
            )
        }
        if number % 3:
            word = [b"AA", b"UA", b"??"][number % 3]
            feature[_WORDS] = tf.train.Feature(bytes_list=tf.train.BytesList(value=[word]))
        return bytes(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())

    return tf.constant([row(number) for number in range(ROWS)])


def _bytes(outputs: dict[str, Any]) -> dict[str, tuple[Any, bytes]]:
    return {name: (one.shape.as_list(), one.numpy().tobytes()) for name, one in outputs.items()}


@pytest.mark.parametrize("signature", SIGNATURES)
def test_a_signature_alone_answers_as_the_whole_model_does(
    model: Path, whole: Any, loaded: list[str], signature: str
) -> None:
    alone = serving._load(str(model), {signature})
    assert str(model) not in loaded and set(alone.signatures) == {signature}
    given = examples()
    wanted = _bytes(whole.signatures[signature](examples=given))
    assert wanted and _bytes(alone.signatures[signature](examples=given)) == wanted


@pytest.mark.parametrize("name", KERAS)
def test_what_keras_exports_answers_the_same_from_either_release(name: str, loaded: list[str]) -> None:
    given = tf.constant(np.random.default_rng(2).normal(size=(ROWS, 3)).astype(np.float32))
    alone = serving._load(str(GOLDENS / name), {"serving_default"})
    assert str(GOLDENS / name) not in loaded
    both = [one.signatures["serving_default"](features=given) for one in (alone, tf.saved_model.load(GOLDENS / name))]
    assert _bytes(both[0]) == _bytes(both[1])


def test_two_signatures_are_kept_where_two_are_needed(model: Path, whole: Any, loaded: list[str]) -> None:
    target = ServingSignature("several_heads", "late", preprocessing=("kept_state",))
    served = ServedModel(str(model), target)
    assert str(model) not in loaded
    given = examples()
    assert _bytes(served.transformed(given)) == _bytes(whole.signatures["kept_state"](examples=given))
    late = whole.signatures["several_heads"](examples=given)["late"].numpy()
    assert served.run(served.inputs(given)).tobytes() == late.tobytes()


def test_most_functions_are_gone_and_the_rest_are_the_bytes_of_before(model: Path) -> None:
    before = (model / "saved_model.pb").read_bytes()
    after = without_other_functions(before, {"kept_state"})
    assert after is not None

    def functions(graph_file: bytes) -> dict[str, bytes]:
        (graph,) = saved_model_pb2.SavedModel.FromString(graph_file).meta_graphs
        library = graph.graph_def.library.function
        return {one.signature.name: one.SerializeToString(deterministic=True) for one in library}

    every, kept = functions(before), functions(after)
    assert kept.items() <= every.items()
    assert len(kept) < len(every) / 2


def test_what_is_not_known_here_is_loaded_whole(tmp_path: Path, loaded: list[str]) -> None:
    assert without_other_functions((GOLDENS / "composite" / "saved_model.pb").read_bytes(), {"serving_default"}) is None
    assert without_other_functions((GOLDENS / "keras" / "saved_model.pb").read_bytes(), {"nothing"}) is None
    assert without_other_functions(b"", {"serving_default"}) is None
    found = serving._load(str(GOLDENS / "keras"), {"nothing"})
    assert set(found.signatures) == {"serve", "serving_default"}
    assert loaded == [str(GOLDENS / "keras")]


def test_damage_is_called_as_the_whole_model_calls_it(tmp_path: Path, loaded: list[str]) -> None:
    graph = bytearray((GOLDENS / "keras" / "saved_model.pb").read_bytes())
    (tmp_path / "saved_model.pb").write_bytes(graph)
    with pytest.raises(DamagedError, match="cannot be loaded"):  # it has no variables
        ServedModel(str(tmp_path), ServingSignature())
    assert loaded[-1] == str(tmp_path)
