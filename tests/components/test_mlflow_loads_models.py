"""MLflow's own `load_model` against our server, beside the TensorFlow of this line: what it predicts is what the
SavedModel itself predicts."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlflow_testing import Client, RefusedError, client_process
from server_testing import Switch
from tfx_pedigree.registry import Registry
from tfx_pedigree.service.versions.registering import register_model
from tfx_pedigree.service.workspace import Workspace

MODELS = Path(__file__).parents[1] / "goldens" / "saved_models"
# What Keras exports cannot be called itself; what tf.saved_model saved takes a text, whose rank it does not say.
ASKED = {
    "keras": "{'features': np.array([[0.1, 0.2, 0.3], [3.0, 2.0, 1.0]], 'float32')}",
    "module": "{'carrier': np.array(['AA', 'ZZ']), 'scale': np.float64(2), 'x': np.array([[1, 2], [3, 4]], 'float32')}",
}
# Of all outputs by name, each as a flat list.
FLAT = "{{key: np.ravel(value).tolist() for key, value in dict({}).items()}}"


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory: pytest.TempPathFactory, switch: Switch) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("mlflow")
    with Registry.create(folder / "registry", actor="ada") as registry:
        for name in (*ASKED, "flight-delay"):
            register_model(Workspace(registry), name, MODELS / (name if name in ASKED else "keras"))
            registry.promote(f"{name}@1")
        with switch.registry(registry, "sqlite") as at, client_process(folder, sys.executable) as client:
            client.at, client.environ = at, {"MLFLOW_TRACKING_TOKEN": "ada"}
            client("[exec('import numpy as np, pandas as pd, tensorflow as tf', globals())]")
            yield client


@pytest.fixture(scope="module")
def own(mlflow: Client) -> Any:
    """What a SavedModel itself says, loaded by TensorFlow from our golden files."""

    def ask(name: str) -> Any:
        loaded = f"tf.saved_model.load({str(MODELS / name)!r}).signatures['serving_default']"
        return mlflow(FLAT.format(f"{loaded}(**{{k: tf.constant(v) for k, v in {ASKED[name]}.items()}})"))

    return ask


@pytest.mark.parametrize("name", ASKED)
def test_both_ways_to_load_predict_what_the_saved_model_predicts(mlflow: Client, own: Any, name: str) -> None:
    address = f"'models:/{name}@champion'"
    by_pyfunc = mlflow(FLAT.format(f"mlflow.pyfunc.load_model({address}).predict({ASKED[name]})"))
    call = f"(**{{k: tf.constant(v) for k, v in {ASKED[name]}.items()}})"
    by_tensorflow = mlflow(FLAT.format(f"mlflow.tensorflow.load_model({address}){call}"))
    assert by_pyfunc == by_tensorflow == own(name)
    assert all(numbers for numbers in by_pyfunc.values())


def test_arrays_and_tables_are_taken_by_the_models_signature(mlflow: Client, own: Any) -> None:
    model = "mlflow.pyfunc.load_model('models:/keras@champion')"
    given = ASKED["keras"]
    array = mlflow(f"np.ravel({model}.predict({given}['features'])['output_0']).tolist()")
    assert array == own("keras")["output_0"]
    with pytest.raises(RefusedError, match="incompatible input types|shape|dtype"):
        mlflow(f"{model}.predict({{'features': np.array(['text'])}})")


def test_code_in_the_page_about_mlflow_runs(mlflow: Client) -> None:
    text = (Path(__file__).parents[2] / "docs" / "mlflow.md").read_text()
    (code,) = re.findall(r"^```python\n(.*?)^```$", text, re.S | re.M)
    code = code.replace('"7"', '"1"')  # the version that is there
    mlflow(f"exec({code!r}, {{}})")
