"""The page: `build_app(engine)` makes it, `launch_options()` says how it is served. One file a tab."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.middleware import Middleware

from vlm_demo import images
from vlm_demo.router import Router
from vlm_demo.ui.gradio_private import gr, rest, without_server  # before the rest of the page imports gradio as it is

from . import api, image_panel, privacy, returning, snippets, status, theme, unasked, worlds
from .common import OWNER, Page, watch_images
from .owner import Owner
from .tabs import auto, caption, chat, compare, detect, game, live, versus

if TYPE_CHECKING:
    from vlm_demo.engine import Engine

TABS = {
    "Caption": caption,
    "Detect": detect,
    "Chat": chat,
    "Compare": compare,
    "Auto": auto,
    "Versus": versus,
    "Live": live,
    "Game": game,
}
HEADER = """
<header class="page-head">
  <svg viewBox="0 0 40 40" aria-hidden="true">
    <rect x="2" y="2" width="36" height="36" rx="9" fill="var(--primary-700)"/>
    <path d="M9 20c4-7 18-7 22 0-4 7-18 7-22 0Z" fill="none" stroke="#fff" stroke-width="2.4"/>
    <circle cx="20" cy="20" r="4" fill="#fff"/>
  </svg>
  <div>
    <h1>vlm-demo</h1>
    <p>A small vision-language model that captions, finds, answers and compares.</p>
  </div>
</header>
"""
WAITING = 256  # events that may wait in gradio's own queue; more are told that the page is busy
DAY = 24 * 60 * 60


@without_server
def build_app(
    engine: Engine, router: Router | None = None, owner: Owner | None = None, adding: str = OWNER
) -> gr.Blocks:
    """The whole page on an engine, which nothing here loads: the first question does.

    Where the engine has several models, each visitor chooses one. What concerns everybody is for the `owner`, by
    default whoever is at this machine. `adding` says who may bring in other models: "owner", "everyone" or "nobody".
    """
    page = Page(engine, router or Router.load(), owner or Owner(), adding)
    with privacy.ForgetfulBlocks(
        page.sessions.close, title="vlm-demo", analytics_enabled=False, delete_cache=(DAY // 24, DAY)
    ) as demo:
        gr.HTML(HEADER)
        chosen = worlds.choice(page)
        with gr.Row(elem_classes="sides"):
            with gr.Column(scale=4, min_width=300, elem_classes="image-panel"):
                image_panel.build(page)
            with gr.Column(scale=7, min_width=300), gr.Tabs(elem_id="tabs", overflow_behavior="wrap") as tabs:
                shown = {}
                for name, module in TABS.items():
                    if module is game and game.player(page) is None:
                        continue
                    with gr.Tab(name, id=name.lower()) as shown[name.lower()]:
                        module.build(page)
        watch_images(page)
        worlds.wire(page, chosen, demo)
        status.build(page, demo)
        api.build(page)
        opened = returning.build(page, demo, tabs, [name.lower() for name in TABS])
        unasked.wire(page, opened, shown)
    demo.queue(max_size=WAITING, default_concurrency_limit=64)
    rest(demo)
    return demo


def launch_options() -> dict[str, Any]:
    """What `launch` is given besides host and port: the look, the limits, and nothing that watches or publishes."""
    return {
        "theme": theme.theme(),
        "css_paths": [theme.CSS],
        "js": theme.SCRIPT.read_text(encoding="utf-8"),
        "max_file_size": images.MAX_BYTES,
        "app_kwargs": {"middleware": [Middleware(privacy.CleanUploads), Middleware(snippets.Snippets)]},
        "footer_links": ["api"],
        "run_history": False,
        "enable_monitoring": False,
        "show_error": False,
        "pwa": False,
    }
