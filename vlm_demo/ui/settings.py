"""The sampling parameters that a tab lets people set."""

from __future__ import annotations

from dataclasses import replace

import gradio as gr

from vlm_demo.results import SamplingParameters

from .common import QUICK

RETRY_TEMPERATURE = 0.8  # another wording is wanted, so a greedy setting would be of no use


def read_settings(greedy: bool, temperature: float, top_p: float, length: float) -> SamplingParameters:
    """What the values of a `settings_panel` say."""
    return SamplingParameters(
        temperature=0.0 if greedy else float(temperature),
        top_p=1.0 if greedy else float(top_p),
        max_new_tokens=int(length),
    )


def settings_panel(tab: str, length: int) -> list[gr.components.Component]:
    """Greedy or sampled, temperature, top-p and the longest answer (in tokens), for `read_settings` to take; call
    it inside an Accordion."""
    greedy = gr.Checkbox(value=True, label="Greedy", info="Always take the likeliest word.", elem_id=f"{tab}-greedy")
    temperature = gr.Slider(0.1, 2.0, 0.8, step=0.1, label="Temperature", info="Higher is bolder.", interactive=False)
    top_p = gr.Slider(
        0.1, 1.0, 0.95, step=0.05, label="Top-p", info="Share of likely words to draw from.", interactive=False
    )
    limit = gr.Slider(1, 256, length, step=1, label="Length", info="Tokens at most.", elem_id=f"{tab}-length")
    sampled = [temperature, top_p]
    greedy.input(lambda on: [gr.update(interactive=not on)] * 2, greedy, sampled, queue=False, **QUICK)
    return [greedy, *sampled, limit]


def retry_settings(settings: SamplingParameters) -> SamplingParameters:
    """The same settings, but sampled: for another wording of an answer."""
    if settings.temperature > 0:
        return settings
    return replace(settings, temperature=RETRY_TEMPERATURE, top_p=0.95)
