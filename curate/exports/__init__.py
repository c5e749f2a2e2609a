"""Formats that other trainers read shards in, by name."""
