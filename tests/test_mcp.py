"""The page as an MCP server, asked by a real MCP client."""

import asyncio
import base64
import io

import pytest

import app
from tests.fake_engine import fake_engine, oracle
from tests.served_page import free_port
from vlm_demo.scenes import make_scene
from vlm_demo.ui import build_app, launch_options

SCENE = make_scene(11)


@pytest.fixture(scope="module")
def url():
    pytest.importorskip("mcp", reason="pip install -r requirements-mcp.txt")
    engine = fake_engine(oracle(SCENE))
    demo = build_app(engine)
    _, address, _ = demo.launch(
        server_name="127.0.0.1",
        server_port=free_port(),
        prevent_thread_lock=True,
        quiet=True,
        mcp_server=True,
        **launch_options(),
    )
    yield f"{address}gradio_api/mcp/"
    demo.close()
    engine.close()


def talk(url, *calls):
    """The tools of a server, and what it answers to some calls of them, each a name and arguments."""
    from mcp import ClientSession
    from mcp.client.streamable_http import streamablehttp_client

    async def run():
        async with streamablehttp_client(url) as (read, write, _), ClientSession(read, write) as session:
            await session.initialize()
            tools = (await session.list_tools()).tools
            return {tool.name: tool for tool in tools}, [await session.call_tool(*call) for call in calls]

    return asyncio.run(run())


def test_an_mcp_client_finds_the_endpoints_and_uses_them(url):
    file = io.BytesIO()
    SCENE.image(256).save(file, "PNG")
    image = f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
    tools, (caption, boxes, wrong) = talk(
        url,
        ("caption", {"image": image, "style": "brief"}),
        ("detect", {"image": image}),
        ("caption", {"image": image, "model": "tiny"}),
    )
    names = {name.rpartition("_")[2] for name in tools}
    assert names == {"caption", "detect", "answer", "compare", "auto", "route"}
    properties = next(tool for name, tool in tools.items() if name.endswith("caption")).inputSchema["properties"]
    assert "brief, detailed or alt" in properties["style"]["description"]
    assert SCENE.caption("brief") in caption.content[0].text and not caption.isError
    assert "bbox" in boxes.content[0].text
    assert wrong.isError and "no model 'tiny' here" in wrong.content[0].text


def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch, capsys):
    monkeypatch.setattr(app.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr("sys.argv", ["app.py", "--mcp"])
    with pytest.raises(SystemExit):
        app.read_flags()
    assert "pip install -r requirements-mcp.txt" in capsys.readouterr().err
