"""Duplicates: sketch every document (exact key, signature), propose pairs, verify them, decide which copy stays."""
