"""Free text to tasks: a small classifier that says when it is unsure, and a record of what people overruled."""

from vlm_demo.router.corrections import CorrectionsFull, record_correction
from vlm_demo.router.router import Route, Router

__all__ = ["CorrectionsFull", "Route", "Router", "record_correction"]
