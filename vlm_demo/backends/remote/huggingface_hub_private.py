"""What the remote backend uses of huggingface_hub that it promises to nobody, all of it; as it is in the version below.

`tests/test_private.py` says what has changed when another one is installed.
"""

from __future__ import annotations

from typing import Any

import httpx2
from huggingface_hub import AsyncInferenceClient

VERSION = "2.4"


def inference_client(http: httpx2.AsyncClient, **options: Any) -> AsyncInferenceClient:
    """An AsyncInferenceClient that speaks through `http`, which it leaves open.

    By itself each would make a client of its own, and read all certificates of this machine for that.
    """
    client = AsyncInferenceClient(**options)
    client._async_client = http
    return client
