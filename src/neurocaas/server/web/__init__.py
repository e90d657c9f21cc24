"""The pages: server-rendered, with HTMX where something changes while one looks."""
