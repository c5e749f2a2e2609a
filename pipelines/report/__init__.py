"""A run folder in, one page and the numbers behind it out."""
