"""What the class and id of an element say: boilerplate, hidden, or nothing.

A name is only a suspicion: `content-sidebar` may wrap a whole article. boilerplate.py drops an element for it only
where little of the page's prose stands in it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

# a word of a name, as its maker separated them: wp-block-related-posts, post_meta, shareBar
_BESIDE = """
    ads? advert\\w* sponsor\\w* promo\\w* banner outbrain\\w* taboola\\w* donat\\w*
    comments? respond reply disqus\\w* rating\\w* poll
    shar(?:e|ing)\\w* social\\w* follow sharedaddy addtoany\\w*
    related\\w* recirc\\w* recommend\\w* read-?more more-?(?:stories|news|from) trending popular latest most-?\\w+
    jp-relatedposts
    newsletter\\w* subscri\\w* sign-?up cookie\\w* gdpr consent login register popup modal overlay lightbox
    breadcrumbs? pagination pager prev next post-?nav\\w* nav\\w* menu\\w* side-?bar\\w* widget\\w* footer\\w* masthead
    toolbar tools search\\w* skip-?link dropdown tooltip toc
    tags? tag-?list categor(?:y|ies) keywords by-?line\\w* authors? author-?\\w+ bio about-?author meta post-?meta
    entry-?meta date\\w* time-?stamp published
    caption\\w* wp-caption-text credit figure gallery slideshow carousel video\\w* player embed\\w* infobox
    hidden hide visually-hidden sr-only screen-reader-text print-?only no-?print
    copyright disclaimer legal alert notice
"""
BESIDE = re.compile(rf"(?:^|[\s_-])(?:{'|'.join(_BESIDE.split())})(?:$|[\s_-])", re.IGNORECASE)
MAIN = re.compile(
    r"article-?(?:body|content|text)|entry-?content|post-?(?:body|content)|story-?body|body-?(?:text|copy)"
    r"|main-?content|\bcontent\b|\barticle\b|\bmain\b|\bhentry\b",
    re.IGNORECASE,
)
LONGEST = 300  # characters of a name that are looked at
NEVER = frozenset({"html", "body", "article", "main"})  # what the name of these says is said of the whole page


def is_boilerplate(tag: str, attributes: Mapping[str, str]) -> bool:
    """Whether an element says that it is no part of the main text, or is not shown."""
    if tag in NEVER:
        return False
    get = attributes.get
    name, own = get("class"), get("id")
    if (name or own) and _beside(f"{(name or '')[:LONGEST]} {(own or '')[:LONGEST]}"):
        return True
    style = get("style")
    if style and "none" in style and "display:none" in style.replace(" ", "").lower():
        return True
    return "hidden" in attributes or get("aria-hidden") == "true"


@lru_cache(1 << 14)  # a page says the same few names again and again
def _beside(name: str) -> bool:
    return bool(BESIDE.search(name)) and not MAIN.search(name)
