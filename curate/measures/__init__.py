"""Families of measures: one file per family, one number per document and measure (shape: `curate/measured.py`)."""
