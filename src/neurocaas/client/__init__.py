<<<<<<< HEAD
"""A NeuroCAAS site from Python: upload, submit, follow, fetch."""
=======
"""The client of the REST API, and the documents that both ends read and write."""
>>>>>>> wt-api
