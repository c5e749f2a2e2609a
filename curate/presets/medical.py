"""Rules for medical text: the web's bounds, moved where an audit of real medical text shows them wrong.

The audit (`postgrad audit`) went over 20,244 documents, 48.9 MB: 16,865 titles with abstracts from reviews of drugs
and of care and 1,993 of animal studies, 386 eLife articles from JATS, 1,000 PubMedQA records. Gopher's bounds remove
2,666 of them, these 2,104, of which 2,030 are a title without an abstract.

                                  documents   gopher removes   medical removes   and of their bytes, medical
    abstracts, drugs and care        16,865            2,186             1,703             0.6 %
    abstracts, animal studies         1,993              418               397             1.6 %
    eLife articles                      386               28                 4             0.5 %
    PubMedQA records                  1,000               34                 0             0.0 %

What each bound did, what it does now, and what the documents between the two are:

- words 50 to 30. Of 2,118 documents below 50, 83 have 30 or more: 64 short abstracts, whole and well written. Below
  30 stand 2,030 titles alone and 5 more.
- alphabetic_word_share 0.8 to 0.6. 412 fail the old bound, 377 of them nothing else: trials full of figures ("138 +/-
  12 vs 152 +/- 15 mmHg, P < 0.05"). All 377 reach 0.6; no document of 30 words has less than 0.63, and a table of
  figures has 0.01 to 0.06.
- stop_words 2 to 3. Costs 18 documents of 30 words and more, and takes keyword spam from 65 % to 96 % removed: spam
  draws a `that` or `with` from the text it copies.
- repeated n-grams a tenth higher. 190 fail the old bounds, 59 the new: names of drugs and trials repeat in an
  abstract of two hundred words. What still leaves are 43 abstracts whose first paragraph the database holds twice,
  and three eLife documents: two Registered reports, which list the same reagents step by step, and a correction.
- duplicate_paragraph_share 0.3 to 0.5, duplicate_line_character_share 0.2 to 0.3: five and one of the same reports. A
  passage repeated four times has 0.75.
- ellipsis_line_share 0.3 to 0.5: twelve abstracts that a journal cuts off with "…", one line of three.
- mean_word_length stays at 10: long names of drugs do not reach it; the 19 documents beyond are bare titles.

Taken from other families, for what Gopher does not see: FineWeb's share of short lines and newlines per word and
RefinedWeb's boilerplate lines (at 0.1: one document, a table of contents) for menus; odd words for scans (good text
stays below 0.015 but for one paper on Homer1a, a bad scan has 0.013 to 0.065); C4's lines about policies and
JavaScript, where more than one line in a hundred is such. Not taken: FineWeb's share of lines that end a sentence,
which removes 99 % of the abstracts of animal studies, and C4's five sentences, which remove 4,554 documents:
databases strip the last full stop.

Junk that none of the bounds was chosen on (tests/curate/junk.py; about 80 of each kind), removed of it:

              menus   link lists   scripts   bad scans   spaced letters   keyword spam   tables   repeats
    gopher     53 %         81 %      34 %         0 %            100 %           65 %    100 %     100 %
    medical    99 %         75 %      56 %       100 %            100 %           96 %    100 %     100 %

The language rule takes most link lists and scripts that are left: they are written in no language.
"""

from __future__ import annotations

from curate.presets import fineweb, gopher, refinedweb
from curate.presets._moved import kept, moved, raised
from curate.rules import Rule

_AUDIT = "postgrad's audit of medical text"
_GOPHER = gopher.RULES
_N_GRAMS = [
    *(f"top_{n}_gram_character_share" for n in (2, 3, 4)),
    *(f"duplicate_{n}_gram_character_share" for n in range(5, 11)),
]

RULES = (
    moved(_GOPHER, "words", _AUDIT, at_least=30, at_most=100_000),
    *kept(_GOPHER, "mean_word_length", "hash_word_ratio", "ellipsis_word_ratio", "bullet_line_share"),
    moved(_GOPHER, "ellipsis_line_share", _AUDIT, at_most=0.5),
    moved(_GOPHER, "alphabetic_word_share", _AUDIT, at_least=0.6),
    moved(_GOPHER, "stop_words", _AUDIT, at_least=3),
    moved(_GOPHER, "duplicate_paragraph_share", _AUDIT, at_most=0.5),
    *kept(_GOPHER, "duplicate_paragraph_character_share", "duplicate_line_share"),
    moved(_GOPHER, "duplicate_line_character_share", _AUDIT, at_most=0.3),
    *raised(_GOPHER, _N_GRAMS, 0.1, _AUDIT),
    *kept(fineweb.RULES, "fineweb_short_line_share", "fineweb_newlines_per_word"),
    moved(refinedweb.RULES, "refinedweb_removed_word_share", _AUDIT, at_most=0.1),
    Rule("odd_word_share", None, 0.015, None, "too_many_odd_words", _AUDIT),
    Rule("c4_policy_line_share", None, 0.01, None, "too_many_policy_lines", _AUDIT),
    Rule("c4_javascript_line_share", None, 0.01, None, "too_many_javascript_lines", _AUDIT),
)
