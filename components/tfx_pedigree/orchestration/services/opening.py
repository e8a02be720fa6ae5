"""The service that a target names, spoken to with its own client."""

from __future__ import annotations

from tfx_pedigree.orchestration.ir import SpecKind
from tfx_pedigree.orchestration.services.service import Service, UnansweredError
from tfx_pedigree.orchestration.target import TargetConfig
from tfx_pedigree.retry_policy import RetryPolicy


def open_service(target: TargetConfig, patience: RetryPolicy) -> Service:
    """Kubeflow answers here for the first time; Vertex when it is first asked."""
    if target.kind is SpecKind.KUBEFLOW:
        from tfx_pedigree.orchestration.services.kubeflow import Kubeflow  # noqa: PLC0415  loads no other's client

        return patience.calls(lambda: Kubeflow(target.service), UnansweredError)
    from tfx_pedigree.orchestration.services.vertex import Vertex  # noqa: PLC0415

    return Vertex(target.service)
