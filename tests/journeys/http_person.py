"""A person with a browser that has no JavaScript: signs in, chooses a patient, allows, and says where the browser was sent back to."""

import html
import re
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx

from tests.journeys.client_world import PASSWORD, ClientWorld

MOST_STEPS = 12
_FIELD = re.compile(r'name="(\w+)" value="([^"]*)"')


class HttpPerson:
    """Somebody who logs in with a password."""

    def __init__(self, world: ClientWorld, login: str) -> None:
        self._world, self._login = world, login
        self._browser = httpx.Client(base_url=world.root, trust_env=False)

    def close(self) -> None:
        """Close the browser."""
        self._browser.close()

    def sent_back(self, address: str) -> str:
        """Open an address of the authorization server, answer every page, and give the app's address that it leads to."""
        answer = self._browser.get(address)
        for _ in range(MOST_STEPS):
            if answer.is_redirect:
                target = urljoin(f"{self._world.root}/", answer.headers["Location"])
                if not target.startswith(self._world.root):
                    return target
                answer = self._browser.get(target)
            else:
                assert answer.status_code == 200, answer.text
                answer = self._browser.post(urlsplit(str(answer.url)).path, data=self._filled(answer.text))
        raise AssertionError("the pages lead nowhere")

    def _filled(self, page: str) -> dict[str, list[str] | str]:
        found = [(name, html.unescape(value)) for name, value in _FIELD.findall(page)]
        fields: dict[str, list[str] | str] = dict(found)
        if 'name="password"' in page:
            return {**fields, "login": self._login, "password": PASSWORD}
        if 'name="decision"' in page:
            return {name: [value for each, value in found if each == name] for name in fields} | {"decision": "allow"}
        return fields | {"id": next(value for name, value in found if name == "id")}

    def launched(self, app: str, patient: str) -> tuple[str, str]:
        """Start an app from a patient's chart in the EHR; gives `iss` and `launch` of the address that it is opened by."""
        chart = f"/ehr/patients/{patient}"
        page = self._browser.get(chart)
        if page.status_code == 401:
            page = self._browser.get(f"/login?next={chart}")
            page = self._browser.post("/login", data=self._filled(page.text))
            page = self._browser.get(chart)
        form = next(each for each in page.text.split("<form")[1:] if f'name="app" value="{app}"' in each)
        answer = self._browser.post("/ehr/launch", data=dict(_FIELD.findall(form)))
        query = parse_qs(urlsplit(answer.headers["Location"]).query)
        return query["iss"][0], query["launch"][0]
