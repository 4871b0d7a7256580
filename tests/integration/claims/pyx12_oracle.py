"""pyx12 as an independent opinion on what is written."""

import io
import logging

import pyx12.params
import pyx12.x12n_document


def pyx12_errors(data: bytes) -> str:
    """Return what pyx12 says is wrong: empty when it accepts."""
    log = io.StringIO()
    handler = logging.StreamHandler(log)
    handler.setLevel(logging.ERROR)
    logger = logging.getLogger("pyx12")
    logger.addHandler(handler)
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        good = pyx12.x12n_document.x12n_document(pyx12.params.params(), io.StringIO(data.decode("ascii")), None, None, None, None)
    finally:
        logger.removeHandler(handler)
        root.removeHandler(handler)
    return "" if good else log.getvalue() or "rejected"
