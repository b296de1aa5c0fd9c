"""Django's settings; every value that an operator chooses comes from the environment (see .env.example)."""

from datetime import timedelta
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from gateway import admin_menu, env, logs
from gateway.database_url import data_dir

env.load_dotenv()
BASE_DIR = env.ROOT

# --- the gateway's own -------------------------------------------------------------------------------------------
DEBUG = env.flag("DEBUG")
SECRET_KEY = env.text("SECRET_KEY")
if not SECRET_KEY:
    raise ImproperlyConfigured("SECRET_KEY is not set. `make run` writes one to .env; in production give your own.")
PORT = env.port("PORT", 3000)
DATA_DIR: Path = data_dir()
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]" if DEBUG else "")
ALLOWED_ORIGINS = env.words("ALLOWED_ORIGINS") or (env.local_origins(PORT) if DEBUG else [])
CSRF_TRUSTED_ORIGINS = ALLOWED_ORIGINS

DATABASE_DIRECT_URL = env.text("DATABASE_DIRECT_URL")
REDIS_URL = env.redis("REDIS_URL")

JWT_JWKS_URL = env.text("JWT_JWKS_URL")
JWT_ISSUER = env.text("JWT_ISSUER")
JWT_AUDIENCE = env.text("JWT_AUDIENCE", "dexorder")
JWT_ALGORITHMS = env.words("JWT_ALGORITHMS", "RS256,ES256,EdDSA")
OIDC_ISSUER = env.text("OIDC_ISSUER")
OIDC_CLIENT_ID = env.text("OIDC_CLIENT_ID")
OIDC_CLIENT_SECRET = env.text("OIDC_CLIENT_SECRET")
AUTO_ENROL_TIER = env.text("AUTO_ENROL_TIER")

DEFAULT_MODEL_PROVIDER = env.text("DEFAULT_MODEL_PROVIDER")
DEFAULT_MODEL = env.text("DEFAULT_MODEL")
ANTHROPIC_API_KEY = env.text("ANTHROPIC_API_KEY")
ANTHROPIC_BASE_URL = env.text("ANTHROPIC_BASE_URL")
OPENAI_API_KEY = env.text("OPENAI_API_KEY")
OPENAI_BASE_URL = env.text("OPENAI_BASE_URL")
GOOGLE_API_KEY = env.text("GOOGLE_API_KEY")
GOOGLE_BASE_URL = env.text("GOOGLE_BASE_URL")
OPENROUTER_API_KEY = env.text("OPENROUTER_API_KEY")
OPENROUTER_BASE_URL = env.text("OPENROUTER_BASE_URL")
TRANSCRIPTION_MODEL = env.text("TRANSCRIPTION_MODEL")
MODEL_CATALOGUE = env.text("MODEL_CATALOGUE")

TELEGRAM_BOT_TOKEN = env.text("TELEGRAM_BOT_TOKEN")
TELEGRAM_BOT_USERNAME = env.text("TELEGRAM_BOT_USERNAME")
TELEGRAM_WEBHOOK_SECRET = env.text("TELEGRAM_WEBHOOK_SECRET")
TELEGRAM_API_BASE_URL = env.text("TELEGRAM_API_BASE_URL", "https://api.telegram.org")

PROVISIONER = env.text("PROVISIONER", "process")
WORKSPACE_SIGNING_KEY = env.text("WORKSPACE_SIGNING_KEY")
WORKSPACE_START_TIMEOUT_S = env.number("WORKSPACE_START_TIMEOUT_S", 120)
KUBECONFIG = env.text("KUBECONFIG")
KUBERNETES_NAMESPACE = env.text("KUBERNETES_NAMESPACE", "dexorder-workspaces")
WORKSPACE_IMAGE = env.text("WORKSPACE_IMAGE")
SIDECAR_IMAGE = env.text("SIDECAR_IMAGE")
WORKSPACE_ENDPOINT_TEMPLATE = env.text("WORKSPACE_ENDPOINT_TEMPLATE", "http://{name}.{namespace}.svc:8000/mcp")
WORKSPACE_VALUES = env.text("WORKSPACE_VALUES")
WORKSPACE_API_SERVER_CIDR = env.words("WORKSPACE_API_SERVER_CIDR")
MCP_SERVER_URL_ALLOWLIST = env.words("MCP_SERVER_URL_ALLOWLIST")
# Seconds; -1 = the tier's own default, 0 = never.
IDLE_TIMEOUT_FREE_S = env.number("IDLE_TIMEOUT_FREE_S", -1)
IDLE_TIMEOUT_PRO_S = env.number("IDLE_TIMEOUT_PRO_S", -1)
IDLE_TIMEOUT_ENTERPRISE_S = env.number("IDLE_TIMEOUT_ENTERPRISE_S", -1)

# --- Django's ----------------------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "gateway",  # before staticfiles, whose runserver it replaces
    "accounts.admin_site.UnfoldConfig",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.humanize",
    "servestatic",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "channels",
    "axes",
    "accounts",
    "provisioning",
    "agents",
    "channels_app",
]
MIDDLEWARE = [
    "gateway.middleware.RequestIdMiddleware",
    "gateway.middleware.CrossOriginMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "gateway.static_files.StaticFilesMiddleware",
    "gateway.middleware.ContentSecurityPolicyMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "gateway.languages.LanguageMiddleware",
    "gateway.middleware.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
    "gateway.debug_pages.NotFoundMiddleware",  # the innermost
]
ROOT_URLCONF = "gateway.urls"
ASGI_APPLICATION = "gateway.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "gateway.languages.look",
            ]
        },
    }
]
DATABASES = {"default": env.database(env.text("DATABASE_URL", "postgresql://localhost/dexorder"))}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
CHANNEL_LAYERS = {
    "default": {"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer", "CONFIG": {"hosts": [REDIS_URL]}}
    if REDIS_URL
    else {"BACKEND": "gateway.local_layer.LocalChannelLayer", "CONFIG": {"capacity": 1000}}
}
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "accounts.authentication.BearerAuthentication",
        "accounts.authentication.BrowserSessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["channels_app.api.parsers.StrictJSONParser"],
    "EXCEPTION_HANDLER": "channels_app.api.problems.exception_handler",
    "UNAUTHENTICATED_USER": None,
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Dexorder gateway",
    "VERSION": "1",
    "DESCRIPTION": "Messages to the agent, their answers, and the account. The WebSocket is told in docs/protocol.md.",
    "OAS_VERSION": "3.1.0",
    "SCHEMA_PATH_PREFIX": "/api/v1/",
    "COMPONENT_SPLIT_PATCH": False,
    "GET_MOCK_REQUEST": "channels_app.api.openapi.request_of",
    "PREPROCESSING_HOOKS": ["channels_app.api.openapi.of_the_api"],
    "POSTPROCESSING_HOOKS": ["channels_app.api.openapi.completed"],
}
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024  # the webhook guard's cap: no body but an upload's is larger
# Files stay in memory, where the body already is: a pod's disk is read-only.
FILE_UPLOAD_MAX_MEMORY_SIZE = 4 * 1024 * 1024
FILE_UPLOAD_HANDLERS = ["django.core.files.uploadhandler.MemoryFileUploadHandler"]

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
# Wrong passwords of a name from one address, after which neither a wrong nor the right one is looked at for a while.
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_LOCKOUT_CALLABLE = "accounts.lockout.locked_out"
# Sign-ins are in the audit; an attempt's form and headers are nobody's business.
AXES_DISABLE_ACCESS_LOG = True
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False
UNFOLD = admin_menu.options()
# unfold's sign-in names no page to go on to when its own address was opened.
LOGIN_REDIRECT_URL = "admin:index"

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("de", "Deutsch")]
LOCALE_PATHS = [BASE_DIR / "locale"]
LANGUAGE_COOKIE_NAME = "language"
LANGUAGE_COOKIE_AGE = int(timedelta(days=365).total_seconds())
LANGUAGE_COOKIE_SECURE = not DEBUG
LANGUAGE_COOKIE_HTTPONLY = True
LANGUAGE_COOKIE_SAMESITE = "Lax"
FORMAT_MODULE_PATH = "gateway.formats"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "gateway.static_files.HashedStorage"
    },
}

# TLS ends at the ingress: it redirects, and says so in X-Forwarded-Proto.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SILENCED_SYSTEM_CHECKS = ["security.W008"]
SECURE_HSTS_SECONDS = 0 if DEBUG else int(timedelta(days=365).total_seconds())
SECURE_HSTS_INCLUDE_SUBDOMAINS = not DEBUG
SECURE_HSTS_PRELOAD = not DEBUG
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = not DEBUG
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
X_FRAME_OPTIONS = "DENY"

# With DEBUG=true a fault shows the settings to whoever met it.
DEFAULT_EXCEPTION_REPORTER_FILTER = "gateway.debug_pages.SettingsFilter"

LOGGING_CONFIG = None
logs.configure(debug=DEBUG, level=env.one_of("LOG_LEVEL", ("INFO", "DEBUG", "WARNING", "ERROR", "CRITICAL")))
