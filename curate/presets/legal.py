"""Rules for statutes, codes and opinions: what the web's bounds take for junk in them is mostly the law.

The audit (`postgrad audit`) went over 10,513 documents, 51.6 MB, in three languages. Gopher's bounds remove half of
them and nearly all opinions; these remove 866, most of which hold no law.

                                               documents   gopher removes      legal removes
    US Supreme Court opinions, pdftotext             290    224 (96 % of bytes)    12 (7 %)
    sections of the DC Code                        6,824  3,552 (48 %)            744 (2 %)
    German federal statutes, Markdown                597    234 (50 %)            107 (6 %)
    articles of the French Code civil              2,802  1,418 (26 %)              3 (0 %)

1,481 sections of the DC Code are repealed, reserved or the like: a heading and a history of acts. Gopher's bounds
remove 1,383 of these and 2,169 of the 5,343 in force, these 687 and 57 (15 of those read "[Reserved]").

What each bound did, what it does now, and what the documents between the two are:

- words 50 to 6, without an upper end. 1,380 of 2,802 articles of the Code civil are shorter than 50 words ("Tous les
  biens sont meubles ou immeubles."). The upper end removed the German civil code: 204,352 words.
- alphabetic_word_share 0.8 to 0.6. Section numbers and citations: 1,316 sections in force failed the old bound (909
  nothing else), 44 fail the new one, mostly one sentence under ten lines of history. Of the repealed, 614 still
  leave.
- duplicate_paragraph_share and duplicate_line_share: dropped. 222 of 290 opinions fail the first and 199 of them
  nothing else: the running heads of pages ("Cite as: 565 U. S. ____ (2012)"). They hold 2 % of the characters.
- duplicate paragraphs' and lines' share of characters 0.2 to 0.4. Twelve opinions hold all their pages twice, at 0.45
  and above, and leave. Between the bounds are sections whose notes say the same of every act, and parallel clauses.
- duplicate n-grams 0.3 higher: 1,207 sections fail at 0.15 for 5-grams and 4 at 0.45. A statute that says "the notice
  of violation" seven times means it seven times. Top n-grams 0.2 higher: one-sentence articles that define one term.
- hash_word_ratio: dropped. "#" is a heading of Markdown. ellipsis_word_ratio 0.1 to 0.4: dotted lines of forms.
- stop_words stay, in English: 13 sections in force fail, among 240, the others repealed.

Taken from other families: FineWeb's lines that end a sentence, at 0.05 in place of 0.12, since lines wrapped at 70
letters end one in eight (opinions: 0.08 to 0.23; 155 of 290 fail the old bound). German statutes have lists without
full stops: there 0.005: in the 98 that leave for it hardly a line ends a sentence, and 91 of them are a title and a
date. A text on a single line without its last full stop fails this rule: `sources[].quality` can switch it off.
FineWeb's short lines at 0.8 in place of 0.67: tables of duties. Odd words above 0.005 are bad scans (statutes: 0.001
at most), formulas above 0.01 are scripts (0.009). Not taken: RefinedWeb's boilerplate lines (146 statutes, 31
opinions: headings in capitals), C4's sentences (98 % of the Code civil) and its lines about policies, FineWeb's
copied lines (281 opinions) and newlines (204 statutes).

Junk that none of the bounds was chosen on (tests/curate/junk.py; about 80 of each kind, its prose English, German and
French), removed of it:

            menus   link lists   scripts   bad scans   spaced letters   keyword spam   tables   repeats
    gopher   53 %         81 %      34 %         9 %            100 %           14 %    100 %     100 %
    legal   100 %        100 %     100 %       100 %            100 %          100 %    100 %     100 %

And good text of the kind that none was chosen on: of 6,253 sections of other titles of the DC Code gopher removes
21.7 %, legal 0.7 %.
"""

from __future__ import annotations

from dataclasses import replace

from curate.presets import fineweb, gopher
from curate.presets._moved import kept, moved, raised
from curate.rules import Rule

_AUDIT = "postgrad's audit of legal text"
_GOPHER = gopher.RULES
_ENDS_A_SENTENCE = "fineweb_terminal_line_share"
_TOP = [f"top_{n}_gram_character_share" for n in (2, 3, 4)]
_DUPLICATE = [f"duplicate_{n}_gram_character_share" for n in range(5, 11)]

_ANY = moved(fineweb.RULES, _ENDS_A_SENTENCE, _AUDIT, at_least=0.05)
_GERMAN = moved(fineweb.RULES, _ENDS_A_SENTENCE, _AUDIT, at_least=0.005)

RULES = (
    moved(_GOPHER, "words", _AUDIT, at_least=6),
    *kept(_GOPHER, "mean_word_length"),
    moved(_GOPHER, "ellipsis_word_ratio", _AUDIT, at_most=0.4),
    *kept(_GOPHER, "bullet_line_share", "ellipsis_line_share"),
    moved(_GOPHER, "alphabetic_word_share", _AUDIT, at_least=0.6),
    *kept(_GOPHER, "stop_words"),
    moved(_GOPHER, "duplicate_paragraph_character_share", _AUDIT, at_most=0.4),
    moved(_GOPHER, "duplicate_line_character_share", _AUDIT, at_most=0.4),
    *raised(_GOPHER, _TOP, 0.2, _AUDIT),
    *raised(_GOPHER, _DUPLICATE, 0.3, _AUDIT),
    replace(_ANY, except_languages=(*_ANY.except_languages, "de")),
    replace(_GERMAN, only_languages=("de",), except_languages=()),
    moved(fineweb.RULES, "fineweb_short_line_share", _AUDIT, at_most=0.8),
    Rule("odd_word_share", None, 0.005, None, "too_many_odd_words", _AUDIT),
    Rule("formula_share", None, 0.01, None, "too_much_in_formulas", _AUDIT),
)
