"""Readers: one file per format; each turns a stream of bytes into raw records (curate/records.py).

A reader is a class without state: `__call__(stream, place, fields) -> Iterator[Record]`.
"""
