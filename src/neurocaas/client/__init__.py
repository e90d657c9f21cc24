"""A NeuroCAAS site from Python: upload, submit, follow, fetch."""
