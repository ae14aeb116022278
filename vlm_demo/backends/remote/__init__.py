"""Models on other machines, behind OpenAI-compatible servers."""

from vlm_demo.backends.remote.answer import RemoteAnswer
from vlm_demo.backends.remote.backend import RemoteBackend, open_remote

__all__ = ["RemoteAnswer", "RemoteBackend", "open_remote"]
