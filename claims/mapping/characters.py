"""Text to the X12 character set: upper case, without accents and separators.

Spec: https://x12.org/products/technical-reports (005010X222A1, basic and extended character sets)
"""

import unicodedata

_ALLOWED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 !\"&'()+,-./;?=%@[]_{}\\|<>#$")
_LETTERS = str.maketrans({
    "Ø": "O", "Ł": "L", "Đ": "D", "Æ": "AE", "Œ": "OE", "Þ": "TH", "Ð": "D",
    "\u2010": "-", "\u2013": "-", "\u2014": "-", "\u2019": "'", "\u2018": "'",
})  # fmt: skip


def text_to_x12(text: str, longest: int = 60) -> str:
    """Return the text as an interchange may carry it; what has no equivalent is left out."""
    upper = unicodedata.normalize("NFKD", str(text).upper().translate(_LETTERS)).upper()
    kept = "".join(c if c in _ALLOWED else " " if c.isspace() or c in "*~:^" else "" for c in upper)
    return " ".join(kept.split())[:longest].strip()
