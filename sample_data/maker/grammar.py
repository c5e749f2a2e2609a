"""A grammar of texts: rules on disk, documents out.

A grammar file is plain text. `== rule` opens a rule and each line below it is one alternative; several stand on a line
between ` | `. `== rule (once)` is drawn once per document and then remembered, which is what keeps a document about one
patient, one town or one drug. A profile file holds `=== name` blocks of `rule: a | b | c` lines: a document takes one
whole block (a condition with its symptoms, tests and drugs), so that what belongs together stays together.

Inside an alternative:

    {rule}        another rule                      {a rule}     with its article, a or an
    {rule*2..4}   two to four times, space between  [x|y|]       a choice on the spot; empty is allowed
    {12..40}      a whole number                    {0.5..2.5}   a number with that many decimals
    {150..900/50} a multiple of 50
    ¶  ↵          a blank line, a line break

An alternative that ends like a sentence gets a capital. Within one document a rule deals its alternatives like a pack
of cards, none twice before all were used: that keeps repetition inside a document low.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

FOLDER = Path(__file__).resolve().parents[1] / "grammar"
Part = Callable[["Writer"], str]


@dataclass(frozen=True, slots=True)
class Rule:
    """Alternatives, and whether a document draws only once among them."""

    alternatives: tuple[str, ...]
    once: bool = False


Rules = Mapping[str, Rule]


@dataclass(slots=True)
class Writer:
    """Expands rules for one document: `write("note")` gives its text."""

    rules: Rules
    rng: Random
    remembered: dict[str, str] = field(default_factory=dict)
    packs: dict[str, list[str]] = field(default_factory=dict)

    def write(self, rule: str) -> str:
        return tidy(self.draw(rule))

    def draw(self, name: str) -> str:
        if name in self.remembered:
            return self.remembered[name]
        rule = self.rules[name]
        text = self.expand(self.deal(name, rule.alternatives))
        if rule.once:
            self.remembered[name] = text
        return text

    def deal(self, name: str, alternatives: tuple[str, ...]) -> str:
        pack = self.packs.get(name)
        if not pack:
            pack = self.packs[name] = self.rng.sample(alternatives, len(alternatives))
        return pack.pop()

    def expand(self, template: str) -> str:
        text = "".join(part(self) for part in parsed(template))
        return capital(text) if template[-1:] in ".?!:" else text


@functools.cache
def read_rules(*names: str) -> dict[str, Rule]:
    """The rules of grammar files, later ones over earlier ones."""
    rules: dict[str, Rule] = {}
    for name in names:
        for heading, lines in blocks(FOLDER / name, "== "):
            rule, _, once = heading.partition(" (")
            rules[rule] = Rule(tuple(item for line in lines for item in split_top(line, " | ")), once == "once)")
    return rules


@functools.cache
def read_profiles(name: str) -> list[dict[str, Rule]]:
    """The profiles of a file in order, each a set of rules."""
    return [profile(lines) for _, lines in blocks(FOLDER / name, "=== ")]


def profile(lines: list[str]) -> dict[str, Rule]:
    rules = {}
    for line in lines:
        heading, _, items = line.partition(": ")
        rule, _, once = heading.partition(" (")
        rules[rule] = Rule(tuple(split_top(items, " | ")), once == "once)")
    return rules


def blocks(path: Path, mark: str) -> list[tuple[str, list[str]]]:
    """(heading, lines) of each block. Lines that open with "# " are comments."""
    found: list[tuple[str, list[str]]] = []
    for line in path.read_text("utf-8").splitlines():
        if line.startswith(mark):
            found.append((line.removeprefix(mark).strip(), []))
        elif line.strip() and not line.startswith("# "):
            found[-1][1].append(line.strip())
    return found


def split_top(text: str, mark: str) -> list[str]:
    """Splits at marks that stand outside brackets."""
    pieces, depth, start, at = [], 0, 0, 0
    while at < len(text):
        depth += (text[at] in "[{") - (text[at] in "]}")
        if depth == 0 and text.startswith(mark, at):
            pieces.append(text[start:at])
            start = at = at + len(mark)
        else:
            at += 1
    return [*pieces, text[start:]]


@functools.cache
def parsed(template: str) -> tuple[Part, ...]:
    """A template as a row of small functions, parsed once."""
    parts: list[Part] = []
    at = 0
    while at < len(template):
        if template[at] in "[{":
            end = closing(template, at)
            inside = template[at + 1 : end]
            parts.append(choice(inside) if template[at] == "[" else slot(inside))
            at = end + 1
        else:
            end = next((i for i in range(at, len(template)) if template[i] in "[{"), len(template))
            parts.append(functools.partial(literal, template[at:end]))
            at = end
    return tuple(parts)


def closing(text: str, opening: int) -> int:
    """Where the bracket that opens there closes."""
    depth = 0
    for at in range(opening, len(text)):
        depth += (text[at] in "[{") - (text[at] in "]}")
        if depth == 0:
            return at
    raise ValueError(f"bracket never closes: {text}")


def literal(text: str, writer: Writer) -> str:
    return text


def choice(inside: str) -> Part:
    options = split_top(inside, "|")
    return lambda writer: writer.expand(writer.rng.choice(options))


def slot(inside: str) -> Part:
    if number := re.fullmatch(r"(\d+)(?:\.(\d+))?\.\.(\d+)(?:\.(\d+))?(?:/(\d+))?", inside):
        return between(number)
    if repeat := re.fullmatch(r"(\w+)\*(\d+)\.\.(\d+)", inside):
        name, least, most = repeat[1], int(repeat[2]), int(repeat[3])
        return lambda writer: " ".join(writer.draw(name) for _ in range(writer.rng.randint(least, most)))
    if inside.startswith("a "):
        return lambda writer: with_article(writer.draw(inside[2:]))
    return lambda writer: writer.draw(inside)


def between(number: re.Match[str]) -> Part:
    """`low..high/step` in units of the last decimal of low: drawn as whole numbers, so that no rounding shows."""
    decimals = len(number[2] or "")
    low = int(number[1] + (number[2] or ""))
    high = int(number[3] + (number[4] or "").ljust(decimals, "0")[:decimals])
    step = int(number[5] or 1)
    return lambda writer: f"{writer.rng.randrange(low, high + 1, step) / 10**decimals:.{decimals}f}"


def with_article(noun: str) -> str:
    """a stent, an aneurysm, an ECG, a unit, an hour."""
    opens = re.match(r"[aiAEIO]|e(?!u)|o(?!ne\b|nce)|u(?!ni|s[eu])|hour|[FHLMNRSX][A-Z]|8|1[18]\b", noun)
    return f"{'an' if opens else 'a'} {noun}"


def capital(text: str) -> str:
    for at, character in enumerate(text):
        if character.isalpha():
            return text[:at] + character.upper() + text[at + 1 :]
        if character.isdigit():
            return text
    return text


def tidy(text: str) -> str:
    """Marks of paragraphs and lines become real ones; stray blanks go."""
    text = re.sub(r"\s*¶\s*", "\n\n", text)
    text = re.sub(r"\s*↵\s*", "\n", text)
    text = re.sub(r"[ \t]+", " ", text)
    return re.sub(r" ([,.;:?!])", r"\1", text).strip()
