"""One file per section of the page; the class carries the name of its file in camel case."""
