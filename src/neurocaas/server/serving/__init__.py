"""Serving a site: the web process, its supervisor, housekeeping, health, metrics, backup."""
