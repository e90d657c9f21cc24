"""Runs on the instance: performs one attempt and leaves an exit record, whatever happens."""
