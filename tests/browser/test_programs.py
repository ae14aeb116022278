"""The page for programmers offers what is there, and tells what each argument is."""

from collections.abc import Callable

from playwright.sync_api import expect


def test_the_api_page_offers_only_what_is_there(visit: Callable, address: str) -> None:
    page = visit(address)
    page.get_by_role("button", name="Use via API").click()
    docs = page.locator(".api-docs")
    expect(docs.get_by_text("Python", exact=True).first).to_be_visible()
    expect(docs.get_by_text("MCP", exact=True)).to_be_hidden()
    expect(docs.get_by_text("How the caption is written").first).to_be_visible()
