"""Shards in, adapted model and held-out result out. From curate it imports only the shard format."""
