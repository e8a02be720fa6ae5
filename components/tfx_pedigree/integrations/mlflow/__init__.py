"""MLflow's model registry, in both directions: its REST protocol over our registry, and what it holds as our versions.

In come requests and answers as MLflow's clients and servers speak them, out go calls of the registry and of use cases,
and values in MLflow's form. It never imports MLflow, follows no address that a request names, and decides nothing.
"""

from __future__ import annotations

from tfx_pedigree.integrations.mlflow.facade import Facade
from tfx_pedigree.integrations.mlflow.files import File, files_of, listed
from tfx_pedigree.integrations.mlflow.protocol import ENDPOINTS, PREFIX, Endpoint, arguments_of
from tfx_pedigree.integrations.mlflow.refusals import Refusal, refusal_of

__all__ = [
    "ENDPOINTS",
    "PREFIX",
    "Endpoint",
    "Facade",
    "File",
    "Refusal",
    "arguments_of",
    "files_of",
    "listed",
    "refusal_of",
]
