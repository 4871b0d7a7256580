"""Estimated glomerular filtration rate from creatinine, CKD-EPI 2021, without race.

Spec: https://doi.org/10.1056/NEJMoa2102953
"""

from __future__ import annotations


def creatinine_to_egfr(creatinine: float, age: float, *, female: bool) -> float:
    """Estimate the filtration rate.

    Args:
        creatinine: In serum, mg/dL, above 0.
        age: Years.
        female: Sex.

    Returns:
        mL/min per 1.73 m2.
    """
    kappa, alpha = (0.7, -0.241) if female else (0.9, -0.302)
    ratio = creatinine / kappa
    return 142.0 * float(min(ratio, 1.0) ** alpha) * float(max(ratio, 1.0) ** -1.2) * float(0.9938**age) * (1.012 if female else 1.0)
