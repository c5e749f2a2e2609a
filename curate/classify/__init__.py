"""Telling a domain's text from other text: classifiers, importance weights, the recall loop."""
