"""A small vision-language model in the browser: it captions, detects, answers questions and compares images.

Importing this package loads nothing heavy; import the room that you need, for example ``vlm_demo.engine``.
"""

__version__ = "0.1.0"
