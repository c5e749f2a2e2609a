"""Indexes of published corpora: what this month's crawl is compared with, without reading the published text again."""
