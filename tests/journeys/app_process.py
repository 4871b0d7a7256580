"""The review app as a process of its own: `python -m tests.journeys.app_process APP_URL ISSUER`."""

import sys

from smart_apps.coder_app.asgi import run
from smart_apps.coder_app.settings import review_app

if __name__ == "__main__":
    run(review_app(sys.argv[1], (sys.argv[2],)))
