"""The addresses of the pages. Their names stand alone, as templates use them: `{% url "analyses" %}`."""

from __future__ import annotations

from django.urls import path

from neurocaas.server.web import (
    analyses,
    data,
    group,
    help_page,
    home,
    new_job,
    operator,
    profile,
    sample_data,
    theme,
    tokens,
)

urlpatterns = [
    path("", home.home, name="home"),
    path("theme", theme.choose, name="theme"),
    path("help", help_page.help_page, name="help"),
    path("group", group.group, name="group"),
    path("group/join", group.join, name="join_group"),
    path("group/choose", group.choose, name="choose_group"),
    path("group/invite", group.invite, name="invite"),
    path("group/withdraw", group.withdraw, name="withdraw_invitation"),
    path("group/member", group.member, name="group_member"),
    path("group/budget", group.budget, name="group_budget"),
    path("data", data.index, name="data"),
    path("data/imports", data.imports, name="imports"),
    path("data/imports/begin", data.begin, name="begin_import"),
    path("data/imports/<uuid:import_id>/cancel", data.cancel, name="cancel_import"),
    path("data/<uuid:item_id>", data.show, name="data_item"),
    path("data/<uuid:item_id>/tags", data.tag, name="tag_data"),
    path("data/<uuid:item_id>/keep", data.keep, name="keep_data"),
    path("data/<uuid:item_id>/delete", data.delete, name="delete_data"),
    path("profile", profile.profile, name="profile"),
    path("profile/notifications", profile.notifications, name="notifications"),
    path("tokens", tokens.tokens, name="tokens"),
    path("tokens/<int:token_id>/revoke", tokens.revoke, name="revoke_token"),
    path("operator", operator.overview, name="operator"),
    path("operator/jobs", operator.jobs, name="operator_jobs"),
    path("operator/groups", operator.groups, name="operator_groups"),
    path("operator/users", operator.users, name="operator_users"),
    path("operator/audit", operator.audit_log, name="operator_audit"),
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
