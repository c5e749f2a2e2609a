"""Our passes as steps of a datatrove pipeline, between its own readers, filters and writers."""
