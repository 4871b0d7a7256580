"""835 to PaymentReconciliation: the payment, and a detail per claim and per provider adjustment.

Spec: https://hl7.org/fhir/R4/paymentreconciliation.html; 005010X221A1 BPR, TRN, CLP, PLB
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from claims.mapping.claim_response import payment_detail
from claims.mapping.element import date
from claims.mapping.systems import PAYMENT
from claims.x12.remittance import Remittance, RemittedClaim


def payment_identifier(payer: str, remittance: Remittance) -> str:
    """Return what makes the payment the same however often it is reported."""
    return f"{payer}/{remittance.originator}/{remittance.trace}"


def remittance_to_payment_reconciliation(
    remittance: Remittance,
    payer: str,
    created: str,
    responses: Callable[[RemittedClaim], tuple[str, str]],
    issuer: str = "",
) -> dict[str, Any]:
    """Map one 835.

    Args:
        remittance: The payment.
        payer: Payer id of the lane it came by.
        created: Instant of the mapping.
        responses: Claim and ClaimResponse reference of a claim, empty where it matched none.
        issuer: Reference of the paying Organization.
    """
    when = date(remittance.date) or created[:10]
    details = []
    for claim in remittance.claims:
        request, response = responses(claim)
        details.append(payment_detail("payment", claim.paid, request, response, when))
    details += [payment_detail("adjustment", -a.amount, when=when) for a in remittance.provider_adjustments]
    resource: dict[str, Any] = {
        "resourceType": "PaymentReconciliation",
        "identifier": [{"system": PAYMENT, "value": payment_identifier(payer, remittance)}],
        "status": "active",
        "created": created,
        "outcome": "complete",
        "paymentDate": when,
        "paymentAmount": {"value": Decimal(remittance.amount), "currency": "USD"},
        "paymentIdentifier": {"value": remittance.trace},
        "detail": details,
    }
    if issuer:
        resource["paymentIssuer"] = {"reference": issuer}
    return resource
