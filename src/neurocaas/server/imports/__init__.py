"""Data that is elsewhere: fetched in the background into a group's staged data."""
