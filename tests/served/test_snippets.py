"""The code that the page shows beside its endpoints works."""

import json
import shutil
import subprocess

import httpx
import pytest

from tests import npm
from tests.served_page import ENDPOINTS


@pytest.fixture(scope="module")
def shown(url: str) -> dict[str, dict[str, str]]:
    """The code that the page shows beside each endpoint, by language."""
    endpoints = httpx.get(f"{url}gradio_api/info").json()["named_endpoints"]
    return {name: endpoint["code_snippets"] for name, endpoint in endpoints.items()}


@pytest.mark.parametrize("name", sorted(ENDPOINTS))
def test_the_python_that_the_page_shows_works_as_it_stands(shown: dict, name: str, capsys) -> None:
    exec(shown[name]["python"], {})
    printed = capsys.readouterr().out
    assert "'tasks':" in printed if name == "/route" else "'text':" in printed


def test_the_shell_commands_that_the_page_shows_work_as_they_stand(shown: dict) -> None:
    if shutil.which("curl") is None:
        pytest.skip("no curl, for which the commands are")
    script = "\n".join(snippets["bash"] for snippets in shown.values())
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=120)
    assert done.stdout.count("event: complete") == len(ENDPOINTS) and "event: error" not in done.stdout


def test_the_javascript_that_the_page_shows_works_as_it_stands(shown: dict) -> None:
    folder = npm.modules() / ".snippets"  # from where node finds the client
    folder.mkdir(exist_ok=True)
    running = {}
    for name, snippets in shown.items():
        script = folder / f"{name.strip('/')}.mjs"
        # A client listens until its page is closed, which ends a browser's script but not this one.
        script.write_text(f"{snippets['javascript']}\nprocess.exit();\n")
        running[name] = subprocess.Popen(["node", script], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    for name, process in running.items():
        printed, _ = process.communicate(timeout=120)
        assert ("tasks:" if name in ("/route", "/auto") else "text:") in printed, printed


def test_only_photographs_of_the_page_are_lent(url: str, shown: dict) -> None:
    assert httpx.get(f"{url}samples/dogs.jpg").headers["content-type"] == "image/jpeg"
    assert httpx.get(f"{url}samples/credits.json").status_code == 404
    assert httpx.get(f"{url}samples/../__init__.py").status_code == 404
    for snippets in shown.values():
        assert "githubusercontent" not in json.dumps(snippets) and ".invalid" not in json.dumps(snippets)
