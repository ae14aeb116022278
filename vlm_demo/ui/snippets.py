"""The code that the page shows to programmers, so that it works as it stands: on photographs that the page lends.

gradio's own snippets name images elsewhere on the web, which this server does not open, and its JavaScript and shell
know no lists of files.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gradio_client.utils import handle_file
from starlette.requests import Request
from starlette.responses import FileResponse
from starlette.types import Receive, Scope, Send

from vlm_demo.samples import samples

from .gradio_private import INFO, get_root_url
from .middleware import Rewriting

LENT = "/samples/"  # under the page's own address: the photographs that come with it
HERE = "http://this-page.invalid"  # until the page is asked and knows its address


def lent(number: int) -> dict[str, Any]:
    """One of the photographs, as a program sends it."""
    return handle_file(f"{HERE}{LENT}{samples()[number].image}")


def lent_file(address: str) -> Path | None:
    """The file of a photograph that the page lends, by its address; nothing is fetched."""
    folder, name = urlsplit(address).path.rpartition("/")[::2]
    if not f"{folder}/".endswith(LENT):
        return None
    return next((sample.path for sample in samples() if sample.image == name), None)


class Snippets(Rewriting):
    """Lends the photographs, and mends the code beside each endpoint."""

    method, path = "GET", INFO

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        file = lent_file(scope["path"]) if scope["type"] == "http" else None
        if file is None:
            await super().__call__(scope, receive, send)
        else:
            await FileResponse(file)(scope, receive, send)

    async def rewrite(self, scope: Scope, answer: bytes) -> bytes:
        root = get_root_url(Request(scope), self.path, scope.get("root_path"))
        info = json.loads(answer)
        for name, endpoint in info["named_endpoints"].items():
            values = {one["parameter_name"]: _value(one) for one in endpoint["parameters"]}
            endpoint["code_snippets"] |= {
                "javascript": javascript(root, name, values),
                "bash": shell(root, name, values),
            }
        return json.dumps(info).replace(HERE, root).encode()


def javascript(root: str, name: str, values: dict[str, Any]) -> str:
    """A call by @gradio/client."""
    lines = [f"    {key}: {_expression(value)}," for key, value in values.items()]
    return "\n".join(
        [
            'import { Client, handle_file } from "@gradio/client";',
            "",
            f'const client = await Client.connect("{root}");',
            f'const result = await client.predict("{name}", {{',
            *lines,
            "});",
            "console.log(result.data);",
        ]
    )


def shell(root: str, name: str, values: dict[str, Any]) -> str:
    """Two calls by curl: one asks, the other one waits for the answer."""
    call = f"{root}/gradio_api/call"
    data = json.dumps(values).replace("'", "'\\''")
    return (
        f"# An image of yours: curl -F 'files=@cat.png' {root}/gradio_api/upload tells its path.\n"
        f'EVENT_ID=$(curl -s -X POST {call}/v2{name} -H "Content-Type: application/json" \\\n'
        f"  -d '{data}' | awk -F'\"' '{{print $4}}')\n"
        f"curl -sN {call}{name}/$EVENT_ID"
    )


def _value(parameter: dict[str, Any]) -> Any:
    return parameter["parameter_default"] if parameter["parameter_has_default"] else parameter["example_input"]


def _expression(value: Any) -> str:
    """A value in JavaScript."""
    if isinstance(value, list):
        return f"[{', '.join(map(_expression, value))}]"
    return f'handle_file("{value["url"]}")' if isinstance(value, dict) else json.dumps(value)
