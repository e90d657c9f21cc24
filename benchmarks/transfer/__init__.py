"""How fast a large file is uploaded, beside nginx."""
