"""Families of rules by name: one file per preset, each a constant `RULES` (`curate/rules.py` tells the shape)."""
