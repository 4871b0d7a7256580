"""The implementation guides this engine knows, by version identifier."""

from functools import cache

from claims.x12.guide import Guide, compile_guide
from claims.x12.guides import acknowledgments, professional_claim, remittance

_TEXTS = {
    "837P": ("837", professional_claim.TEXT),
    "999": ("999", acknowledgments.IMPLEMENTATION_ACKNOWLEDGMENT),
    "277CA": ("277", acknowledgments.CLAIM_ACKNOWLEDGMENT),
    "835": ("835", remittance.TEXT),
}
VERSIONS = {
    "005010X222": "837P", "005010X222A1": "837P", "005010X222A2": "837P",
    "005010X231": "999", "005010X231A1": "999",
    "005010X214": "277CA",
    "005010X221": "835", "005010X221A1": "835",
}


@cache
def guide(kind: str) -> Guide:
    """Return a guide, compiled on first use."""
    transaction, text = _TEXTS[kind]
    return compile_guide(kind, transaction, text)


def kind_of(transaction: str, version: str) -> str:
    """Return the kind of a transaction set (837P, 999, 277CA, 835), empty where unknown."""
    kind = VERSIONS.get(version, "")
    if kind:
        return kind if _TEXTS[kind][0] == transaction else ""
    return transaction if not version and transaction in ("999", "835") else ""
