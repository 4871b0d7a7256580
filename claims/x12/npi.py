"""National Provider Identifier: ten digits with a Luhn check over 80840 + NPI.

Spec: https://www.cms.gov/regulations-and-guidance/administrative-simplification/nationalprovidentstand
"""


def is_npi(text: str) -> bool:
    """Return whether the text is a well-formed NPI."""
    if len(text) != 10 or not (text.isascii() and text.isdigit()):
        return False
    total = 24  # the Luhn sum of the prefix 80840
    for index, char in enumerate(reversed(text)):
        digit = int(char) * (2 if index % 2 else 1)
        total += digit - 9 if digit > 9 else digit
    return total % 10 == 0
