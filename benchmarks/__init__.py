"""Measurements beside peers, in one run each; they print figures and assert nothing about time."""
