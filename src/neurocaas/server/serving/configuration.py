"""Django with everything: accounts, pages, API. The command line and the job manager get by with `database.connect`."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import django
from django.conf import settings as django_settings

from neurocaas.server.database import configuration, migrate_once
from neurocaas.server.dropbox.boxes import USER as DROPBOX_USER
from neurocaas.server.serving.wiring import serve_site
from neurocaas.server.site import Site
from neurocaas.settings import Settings

WEB = Path(__file__).resolve().parents[1] / "web"
MOST_BODY_BYTES = 16 << 20  # of what does not come as an upload: a sweep of ten thousand points is smaller
DATABASE_CONNECTIONS = 20
DATABASE_WAIT_SECONDS = 30  # longer than a burst of work, shorter than proxies and clients wait: they hear of it
LOOPBACK = ["localhost", "127.0.0.1", "[::1]"]
# Providers of OpenID Connect that a site may offer; each is on once its client's id and secret are in the environment.
IDENTITY_PROVIDERS = ("orcid", "github", "google")


def connect_fully(settings: Settings) -> Site:
    """The site, with all of Django set up for it, once per process, and every table up to date."""
    if not django_settings.configured:
        django_settings.configure(**full_configuration(settings, secret_key(settings)))
        django.setup()
    migrate_once(settings, everything=True)
    site = Site(settings)
    serve_site(site)
    return site


def full_configuration(site: Settings, key: str) -> dict[str, Any]:
    """Django's settings for the web process of a site. key: signs sessions and links."""
    url = urlsplit(site.site.web.url)
    secure = url.scheme == "https"
    light = configuration(site.database_url)
    return light | {
        "DATABASES": {"default": _for_many_threads(light["DATABASES"]["default"])},
        "SECRET_KEY": key,
        "DEBUG": False,
        "ROOT_URLCONF": "neurocaas.server.serving.urls",
        "ALLOWED_HOSTS": [url.hostname, *LOOPBACK],
        "CSRF_TRUSTED_ORIGINS": [site.site.web.url],
        "INSTALLED_APPS": [
            *light["INSTALLED_APPS"],
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.sessions",
            "django.contrib.messages",
            "django.contrib.staticfiles",
            "django.contrib.humanize",
            "django.contrib.admin",
            "neurocaas.server.accounts",
            "neurocaas.server.api",
            "neurocaas.server.web",
            "allauth",
            "allauth.account",
            "allauth.mfa",
            "allauth.socialaccount",
            "allauth.socialaccount.providers.openid_connect",
            # One that is not configured has no address either: allauth would answer it with a fault.
            *(f"allauth.socialaccount.providers.{name}" for name in IDENTITY_PROVIDERS if _client(name)),
            "django_htmx",
            "ninja",
        ],
        "DATA_UPLOAD_MAX_MEMORY_SIZE": MOST_BODY_BYTES,
        "MIDDLEWARE": [
            "neurocaas.server.serving.request_log.RequestLog",
            "neurocaas.server.api.middleware.problems",
            "django.middleware.security.SecurityMiddleware",
            "servestatic.middleware.ServeStaticMiddleware",
            "csp.middleware.CSPMiddleware",
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.common.CommonMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.messages.middleware.MessageMiddleware",
            "django.middleware.clickjacking.XFrameOptionsMiddleware",
            "allauth.account.middleware.AccountMiddleware",
            "django_htmx.middleware.HtmxMiddleware",
        ],
        "TEMPLATES": [
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "DIRS": [WEB / "templates"],
                "APP_DIRS": True,
                "OPTIONS": {
                    "context_processors": [
                        "django.template.context_processors.request",
                        "django.contrib.auth.context_processors.auth",
                        "django.contrib.messages.context_processors.messages",
                        "neurocaas.server.web.context.site_and_caller",
                    ]
                },
            }
        ],
        "CACHES": {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}},  # one web process
        "MESSAGE_STORAGE": "django.contrib.messages.storage.session.SessionStorage",
        "DEFAULT_EXCEPTION_REPORTER_FILTER": "django.views.debug.SafeExceptionReporterFilter",
        **_static(),
        **_security(secure=secure),
        **_accounts(),
        **_mail(),
    }


def _for_many_threads(database: dict[str, Any]) -> dict[str, Any]:
    """The database as a server uses it: each request runs in a thread of its own, of which PostgreSQL's would each keep
    a connection of the hundred that there are. So they share a few, and wait for one when all are taken; one that waits
    in vain is answered with 503 (`request_log.server_error`)."""
    if not database["ENGINE"].endswith("postgresql"):
        return database
    pool = {"min_size": 1, "max_size": DATABASE_CONNECTIONS, "timeout": DATABASE_WAIT_SECONDS}
    return database | {"CONN_MAX_AGE": 0, "CONN_HEALTH_CHECKS": True, "OPTIONS": {"pool": pool}}


def secret_key(site: Settings) -> str:
    """The key that signs sessions and links; made once, readable by the site's user alone."""
    path = site.key.with_name("django.key")
    if not path.is_file():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(64))
        try:
            os.link(temporary, path)  # the first of several processes wins
        except FileExistsError:
            pass
        finally:
            temporary.unlink()
    return path.read_text(encoding="utf-8")


def _static() -> dict[str, Any]:
    return {
        "STATIC_URL": "/static/",
        "STATICFILES_DIRS": [WEB / "static"],
        "SERVESTATIC_USE_FINDERS": True,
        "SERVESTATIC_AUTOREFRESH": False,
    }


def _security(*, secure: bool) -> dict[str, Any]:
    """What browsers are told. Cookies travel by https alone where the site's address is https."""
    return {
        "SESSION_COOKIE_SECURE": secure,
        "SESSION_COOKIE_SAMESITE": "Lax",
        "CSRF_COOKIE_SECURE": secure,
        "SECURE_SSL_REDIRECT": secure,
        "SECURE_PROXY_SSL_HEADER": ("HTTP_X_FORWARDED_PROTO", "https") if secure else None,
        "SECURE_REDIRECT_EXEMPT": [r"^healthz$", r"^metrics$"],
        "SECURE_HSTS_SECONDS": 31_536_000 if secure else 0,
        "SECURE_HSTS_INCLUDE_SUBDOMAINS": secure,
        "SECURE_HSTS_PRELOAD": secure,
        "SECURE_REFERRER_POLICY": "same-origin",
        "X_FRAME_OPTIONS": "DENY",  # the one page that is shown in a frame says so itself
        "CONTENT_SECURITY_POLICY": {
            "DIRECTIVES": {
                "default-src": ["'self'"],
                "script-src": ["'self'"],
                "style-src": ["'self'"],
                "img-src": ["'self'", "data:", "blob:"],
                "connect-src": ["'self'", *_store_origins()],
                "object-src": ["'none'"],
                "base-uri": ["'none'"],
                "form-action": ["'self'"],
                "frame-ancestors": ["'self'"],
            }
        },
    }


def _store_origins() -> list[str]:
    """Where browsers send uploads when the store is on S3."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    return [endpoint] if endpoint else ["https://*.amazonaws.com"]


def _accounts() -> dict[str, Any]:
    adapters = "neurocaas.server.accounts.adapters"
    return {
        "AUTH_USER_MODEL": "accounts.User",
        "AUTHENTICATION_BACKENDS": ["allauth.account.auth_backends.AuthenticationBackend"],
        "AUTH_PASSWORD_VALIDATORS": [
            {"NAME": f"django.contrib.auth.password_validation.{name}"}
            for name in (
                "UserAttributeSimilarityValidator",
                "MinimumLengthValidator",
                "CommonPasswordValidator",
                "NumericPasswordValidator",
            )
        ],
        "LOGIN_URL": "/accounts/login/",
        "LOGIN_REDIRECT_URL": "/",
        "ACCOUNT_ADAPTER": f"{adapters}.AccountAdapter",
        "ACCOUNT_SIGNUP_FORM_CLASS": "neurocaas.server.accounts.forms.SignupForm",
        "ACCOUNT_SIGNUP_FIELDS": ["username*", "email*", "password1*"],
        "ACCOUNT_LOGIN_METHODS": {"email", "username"},
        "ACCOUNT_EMAIL_VERIFICATION": "mandatory",
        "ACCOUNT_EMAIL_VERIFICATION_BY_CODE_ENABLED": True,
        "ACCOUNT_EMAIL_SUBJECT_PREFIX": "",
        "ACCOUNT_USERNAME_MIN_LENGTH": 2,
        "ACCOUNT_USERNAME_BLACKLIST": [DROPBOX_USER],  # whose jobs those of drop-boxes are
        "ACCOUNT_PRESERVE_USERNAME_CASING": False,
        "ACCOUNT_SESSION_REMEMBER": None,
        "ACCOUNT_REAUTHENTICATION_REQUIRED": True,
        "MFA_SUPPORTED_TYPES": ["totp", "recovery_codes"],
        "SOCIALACCOUNT_PROVIDERS": _identity_providers(),
        "SOCIALACCOUNT_EMAIL_AUTHENTICATION": False,
        "SOCIALACCOUNT_AUTO_SIGNUP": False,
    }


def _identity_providers() -> dict[str, Any]:
    """Those whose client is configured: NEUROCAAS_ORCID_CLIENT_ID, NEUROCAAS_ORCID_CLIENT_SECRET, and so on."""
    providers: dict[str, Any] = {}
    for name in IDENTITY_PROVIDERS:
        if client := _client(name):
            providers[name] = {"APPS": [{"client_id": client[0], "secret": client[1], "key": ""}]}
    server = os.environ.get("NEUROCAAS_OIDC_SERVER_URL")
    if server:
        app = {
            "provider_id": "institution",
            "name": os.environ.get("NEUROCAAS_OIDC_NAME", "your institution"),
            "client_id": os.environ.get("NEUROCAAS_OIDC_CLIENT_ID", ""),
            "secret": os.environ.get("NEUROCAAS_OIDC_CLIENT_SECRET", ""),
            "settings": {"server_url": server},
        }
        providers["openid_connect"] = {"APPS": [app]}
    return providers


def _client(name: str) -> tuple[str, str] | None:
    """The id and the secret that the provider gave this site; None if it is not configured."""
    client = os.environ.get(f"NEUROCAAS_{name.upper()}_CLIENT_ID", "")
    secret = os.environ.get(f"NEUROCAAS_{name.upper()}_CLIENT_SECRET", "")
    return (client, secret) if client and secret else None


def _mail() -> dict[str, Any]:
    """NEUROCAAS_MAIL_URL, as in smtps://user:password@mail.example.org:465; the console if it is not set."""
    url = urlsplit(os.environ.get("NEUROCAAS_MAIL_URL", ""))
    sender = os.environ.get("NEUROCAAS_MAIL_FROM", "neurocaas@localhost")
    if not url.hostname:
        return {"EMAIL_BACKEND": "django.core.mail.backends.console.EmailBackend", "DEFAULT_FROM_EMAIL": sender}
    return {
        "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
        "EMAIL_HOST": url.hostname,
        "EMAIL_PORT": url.port or (465 if url.scheme == "smtps" else 587),
        "EMAIL_HOST_USER": url.username or "",
        "EMAIL_HOST_PASSWORD": url.password or "",
        "EMAIL_USE_SSL": url.scheme == "smtps",
        "EMAIL_USE_TLS": url.scheme == "smtp+tls",
        "EMAIL_TIMEOUT": 20,
        "DEFAULT_FROM_EMAIL": sender,
        "SERVER_EMAIL": sender,
    }
