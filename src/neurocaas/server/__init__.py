"""The Django project: jobs now; accounts, API, uploads and web pages join it here."""
