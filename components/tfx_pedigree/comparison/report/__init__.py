"""The page that a reviewer reads. In: a comparison. Out: one HTML file that needs nothing beside it.

Every text is escaped where it is put into the page. Never: a script, a link to anything outside, a decision.
"""

from __future__ import annotations

from tfx_pedigree.comparison.report.page import Origin, render

__all__ = ["Origin", "render"]
