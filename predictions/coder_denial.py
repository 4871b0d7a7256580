"""Denials that stand behind a finding: "gout ruled out", "pneumonia is felt to be unlikely".

The reader marks what a denial in front covers ("no gout"); this is the hard gate's look at what comes after. It is no feature of the
ranker: it can only send a code to a person.
"""

from __future__ import annotations

import re

_REACH = 80
_STOP = re.compile(r"[.;\n]|\bbut\b|\bhowever\b|\bexcept\b", re.IGNORECASE)
_BETWEEN = r"(?:[\s,:()\u2013-]|\b(?:is|are|was|were|has|have|had|been|be|being|to|felt|thought|considered|clinically|effectively|now|highly|very|as|formally)\b)*"
_DENIED = r"(?:ruled\s+out|r/o|excluded|unlikely|absent|denied|negative|not\s+(?:seen|found|present|likely|suspected|evident|identified|confirmed|supported))\b"
_BEHIND = re.compile(_BETWEEN + _DENIED, re.IGNORECASE)


def denied_behind(text: str, end: int) -> bool:
    """Whether the words right after a span, within its clause, deny it.

    Args:
        text: The note.
        end: Where the span ends, in code points.
    """
    return bool(_BEHIND.match(_STOP.split(text[end : end + _REACH], maxsplit=1)[0]))
