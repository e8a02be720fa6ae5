"""What other systems read: documents in their formats, made from what Pedigree knows.

In comes all that is on file of a version, out go documents: CycloneDX, SPDX, in-toto, model cards. It never decides
anything and changes nothing; the same version gives the same document, to the byte. `trackers` reads what others know.
"""

from __future__ import annotations

from tfx_pedigree.integrations.attestation import evidence_statement, provenance_statement
from tfx_pedigree.integrations.card import Card, card_of
from tfx_pedigree.integrations.card_pages import card_as_html, card_as_markdown
from tfx_pedigree.integrations.cyclonedx import bill_of_materials
from tfx_pedigree.integrations.spdx import spdx_document

__all__ = [
    "Card",
    "bill_of_materials",
    "card_as_html",
    "card_as_markdown",
    "card_of",
    "evidence_statement",
    "provenance_statement",
    "spdx_document",
]
