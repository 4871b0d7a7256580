"""The look of the EHR, for apps that want to fit in.

Spec: https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html#styling
"""

from __future__ import annotations

from typing import Final

STYLE_PATH: Final = "/oauth/smart-style-1.json"
"""A changed style gets a new address: what an address says never changes."""

STYLE: Final = {
    "color_background": "#f4f6f8",
    "color_error": "#99201c",
    "color_highlight": "#0b6e6e",
    "color_modal_backdrop": "#1b2733",
    "color_success": "#14653a",
    "color_text": "#1b2733",
    "dim_border_radius": "8px",
    "dim_font_size": "15px",
    "dim_spacing_size": "16px",
    "font_family_body": "ui-sans-serif, system-ui, 'Segoe UI', Roboto, 'Open Sans', 'DejaVu Sans', sans-serif",
    "font_family_heading": "ui-sans-serif, system-ui, 'Segoe UI', Roboto, 'Open Sans', 'DejaVu Sans', sans-serif",
}
