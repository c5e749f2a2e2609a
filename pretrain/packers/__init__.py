"""Packers, by name: each decides which pieces of which documents share a row, from the lengths alone."""
