"""How the Evaluator judges a model when no policy does: metrics, slices, and TFX's own thresholds.

With the Pedigree components the policy writes the EvalConfig; this one is for the pipeline without them.
"""

from __future__ import annotations

from google.protobuf import text_format
from pipelines.flight_delay.columns import LABEL, SLICES
from tensorflow_model_analysis.proto import config_pb2

# Takes serialized tf.Examples, as they lie in the pipeline.
SIGNATURE = "serving_default"

# The metrics of configs/policy.yaml. A model that knows nothing has an AUC of 0.5.
_METRICS = """
metrics_specs {
  metrics {
    class_name: "AUC"
    threshold {
      value_threshold { lower_bound { value: 0.55 } }
      change_threshold { direction: HIGHER_IS_BETTER absolute { value: -0.01 } }
    }
  }
  metrics { class_name: "BinaryAccuracy" }
  metrics { class_name: "Calibration" }
  metrics { class_name: "ExampleCount" }
}
"""


def eval_config() -> config_pb2.EvalConfig:
    """One model spec without a name: TFX gives it the names candidate and baseline."""
    config = text_format.Parse(_METRICS, config_pb2.EvalConfig())
    # Thresholds without slices of their own would hold for every slice, also for a carrier with three flights.
    for metric in config.metrics_specs[0].metrics:
        if metric.HasField("threshold"):
            whole = metric.per_slice_thresholds.add()
            whole.slicing_specs.add()
            whole.threshold.CopyFrom(metric.threshold)
            metric.ClearField("threshold")
    config.options.include_default_metrics.value = False
    config.model_specs.add(signature_name=SIGNATURE, label_key=LABEL)
    config.slicing_specs.add()
    for column in SLICES:
        config.slicing_specs.add(feature_keys=[column])
    return config
