"""Amounts and quantities: X12 text to exact decimals and back.

Spec: https://x12.org/products/technical-reports (ASC X12.6, decimal number R)
"""

import re
from decimal import Decimal

_DECIMAL = re.compile(r"-?(\d{1,18}\.?\d{0,18}|\.\d{1,18})")


def text_to_decimal(text: str) -> Decimal:
    """Return the number, zero where the text is not one (the element check reports that)."""
    return Decimal(text) if _DECIMAL.fullmatch(text) else Decimal(0)


def decimal_to_text(value: Decimal) -> str:
    """Return the shortest X12 form: no trailing zeros, no leading zero, no exponent."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    if text.startswith("0."):
        text = text[1:]
    elif text.startswith("-0."):
        text = "-" + text[2:]
    return "0" if text in ("", "-", "-0", ".") else text
