"""The addresses of the pages. Their names stand alone, as templates use them: `{% url "analyses" %}`."""

from __future__ import annotations

from django.urls import path

from neurocaas.server.web import analyses, home, new_job, sample_data, theme

urlpatterns = [
    path("", home.home, name="home"),
    path("theme", theme.choose, name="theme"),
    path("analyses", analyses.index, name="analyses"),
    path("analyses/<slug:name>", analyses.show, name="analysis"),
    path("analyses/<slug:name>/changes", analyses.changes, name="analysis_changes"),
    path("analyses/<slug:name>/sample", sample_data.show, name="sample"),
    path("analyses/<slug:name>/sample/<str:file>", sample_data.download, name="sample_file"),
    path("analyses/<slug:name>/new", new_job.show, name="new_job"),
    path("analyses/<slug:name>/new/quote", new_job.quote, name="new_job_quote"),
    path("analyses/<slug:name>/new/data", new_job.data, name="new_job_data"),
    path("analyses/<slug:name>/new/config", new_job.config, name="new_job_config"),
]
