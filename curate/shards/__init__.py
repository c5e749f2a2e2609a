"""What both halves share: the shard format, the seal that makes a folder whole, and the fault a user meets."""
