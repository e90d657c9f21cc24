"""The site as a running service: its full configuration, the web application, and what keeps it going."""
