"""The passes of curation, in order: sift, judge, decide, scan, shard, enter. Each writes one file per unit."""
