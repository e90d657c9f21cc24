"""Staged data: what a group brought to the site to be analysed, and how it arrives."""
