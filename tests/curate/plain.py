"""The definitions of curate/text.py and curate/measures once more, in slow and plain Python; and real text to try.

A second opinion only: nothing here is shared with the kernels but the class bits of characters.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import tarfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from curate.characters import ALONE, CONNECTOR, MARK, WORD, classes
from curate.text import TextBatch

STOP = {"the", "be", "to", "of", "and", "that", "have", "with"}


def bits(character: str) -> int:
    return int(classes()[ord(character)])


def words(text: str) -> list[str]:
    found: list[str] = []
    glued = False  # whether the next character may join the last word
    for character in text:
        if not bits(character) & WORD:
            glued = False
        elif glued and (bits(character) & MARK or not (bits(character) | bits(found[-1][0])) & ALONE):
            found[-1] += character
        else:
            found.append(character)
            glued = True
    return found


def words_of(batch: TextBatch) -> list[list[str]]:
    """The words the kernel found, spelled out, by document."""
    raw, found = batch.data.tobytes(), batch.words
    spelled = [raw[a:b].decode() for a, b in zip(found.start.tolist(), found.end.tolist(), strict=True)]
    return [spelled[a:b] for a, b in zip(found.first.tolist(), found.first.tolist()[1:], strict=False)]


def quality(text: str) -> dict[str, float]:
    every, lines = words(text), text.splitlines()
    plain = [w for w in every if any(not bits(c) & CONNECTOR for c in w)]
    per_word, per_line = max(len(every), 1), max(len(lines), 1)
    return {
        "words": len(plain),
        "mean_word_length": sum(map(len, plain)) / max(len(plain), 1),
        "hash_word_ratio": text.count("#") / per_word,
        "ellipsis_word_ratio": (text.count("...") + text.count("…")) / per_word,
        "bullet_line_share": sum(line.lstrip()[:1] in ("-", "•") for line in lines if line.strip()) / per_line,
        "ellipsis_line_share": sum(line.rstrip().endswith(("...", "…")) for line in lines) / per_line,
        "alphabetic_word_share": sum(any(c.isalpha() for c in w) for w in every) / per_word,
        "stop_words": len(STOP & set(every)),
    }


def repetition(text: str) -> dict[str, float]:
    characters = max(len(text), 1)
    measured: dict[str, float] = {}
    for piece, split, of in (("paragraph", r"\n\n+", text.strip()), ("line", r"\n+", text)):
        pieces = [p for p in re.split(split, of) if p]
        again = [p for i, p in enumerate(pieces) if p in pieces[:i]]
        measured[f"duplicate_{piece}_share"] = len(again) / max(len(pieces), 1)
        measured[f"duplicate_{piece}_character_share"] = sum(map(len, again)) / characters
    every = words(text)
    for n in range(2, 11):
        grams = [tuple(every[i : i + n]) for i in range(len(every) - n + 1)]
        if n <= 4:
            gram, count = Counter(grams).most_common(1)[0] if grams else ((), 0)  # the first of equals
            covered = count * len(" ".join(gram)) if count > 1 else 0
            measured[f"top_{n}_gram_character_share"] = covered / characters
        else:
            measured[f"duplicate_{n}_gram_character_share"] = repeated_characters(grams) / characters
    return measured


def repeated_characters(grams: list[tuple[str, ...]]) -> int:
    """Characters of n-grams met before, reading on behind each of them."""
    met: set[tuple[str, ...]] = set()
    total = resume = 0
    for i, gram in enumerate(grams):
        if i < resume:
            continue
        if gram in met:
            total += len("".join(gram))
            resume = i + len(gram)
        met.add(gram)
    return total


def real_texts(data: Path) -> Iterator[str]:
    """Some 250 documents: paragraphs in 12 languages, a declaration in 25, web pages good and bad, statutes of two."""
    paragraphs = _lines(data / "multilingual" / "xquad_paragraphs.jsonl.gz")
    yield from paragraphs[::60]
    yield from filter(None, (text[:3000] for text in _lines(data / "multilingual" / "udhr_unicode.jsonl.gz")[::16]))
    yield from (text[:6000] for text in _lines(data / "general" / "quality_labels" / "dclm_majority_a.jsonl")[::4])
    yield from (text[:6000] for text in _lines(data / "general" / "c4_demo.jsonl")[::10])
    for name, step in (("legal/gesetze_de_md", 50), ("legal/code_civil_fr", 300), ("general/digitalgov_md", 60)):
        with tarfile.open(data / f"{name}.tar.gz") as tar:
            files = [member for member in tar if member.isfile()][::step]
            for member in files:
                handle = tar.extractfile(member)
                assert handle is not None
                yield handle.read(6000).decode(errors="ignore")


def _lines(path: Path) -> list[str]:
    raw = path.read_bytes()
    lines = io.StringIO((gzip.decompress(raw) if path.suffix == ".gz" else raw).decode())
    return [json.loads(line)["text"] for line in lines]
