"""Web pages: bytes to characters, characters to a table of elements, and of these the main text."""
