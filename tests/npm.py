"""JavaScript that tests use, fetched from npm the first time: the accessibility rules, and gradio's client."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = ROOT / "node_modules"
PACKAGES = {"axe-core": "4", "@gradio/client": "2"}  # with their versions


def modules() -> Path:
    """The folder of the packages; skips a test where they cannot be had."""
    if not all((MODULES / name).exists() for name in PACKAGES):
        if shutil.which("npm") is None:
            pytest.skip("no npm, which fetches what this test needs: install it (sudo apt install npm)")
        names = [f"{name}@{version}" for name, version in PACKAGES.items()]  # at once: npm removes those not named
        command = ["npm", "install", "--no-save", "--no-package-lock", "--no-audit", "--prefix", str(ROOT), *names]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"npm could not fetch {', '.join(names)}: {done.stderr[-300:]}")
    return MODULES
