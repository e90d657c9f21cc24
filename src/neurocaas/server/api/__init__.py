"""The REST API: everything the website does, for programs."""
