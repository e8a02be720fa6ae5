"""What TensorFlow Serving is started with for a target: its first config file, and its options as a comment."""

from __future__ import annotations

from tfx_pedigree.rollout.traffic.tensorflow_serving import ServingSettings

_TEXT = """\
# TensorFlow Serving's model config file for {model}, from `pedigree rollout template tensorflow-serving`. Pedigree
# writes this model's entry and leaves all others as they are. Start the server so that it looks at this file again and
# again, and may start with labels:
#
#   tensorflow_model_server --rest_api_port={port} --model_config_file={config} \\
#     --model_config_file_poll_wait_seconds=5 --allow_version_labels_for_unavailable_models=true
#
# Clients ask {address}/v1/models/{serves_as}/labels/stable:predict. Without the label the server answers with the
# highest version that is loaded, which may be one that is still being prepared.
model_config_list {{
}}
"""


def serving_template(settings: ServingSettings) -> str:
    return _TEXT.format(
        model=settings.model,
        serves_as=settings.serves_as,
        address=settings.address,
        port=settings.address.rpartition(":")[2],
        config=settings.config,
    )
