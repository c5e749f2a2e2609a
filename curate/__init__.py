"""Text in, trusted tokenised shards out. Never imports torch or transformers."""
