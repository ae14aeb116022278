"""Who may do what concerns everybody: visitors at this machine, and whoever has the key that is printed at start."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING

from vlm_demo.results import EngineError

if TYPE_CHECKING:
    import gradio as gr

PARAMETER = "owner"  # of the page's address, as in http://lab:7860/?owner=KEY
FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip", "via")  # a proxy says by these that it speaks for others


def _new_key() -> str:
    return os.environ.get("VLM_DEMO_OWNER_KEY") or secrets.token_urlsafe(12)


@dataclass(frozen=True)
class Owner:
    """The role of an owner, asked for by everything that one visitor could do to all others.

    `local`: visitors at this machine have the role without a key. Not so where a tunnel lets in the world from here.
    """

    key: str = field(default_factory=_new_key, repr=False)
    local: bool = True

    def is_owner(self, request: gr.Request) -> bool:
        """Whether a request comes from an owner."""
        key = dict(request.query_params).get(PARAMETER, "")
        if secrets.compare_digest(key.encode(), self.key.encode()):
            return True
        headers = {name.lower() for name in dict(request.headers)}
        return self.local and is_local(address(request)) and headers.isdisjoint(FORWARDED)

    def check(self, request: gr.Request) -> None:
        """Raise EngineError unless a request comes from an owner."""
        if not self.is_owner(request):
            raise EngineError(
                f"Only the owner of this page can do that: open it with ?{PARAMETER}=KEY and the key that was printed "
                "when it was started."
            )


def address(request: gr.Request) -> str:
    """Where a request comes from; behind a proxy that the server trusts, what the proxy says."""
    return request.client.host if request.client else ""


def is_local(host: str) -> bool:
    """Whether an address is this machine's own."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
