"""The page of a refusal: the registry's own sentence, and where one can go from there."""

from __future__ import annotations

from dataclasses import dataclass

from tfx_pedigree.errors import PedigreeError
from tfx_pedigree.json_form import JsonForm
from tfx_pedigree.server.pages.view import View

_TITLES = {
    400: "This cannot be asked",
    401: "Sign in",
    403: "Not allowed",
    404: "Not found",
    409: "Not done",
    412: "Not done",
    413: "Too large",
    421: "Not this server",
    503: "Not available",
}


@dataclass(frozen=True)
class Refusal(JsonForm):
    status: int
    sentence: str


def refused(error: Exception, status: int) -> View:
    """What went wrong inside stands in the server's log, not on a page."""
    told = (
        str(error)
        if isinstance(error, PedigreeError)
        else f"The server itself failed ({type(error).__name__}). This is a bug, not a mistake of yours. Whoever runs "
        "the server finds more in its log."
    )
    title = _TITLES.get(status, "This did not work")
    return View("refusal.html", title, Refusal(status, told), status=status, section="")
