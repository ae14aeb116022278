"""supervision, imported without its announcement that it works without OpenCV, which is what we want."""

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore", UserWarning)
    import supervision as sv

__all__ = ["sv"]
