"""RefinedWeb's line-wise rule: Penedo et al. 2023 (arXiv 2306.01116), appendix G.2, with DCLM's numbers.

A document whose bad lines (capitals, digits only, counters, one word) hold more than 5 % of its words leaves; exactly
5 % stay. RefinedWeb and DCLM drop such lines from the documents that stay: the cleaner `refinedweb_lines` does that,
and with it nothing is left for this rule to find. The paper's other rules are Gopher's: `preset: [gopher, refinedweb]`.
"""

from __future__ import annotations

from curate.rules import Rule

RULES = (
    Rule(
        "refinedweb_removed_word_share",
        None,
        0.05,
        None,
        "too_much_in_boilerplate_lines",
        "RefinedWeb (Penedo et al. 2023), appendix G.2; 5 % as in DCLM",
    ),
)
