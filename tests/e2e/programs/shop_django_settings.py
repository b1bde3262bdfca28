"""The settings of ``shop_django``."""

ROOT_URLCONF = "shop_django"
ALLOWED_HOSTS = ["*"]
SECRET_KEY = "not one"
LOGGING_CONFIG = None
