"""Text from people and models as HTML: Markdown without HTML in it, and sentences whose names stand between backticks.

Everything is escaped; a link leads only where a browser may be sent: http, https, mailto or a page of this server.
"""

from __future__ import annotations

import functools
import re

from markdown_it import MarkdownIt

from tfx_pedigree.html import Markup, join, ticked
from tfx_pedigree.text import visible

LONGEST = 20_000
_LINK = re.compile(r"(https?://|mailto:|/(?!/)|#)[^\s\\]*\Z", re.IGNORECASE)


@functools.cache
def _markdown() -> MarkdownIt:
    made = MarkdownIt("js-default", {"html": False, "linkify": False, "typographer": False})
    # A picture would be loaded from elsewhere; the page's policy forbids that, so there is none to begin with.
    made.disable("image")
    made.validateLink = lambda url: bool(_LINK.match(url))  # type: ignore[method-assign]
    made.add_render_rule("link_open", _link_open)
    for rule in ("heading_open", "heading_close"):
        made.add_render_rule(rule, _heading)
    return made


def _link_open(renderer, tokens, at, options, env):  # type: ignore[no-untyped-def]
    tokens[at].attrSet("rel", "noopener noreferrer nofollow")
    return renderer.renderToken(tokens, at, options, env)


def _heading(renderer, tokens, at, options, env):  # type: ignore[no-untyped-def]
    """The page's own title stays the only one of its rank."""
    level = min(6, int(tokens[at].tag[1]) + 1)
    return renderer.renderToken([*tokens[:at], tokens[at].copy(tag=f"h{level}"), *tokens[at + 1 :]], at, options, env)


def markdown(text: str) -> Markup:
    return Markup(_markdown().render(visible(text[:LONGEST])))


def sentence(text: str) -> Markup:
    return join(ticked(text))
