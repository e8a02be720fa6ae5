"""The commands that make a Vertex AI endpoint for a target, once."""

from __future__ import annotations

from tfx_pedigree.rollout.traffic.vertex import VertexSettings

_TEXT = """\
# Once, before the first `pedigree deploy {model}`. Machines are paid for from the first deployed version on.
gcloud services enable aiplatform.googleapis.com --project={project}
gcloud ai endpoints create --project={project} --region={location} --endpoint-id={endpoint} --display-name={model}
# The controller's account needs roles/aiplatform.user in {project} and roles/storage.objectUser on {bucket};
# Vertex AI's own agent, or `service_account`, needs roles/storage.objectViewer there.
"""


def vertex_template(settings: VertexSettings, model: str) -> str:
    return _TEXT.format(
        model=model,
        project=settings.service.project,
        location=settings.service.location,
        endpoint=settings.service.endpoint,
        bucket="/".join(settings.storage.split("/")[:3]),
    )
