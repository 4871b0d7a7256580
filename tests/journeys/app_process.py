"""The review app as a process of its own: `python -m tests.journeys.app_process APP_URL ISSUER`."""

import sys
from urllib.parse import urlsplit

from smart_apps.coder_app.asgi import run
from smart_apps.coder_app.settings import review_app

if __name__ == "__main__":
    address = urlsplit(sys.argv[1])
    run(review_app(sys.argv[1], (sys.argv[2],)), str(address.hostname), int(address.port or 0))
