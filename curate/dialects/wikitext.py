"""Wikitext to plain text, in one pass over its marks: what Wikipedia and its sisters are written in.

Templates go, but for those that only dress the words within ({{lang|la|ad hoc}}, {{convert|5|km}}); so do references,
files, categories, comments and galleries. Links keep what they show, lists get dashes, tables become rows of cells
between bars, headings without a text below them go.

    '''Aspirin''' is a [[drug|medication]].<ref>Smith</ref>       Aspirin is a medication.
    * 5 {{convert|5|mg}}                                          - 5 5 mg

Marks that open are kept on a stack until theirs closes; one that never closes is text. Time is linear in the text.
"""

from __future__ import annotations

import html
import re

VOID = "ref references templatestyles section nowiki onlyinclude br hr"
PAIRED = "ref gallery timeline imagemap score mapframe graph syntaxhighlight source math chem nowiki pre includeonly"
MARK = re.compile(
    r"<!--|-->|\{\{|\}\}|\[\[|\]\]|(?:(?<=\n)|\A)[ \t:]*\{\||\n[ \t]*\|\}"
    rf"|<(?:{'|'.join(VOID.split())})\b[^<>]{{0,2000}}/>"
    rf"|</?(?:{'|'.join(PAIRED.split())})\b[^<>]{{0,2000}}>",
    re.IGNORECASE,
)
# within these nothing else is a mark
LITERAL = frozenset({"-->", "/nowiki", "/pre", "/math", "/chem", "/source", "/syntaxhighlight", "/score", "/timeline"})
DEEPEST = 60  # marks open at once; what opens deeper is text
# templates whose text is an argument of theirs, counted from 1; None: all of them, in a row
SHOWN: dict[str, int | None] = {
    "lang": 2, "transl": 2, "transliteration": 2, "nowrap": 1, "nobr": 1, "abbr": 1, "tooltip": 1, "quote": 1,
    "blockquote": 1, "cquote": 1, "small": 1, "big": 1, "sub": 1, "sup": 1, "var": 1, "em": 1, "strong": 1,
    "smallcaps": 1, "sc": 1, "angbr": 1, "gaps": None, "val": 1, "math": 1, "mvar": 1, "linktext": None, "unicode": 1,
    "ipa": 1, "script": 2, "formatnum": 1, "uc": 1, "lc": 1, "music": 1, "chem": None, "convert": None, "cvt": None,
    "frac": None, "sfrac": None, "circa": None, "as of": None, "ill": 1, "interlanguage link": 1,
}  # fmt: skip
SAID = {"snd": " – ", "spaced ndash": " – ", "ndash": "–", "mdash": "—", "nbsp": " ", "=": "=", "!": "|", "·": " · ",
        "•": " • ", "'": "'", "-": "\n"}  # fmt: skip
FILES, CATEGORIES = ("file", "image"), ("category",)  # every wiki knows the English names beside its own
LINK_ELSEWHERE = re.compile(r"[a-z]{2,3}(?:-[a-z]+)?:", re.ASCII)  # to the same page in another language
OUTWARD = re.compile(r"\[(?:https?:|ftp:|mailto:)?//[^\s\[\]]*(?:[ \t]+([^\[\]\n]*))?\]")
QUOTES = re.compile(r"'{2,}")
SWITCH = re.compile(r"__[A-Z]{3,}__")
TAG = re.compile(r"</?[A-Za-z][^<>\n]{0,1000}>")
BREAK = re.compile(r"<(?:br|hr|p|/p|/div|/li)\b[^<>]{0,200}>", re.IGNORECASE)
HEADING = re.compile(r"(={1,6})[ \t]*([^\n]*?)[ \t]*=+[ \t]*\Z")
LIST = re.compile(r"([*#:;]+)[ \t]*(.*)", re.DOTALL)
_ATTRIBUTE = r"[\w:-]+[ \t]*=[ \t]*(?:\"[^\"]*\"|'[^']*'|[^\s\"'|]+)"
ATTRIBUTES = re.compile(rf"[ \t]*{_ATTRIBUTE}(?:[ \t]+{_ATTRIBUTE})*[ \t]*\|(?!\|)")


def plain(wikitext: str, files: tuple[str, ...] = FILES, categories: tuple[str, ...] = CATEGORIES) -> str:
    """The text of a page. `files`, `categories`: this wiki's names of the two namespaces, in lower case."""
    unmarked = _unmarked(wikitext, frozenset((*FILES, *files, *CATEGORIES, *categories)))
    unmarked = OUTWARD.sub(lambda match: match[1] or "", SWITCH.sub("", QUOTES.sub("", unmarked)))
    return _lines(html.unescape(TAG.sub("", BREAK.sub("\n", unmarked))))


def _unmarked(wikitext: str, hidden: frozenset[str]) -> str:
    """The text without templates, references, links and tables, each replaced by what it shows."""
    stack: list[tuple[str, str]] = []  # (what closes it, the mark that opened it)
    held: list[list[str]] = [[]]  # text within each mark that is open; the first: of the page
    at = 0
    for match in MARK.finditer(wikitext):
        mark = match[0]
        held[-1].append(wikitext[at : match.start()])
        at = match.end()
        if stack and stack[-1][0] in LITERAL and _kind(mark) != stack[-1][0]:
            held[-1].append(mark)
            continue
        if closes := _closed_by(mark):
            if len(stack) < DEEPEST:
                stack.append((closes, mark))
                held.append([])
            else:
                held[-1].append(mark)
            continue
        kind = _kind(mark)
        depth = next((k for k in range(len(stack) - 1, -1, -1) if stack[k][0] == kind), None)
        if depth is None:
            held[-1].append("" if mark.startswith("<") else mark)
            continue
        while len(stack) > depth + 1:  # opened within it, and never closed
            _, opened = stack.pop()
            inner = held.pop()
            held[-1] += [opened, *inner]
        stack.pop()
        whole = "".join(held.pop())
        held[-1].append(_shown(kind, whole, hidden))
    held[-1].append(wikitext[at:])
    for (closes, opened), inner in zip(stack, held[1:], strict=True):
        held[0] += ["" if closes == "-->" else opened, *([] if closes == "-->" else inner)]
    return "".join(held[0])


def _closed_by(mark: str) -> str | None:
    """The kind of mark that closes this one; None where it opens nothing."""
    if mark in ("<!--", "{{", "[["):
        return {"<!--": "-->", "{{": "}}", "[[": "]]"}[mark]
    if mark.endswith("{|"):
        return "|}"
    return f"/{_name(mark)}" if mark[0] == "<" and mark[1] != "/" and not mark.endswith("/>") else None


def _kind(mark: str) -> str:
    if mark.endswith("|}"):
        return "|}"
    return f"/{_name(mark)}" if mark.startswith("</") else mark


def _name(tag: str) -> str:
    match = re.match(r"</?(\w+)", tag)
    return match[1].lower() if match else ""


def _shown(kind: str, inner: str, hidden: frozenset[str]) -> str:
    """What a construct shows of itself, by the mark that closes it."""
    if kind == "}}":
        return _template(inner)
    if kind == "]]":
        return _link(inner, hidden)
    if kind == "|}":
        return _table(inner)
    return inner if kind in ("/nowiki", "/pre", "/math", "/chem", "/source", "/syntaxhighlight") else ""


def _template(inner: str) -> str:
    name, *arguments = inner.split("|")
    name = name.strip().lower().replace("_", " ")
    if name in SAID:
        return SAID[name]
    given = [one.strip() for one in arguments if not re.match(r"\s*[\w -]+=", one)]
    if name.startswith("lang-") and given:
        return given[0]
    which = SHOWN.get(name, 0)
    if which == 0 or not given:
        return ""
    if which is not None:
        return given[which - 1] if len(given) >= which else ""
    joint = "/" if name in ("frac", "sfrac") else "" if name in ("chem", "gaps", "linktext") else " "
    return joint.join(given[:2] if name in ("convert", "cvt") else given)


def _link(inner: str, hidden: frozenset[str]) -> str:
    target, bar, label = inner.partition("|")
    space = target.partition(":")[0].strip().lower()
    if ":" in target and not target.startswith(":") and (space in hidden or (not bar and LINK_ELSEWHERE.match(target))):
        return ""
    return label if bar and label.strip() else target.lstrip(":").partition("#")[0] or target


def _table(inner: str) -> str:
    """Rows as lines of cells with bars between; the first line holds only how the table looks."""
    rows: list[list[str]] = [[]]
    for line in BREAK.sub(" ", inner).split("\n")[1:]:
        line = line.strip()
        if line.startswith("|-"):
            rows.append([])
        elif line.startswith("|+"):
            rows += [[_cell(line[2:])], []]
        elif line[:1] in ("|", "!"):
            rows[-1] += [_cell(cell) for cell in re.split(r"\|\||!!" if line[0] == "!" else r"\|\|", line[1:])]
        elif line and rows[-1]:
            rows[-1][-1] += f" {line}"
    lines = [" | ".join(cell.strip() for cell in row) for row in rows if any(cell.strip() for cell in row)]
    return "\n\n" + "\n".join(lines) + "\n\n"


def _cell(cell: str) -> str:
    """A cell without how it looks: | style="width:5em" | text"""
    match = ATTRIBUTES.match(cell)
    return cell[match.end() :] if match else cell


def _lines(text: str) -> str:
    """Lines tidied: dashes before items, blank lines between paragraphs, no heading without a text below it."""
    out: list[str] = []
    pending: list[tuple[int, str]] = []  # headings that wait for text, by level
    for line in text.split("\n"):
        line = re.sub(r"[ \t]+", " ", line).strip()
        if match := HEADING.match(line):
            level = len(match[1])
            pending = [one for one in pending if one[0] < level] + [(level, match[2])]
            continue
        if match := LIST.match(line):
            item = match[2].strip()
            line = (f"{'  ' * (len(match[1]) - 1)}- {item}" if match[1][-1] in "*#" else item) if item else ""
        if not line.strip(" |()-,;."):
            if out and out[-1]:
                out.append("")
            continue
        for _, heading in pending:
            out += ["", heading, ""] if out and out[-1] else [heading, ""]
        pending = []
        out.append(_tidy(line))
    return "\n".join(out).strip("\n")


_TIDIES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\((?:[\s,;:–-]|\bor\b)*\)"), ""),  # brackets that held a pronunciation or a reference
    (re.compile(r"\(\s*[,;]\s*"), "("),
    (re.compile(r"[ ,;]+\)"), ")"),
    (re.compile(r"(?<=\S)\s+([,;.)](?:\s|\Z))"), r"\1"),
    (re.compile(r"(?<=\S) {2,}"), " "),
)


def _tidy(line: str) -> str:
    for pattern, instead in _TIDIES:
        line = pattern.sub(instead, line)
    return line
