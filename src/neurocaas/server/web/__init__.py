"""The website: pages, templates, and what browsers load."""
