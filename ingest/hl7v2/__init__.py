"""HL7 v2 messages: bytes to lazy segments, structural checks, acknowledgments, MLLP framing; pure.

Spec: https://www.hl7.eu/HL7v2x/v29/std29/hl7.html
"""
