"""Forms of the document for other programs and for people. Each is derived from it; none is a second copy."""
