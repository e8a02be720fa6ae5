"""What other systems read and speak: documents in their formats, made from what Pedigree knows, and their protocols.

In comes all that is on file of a version, out go documents: CycloneDX, SPDX, in-toto, model cards; the same version
gives the same document, to the byte. `trackers` reads what others know, `mlflow` answers as MLflow's registry does. It
never decides anything.
"""

from __future__ import annotations

from tfx_pedigree.integrations.attestation import evidence_statement, provenance_statement
from tfx_pedigree.integrations.card import Card, card_as_html, card_as_markdown, card_of
from tfx_pedigree.integrations.comparison_markdown import comparison_as_markdown
from tfx_pedigree.integrations.cyclonedx import bill_of_materials
from tfx_pedigree.integrations.serving_config import ServedModel, config_text, served_models, write_config
from tfx_pedigree.integrations.spdx import spdx_document
from tfx_pedigree.integrations.warmup_requests import FILE as WARM_UP_FILE
from tfx_pedigree.integrations.warmup_requests import warm_up, warmup_records

__all__ = [
    "WARM_UP_FILE",
    "Card",
    "ServedModel",
    "bill_of_materials",
    "card_as_html",
    "card_as_markdown",
    "card_of",
    "comparison_as_markdown",
    "config_text",
    "evidence_statement",
    "provenance_statement",
    "served_models",
    "spdx_document",
    "warm_up",
    "warmup_records",
    "write_config",
]
