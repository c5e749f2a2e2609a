"""Every performance claim as a program that runs us and the peer on the same work in one run: see README.md."""
