"""The programs that a page of the documentation prints, by the names behind the languages of their fences."""

import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "howto" / "use-client-libraries.md"
_FENCE = re.compile(r"^```(\w+) (\S+)\n(.*?)^```$", re.M | re.S)


def printed(name: str, **addresses: str) -> str:
    """Give a program as it is printed, with other addresses: `ehr` and `app` in the place of https://ehr.example and https://app.example."""
    found = {each: text for _, each, text in _FENCE.findall(PAGE.read_text("utf-8"))}
    text = found[name]
    for host, address in addresses.items():
        text = text.replace(f"https://{host}.example", address)
    return text


def command_line(name: str, **addresses: str) -> str:
    """Give a printed command as one line."""
    return printed(name, **addresses).replace("\\\n", " ").strip()
