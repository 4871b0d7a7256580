"""The review app as a process of its own: `python -m tests.journeys.app_process APP_URL ISSUER`."""

import sys

from smart_apps.coder_app.asgi import run
from smart_apps.coder_app.settings import AppSettings

if __name__ == "__main__":
    run(AppSettings(base_url=sys.argv[1], issuers=(sys.argv[2],)))
