"""The settings of the site."""

ROOT_URLCONF = "app"
ALLOWED_HOSTS = ["*"]
SECRET_KEY = "an example needs none"
