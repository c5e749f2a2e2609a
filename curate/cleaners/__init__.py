"""Cleaners: one file each; a class without state, `__call__(text: str) -> str`, run in the order the recipe gives.

`suspect` is an RE2 expression that every text the cleaner would change matches, found by Arrow over a whole batch;
without one a cleaner is asked about every text. A cleaner is idempotent and leaves alone what is not its subject.
"""
