"""Personal data in text: where it may stand (candidates), what it is (patterns), how often and masked (find)."""
