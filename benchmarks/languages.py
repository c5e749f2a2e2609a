"""Language identification: how fast beside fastText's own binding, and how often right, by language and length.

    python -m benchmarks.languages --data ../shared/data

Two contests. First the model alone, lid.176 on the same lines: our kernels on an Arrow array, fastText's binding line
by line, which is the only way it takes them; equal labels and probabilities. Then `identify` on whole documents, alone.

Where the folder holds multilingual/, accuracy is told too: of XQuAD (12 languages, the same paragraphs in each), ELTeC
(novels of 15 languages, some in the spelling of their time) and the Universal Declaration of Human Rights. Pieces of
40 to 1,000 characters are cut between words, from places spread over each document. A piece that `identify` abstains
from counts neither as right nor as wrong; what the model says when asked about every piece stands beside it.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from lxml import etree

from benchmarks.contest import Entrant, Outcome, Unequal, cpu_seconds, hold, parser, tell
from benchmarks.texts import n_bytes, texts
from curate.fasttext_model import FastTextModel
from curate.language import CERTAIN, identify, model_file

CLOSE = 1e-4  # of two probabilities
FEWEST_CHARACTERS = 1000  # of a translation of the Declaration that is whole
LENGTHS = (40, 80, 160, 400, 1000, None)  # characters of a piece; None: the whole document
PIECES = {"XQuAD": 1, "ELTeC": 40, "UDHR": 8}  # of a document, for each length

ELTEC = dict(
    pair.split(":")
    for pair in "cze:cs deu:de fra:fr gre:el hun:hu ita:it lit:lt pol:pl por:pt rom:ro slv:sl spa:es srp:sr swe:sv "
    "ukr:uk".split()
)
# File stems of the Unicode UDHR project (ISO 639-3, some of them retired codes) to lid.176's labels. `als` is Tosk
# Albanian there and Alemannic in lid.176; Occitan and Quechua stand for their members' standard forms.
UDHR = dict(
    pair.split(":")
    for pair in "afr:af als:sq amh:am arb:ar ast:ast auv:oc azj:az bcl:bcl bel:be ben:bn bho:bh bod:bo bos:bs bre:br "
    "bul:bg cat:ca ceb:ceb ces:cs ckb:ckb cmn:zh cos:co cym:cy dan:da deu:de div:dv ell:el eml:eml eng:en epo:eo "
    "est:et eus:eu fin:fi fra:fr fri:fy gla:gd gle:ga glg:gl gug:gn guj:gu hat:ht heb:he hin:hi hrv:hr hsb:hsb hun:hu "
    "hye:hy ido:io ilo:ilo ina:ia ind:id isl:is ita:it jav:jv jpn:ja kan:kn kat:ka kaz:kk khk:mn khm:km kir:ky kor:ko "
    "lao:lo lat:la lav:lv lit:lt lnc:oc ltz:lb mai:mai mal:ml mar:mr min:min mkd:mk mlt:mt mly:ms mya:my nds:nds "
    "nep:ne nhn:nah nld:nl nno:nn nob:no oss:os pam:pam pan:pa pbu:ps pes:fa plt:mg pnb:pnb pol:pl por:pt prv:oc "
    "quy:qu quz:qu roh:rm ron:ro rus:ru sah:sah san:sa sco:sco slk:sk slv:sl som:so spa:es src:sc srp:sr sun:su "
    "swe:sv swh:sw tam:ta tat:tt tgk:tg tgl:tl tha:th tuk:tk tur:tr tyv:tyv uig:ug ukr:uk urd:ur uzn:uz vec:vec "
    "vep:vep vie:vi war:war wln:wa ydd:yi yor:yo".split()
)

Labelled = list[tuple[str, str]]  # (language, text)


def main(line: list[str] | None = None) -> None:
    given = parser(__doc__, mb=1).parse_args(line)
    corpora = multilingual(given.data / "multilingual") if _has_languages(given.data) else {}
    documents = [text for corpus in corpora.values() for _, text in corpus][::3] or texts(given.data, given.mb)
    lines = list(_up_to(given.mb * 1e6, [" ".join(text[:1000].split()) for text in documents]))
    notes = tuple(_accuracy(corpora, given.data / "multilingual")) if corpora else ()
    tell(given, [_model_alone(lines, given.rounds), _documents(documents, notes, given.rounds)])


def _has_languages(place: Path | None) -> bool:
    return place is not None and (place / "multilingual").is_dir()


def _up_to(most: float, some: Sequence[str]) -> Iterator[str]:
    taken = 0
    for text in some:
        if taken >= most:
            return
        taken += len(text.encode())
        yield text


# -- speed


def _model_alone(lines: list[str], rounds: int) -> Outcome:
    array, binding, ours = pa.array(lines, pa.large_string()), _binding(), FastTextModel.load(model_file())
    contenders: dict[str, Callable[[], object]] = {
        "ours": lambda: ours.predict(array),
        "fastText's binding": lambda: _ask(binding, lines),
    }
    return Outcome(
        work=f"{len(lines):,} lines, {n_bytes(lines) / 1e6:.1f} MB: best label of each by lid.176",
        unit="MB",
        amount=n_bytes(lines) / 1e6,
        clock="CPU",
        turns=hold([_entrant(*one) for one in contenders.items()], rounds),
        same_work=check(lines, ours.predict(array), _ask(binding, lines), ours.labels),
        notes=("Ours starts from an Arrow array, as text stands in a pass; the binding from Python strings.",),
    )


def _documents(documents: list[str], notes: tuple[str, ...], rounds: int) -> Outcome:
    array = pa.array(documents, pa.large_string())
    return Outcome(
        work=f"{len(documents):,} documents, {n_bytes(documents) / 1e6:.1f} MB, identified by windows: ours alone",
        unit="MB",
        amount=n_bytes(documents) / 1e6,
        clock="CPU",
        turns=hold([_entrant("ours", lambda: identify(array))], rounds),
        same_work="no peer in this table; it shows what a pass spends, and how right it is",
        notes=notes,
    )


def _entrant(name: str, work: Callable[[], object]) -> Entrant:
    return Entrant(name, lambda: cpu_seconds(work), work)


def _binding() -> Any:
    import fasttext_pybind  # the binding itself: the wrapper around it breaks on NumPy 2

    model = fasttext_pybind.fasttext()
    model.loadModel(str(model_file()))
    return model


def _ask(binding: Any, lines: list[str]) -> list[tuple[float, str]]:
    return [binding.predict(line + "\n", 1, 0.0, "strict")[0] for line in lines]


def check(lines: list[str], ours: tuple[Any, Any], theirs: list[tuple[float, str]], labels: tuple[str, ...]) -> str:
    """What both say. Raises Unequal where a label or a probability differs."""
    for line, number, score, (their_score, their_label) in zip(lines, *ours, theirs, strict=True):
        if abs(score - min(their_score, 1)) > CLOSE or labels[number] != their_label.removeprefix("__label__"):
            raise Unequal(f"{labels[number]} {score} by ours, {their_label} {their_score} by fastText: {line[:80]!r}")
    return f"{len(lines):,} labels, all equal, and all probabilities within {CLOSE}"


# -- accuracy


@dataclass(frozen=True, slots=True)
class Told:
    """Of the pieces of one corpus and length."""

    language: list[str]  # as they are labelled
    told: list[str | None]  # by identify
    guessed: list[str]  # by the model alone, asked about every piece

    def right(self) -> str:
        """Of those that were given a language."""
        return _percent([told == language for told, language in zip(self.told, self.language, strict=True) if told])

    def abstained(self) -> str:
        return _percent([told is None for told in self.told])

    def right_guesses(self) -> str:
        return _percent([one == other for one, other in zip(self.guessed, self.language, strict=True)])

    def of(self, language: str) -> Told:
        these = [k for k, one in enumerate(self.language) if one == language]
        return Told([language] * len(these), [self.told[k] for k in these], [self.guessed[k] for k in these])


def _percent(are: list[bool]) -> str:
    return f"{100 * sum(are) / len(are):.1f}" if are else "-"


def multilingual(folder: Path) -> dict[str, Labelled]:
    """Documents with their language as lid.176 names it; of the UDHR those whose language it knows."""
    xquad = [(row["lang"], row["text"]) for row in _rows(folder / "xquad_paragraphs.jsonl.gz")]
    eltec = [(ELTEC[path.parent.name], _novel(path)) for path in sorted(folder.glob("eltec/*/*.xml.gz"))]
    udhr = [(_known(row["lang"]), row["text"]) for row in _declarations(folder)]
    return {"XQuAD": xquad, "ELTeC": eltec, "UDHR": [(label, text) for label, text in udhr if label]}


def _declarations(folder: Path) -> list[dict[str, str]]:
    """Without the eight that are nearly empty."""
    return [row for row in _rows(folder / "udhr_unicode.jsonl.gz") if len(row["text"]) >= FEWEST_CHARACTERS]


def _known(stem: str) -> str | None:
    return UDHR.get(stem.partition("_")[0])


def _rows(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def _novel(path: Path) -> str:
    body = etree.fromstring(gzip.decompress(path.read_bytes())).find(".//{*}body")
    return "\n\n".join(" ".join("".join(p.itertext()).split()) for p in body.iter("{*}p"))


def pieces(text: str, characters: int | None, most: int) -> Iterator[str]:
    """From places spread over the text, beginning between words where there is a space nearby."""
    if characters is None:
        yield text
        return
    for k in range(most):
        begin = (len(text) - characters) * (2 * k + 1) // (2 * most)
        if begin >= 0:
            space = text.rfind(" ", max(0, begin - 30), begin)
            begin = begin if space < 0 else space + 1
            yield text[begin : begin + characters]


def _told(corpus: Labelled, characters: int | None, most: int) -> Told:
    cut = [(language, piece) for language, text in corpus for piece in pieces(text, characters, most)]
    array = pa.array([piece for _, piece in cut], pa.large_string())
    model = FastTextModel.load(model_file())
    guessed = [model.labels[number] for number in model.predict(array)[0]]
    return Told([language for language, _ in cut], identify(array).languages.to_pylist(), guessed)


def _accuracy(corpora: dict[str, Labelled], folder: Path) -> Iterator[str]:
    told = {name: {n: _told(some, n, PIECES[name]) for n in LENGTHS} for name, some in corpora.items()}
    yield "Pieces by length in characters, in %:\n\n" + _table(
        "", [_named(n) for n in LENGTHS], dict(row for name in corpora for row in _rows_of(name, told[name]))
    )
    for name in ("XQuAD", "ELTeC"):
        languages = sorted(set(told[name][None].language))
        rows = {_named(n): [told[name][n].of(one).right() for one in languages] for n in (80, 160, 400, None)}
        yield f"{name}, right of the pieces that were given a language, in %:\n\n" + _table("", languages, rows)
    udhr = told["UDHR"][400]
    right = {one: udhr.of(one).right() for one in sorted(set(udhr.language))}
    low = sorted((one for one in right if float(right[one]) < 80), key=lambda one: float(right[one]))
    yield f"UDHR, {len(right)} languages that lid.176 knows, at 400 characters: all above 80 % but " + ", ".join(
        f"{one} {right[one]}" for one in low
    )
    yield _of_unknown_languages(folder)


def _named(characters: int | None) -> str:
    return str(characters or "whole")


def _rows_of(name: str, told: dict[int | None, Told]) -> Iterator[tuple[str, list[str]]]:
    yield f"{name}: right, of those given a language", [told[n].right() for n in LENGTHS]
    yield f"{name}: given none", [told[n].abstained() for n in LENGTHS]
    yield f"{name}: right, the model asked about all", [told[n].right_guesses() for n in LENGTHS]


def _table(corner: str, heads: Sequence[str], rows: dict[str, list[str]]) -> str:
    lines = [f"| {corner} | {' | '.join(heads)} |", "|---|" + "---|" * len(heads)]
    return "\n".join([*lines, *(f"| {name} | {' | '.join(cells)} |" for name, cells in rows.items()), ""])


def _of_unknown_languages(folder: Path) -> str:
    """What becomes of a language that the model has no label for."""
    unknown = [row for row in _declarations(folder) if _known(row["lang"]) is None]
    found = identify(pa.array([row["text"] for row in unknown], pa.large_string()))
    taken = [
        f"{row['lang']} for {told}"
        for row, told, score in zip(unknown, found.languages.to_pylist(), found.scores, strict=True)
        if told and score >= CERTAIN
    ]
    return (
        f"UDHR, {len(unknown)} translations into languages that it doesn't know: {len(taken)} are taken for another "
        f"with a score of {CERTAIN} or more ({', '.join(taken)}). They are {' '.join(row['lang'] for row in unknown)}"
    )


if __name__ == "__main__":
    main()
