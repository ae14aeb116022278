"""Results as HTML and as words. Everything that came from a model or a person is escaped here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from itertools import count

from vlm_demo.detection import Parsed, pixels
from vlm_demo.results import Result

OUTSIDE = "This image looks unlike anything that this model was trained on, so take its answer as a guess."
UNFAMILIAR = (
    "This question is unlike those that this model was trained on, so take its answer as a guess. "
    "Other words for the same question may help."
)
SPECIAL = re.compile(r"</?\w+>|<\|\w+\|>|\[[A-Z]+\]")  # tokens of the prompt layout, no words
LIKELY = 0.01  # less would be shown as 0 %
MOST_TOLD = 20  # boxes that an alternative text names
COIN = 0.6  # a yes or no that is right less often is hardly better than tossing a coin
ENDED = count()  # numbers the answers' lines: the page draws, and a screen reader hears, only what has changed
RUNNING = re.compile(r'<p class="quiet" data-running>.*?</p>', re.DOTALL)
SHORT_ANSWER = 3  # tokens; longer answers have too many alternatives to list


def notice(text: str, bad: bool = False) -> str:
    """A boxed remark that a screen reader announces."""
    return f'<div class="notice{" bad" if bad else ""}" role="status">{escape(text)}</div>' if text else ""


def quiet(result: Result, spoken: bool = True) -> str:
    """What happens now, or at the end time, tokens and how probable, such as
    `0.42 s · 18 tokens · probability 96 %`, which is the model's own, or how often such answers are right.

    A screen reader hears the end, the answer first unless something else announces that.
    """
    if result.finish_reason == "running":
        return f'<p class="quiet" data-running>{escape(" · ".join(facts(result)))}</p>'
    answer = str(result.parsed.report) if result.parsed else result.text
    hidden = f'<span class="only-heard">{escape(answer)}</span> ' if spoken else ""
    return f'<p class="quiet" role="status" data-answer="{next(ENDED)}">{hidden}{escape(" · ".join(facts(result)))}</p>'


def at_rest(html: str) -> str:
    """What is shown, without the quiet lines of what was running: it has failed."""
    return RUNNING.sub("", html)


def facts(result: Result) -> list[str]:
    """The parts of the quiet line."""
    if result.position is not None:
        return [f"In the queue: {result.position}"]
    if result.finish_reason == "running" and not result.new_tokens:
        waited = result.timings.prefill
        return ["Reading the image …"] + ([f"{waited:.0f} s so far; Stop ends it"] if waited else [])
    parts = [f"{result.timings.total:.2f} s", f"{result.new_tokens} token{'' if result.new_tokens == 1 else 's'}"]
    if result.finish_reason == "running":
        return ["Writing …", *parts]
    if result.unfamiliar:  # then no number means anything
        pass
    elif result.chance is not None:
        coin = result.chance < COIN and result.text.strip().rstrip(".").lower() in ("yes", "no")
        parts.append(f"{'a guess: ' if coin else ''}right in about {round(100 * result.chance)} % of such cases")
    elif result.calibrated:  # then nothing is called sure that has not been measured
        pass
    elif result.confidence is not None and result.parsed is None:  # boxes have a confidence each
        parts.append(f"probability {round(100 * result.confidence)} %")
    if result.finish_reason == "cancelled":
        parts.append("stopped")
    if result.finish_reason == "length":
        parts.append("cut off at the length that is set")
    if result.reduced:
        parts.append(result.reduced)
    if result.dropped_turns:
        parts.append(f"the {result.dropped_turns} oldest turns no longer fit")
    return parts


def meter(share: float) -> str:
    """A small bar and the number beside it; `share` is 0 to 1."""
    percent = round(100 * share)
    return f'<span class="meter" aria-hidden="true"><i style="width:{percent}%"></i></span>{percent} %'


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; the cells of `rows` are HTML already."""
    top = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    caption = f"<caption>{escape(title)}</caption>" if title else ""
    inside = f"{caption}<thead><tr>{top}</tr></thead><tbody>{body}</tbody>"
    return f'<div class="scroll-x"><table class="facts">{inside}</table></div>'


def boxes(objects: Sequence[dict], title: str = "", size: tuple[int, int] | None = None) -> str:
    """The detections as a table: label, box and confidence, in the model's order.

    Boxes are in pixels of an image of `size`, without one in fractions.
    """
    several = any(item.get("image") for item in objects)
    rows = []
    for item in objects:
        numbers = [f"{value:.0f}" for value in pixels(item, size)] if size else [f"{n:.2f}" for n in item["bbox"]]
        box = f'<span class="number">{", ".join(numbers)}</span>'
        sure = item.get("confidence")
        row = [escape(str(item["label"])), box, meter(sure) if sure is not None else "–"]
        rows.append([str(item.get("image") or "–"), *row] if several else row)
    head = ["Label", "Box in pixels (x, y, w, h)" if size else "Box (x, y, w, h)", "Confidence"]
    rows_of_boxes = table(title, ["Image", *head] if several else head, rows)
    return f'<div data-boxes="{escape(drawn(objects))}">{rows_of_boxes}</div>'


def drawn(objects: Sequence[dict]) -> str:
    """What an image with these boxes drawn on it shows, for those who do not see it."""
    if not objects:
        return "The image; no box is drawn on it."
    names = [
        f"{item['label']} {place(item['bbox'])}" + (f" of image {item['image']}" if item.get("image") else "")
        for item in objects[:MOST_TOLD]
    ]
    more = len(objects) - len(names)
    names += [f"and {more} more"] if more else []
    return f"The image with {len(objects)} box{'' if len(objects) == 1 else 'es'} drawn on it: {', '.join(names)}."


def place(box: Sequence[float]) -> str:
    """Where in an image a box [x, y, w, h] has its centre: "at the top left", "in the middle"."""
    x, y = box[0] + box[2] / 2, box[1] + box[3] / 2
    rows, columns = ("top ", "", "bottom "), ("left", "", "right")
    words = (rows[min(int(3 * y), 2)] + columns[min(int(3 * x), 2)]).strip()
    return f"at the {words}" if words else "in the middle"


def report(parsed: Parsed, lead: str = "Reading the text") -> str:
    """The parse report in words, and how many of the boxes that were read are shown."""
    shown, read = len(parsed.objects), parsed.report.read
    lead = f"{shown} of {read} shown. {lead}" if shown < read else lead
    return f'<p class="quiet">{escape(lead)}: {escape(str(parsed.report))}</p>'


def alternatives(result: Result) -> str:
    """What else a short answer could have been: the answer, and where another word was likely; empty for long ones.

    The shares are of one whole: the answer as it is, or an answer that leaves it at one of its tokens.
    """
    tokens = [token for token in result.tokens if token.text.strip()]
    if not 0 < len(tokens) <= SHORT_ANSWER or result.finish_reason == "cancelled" or result.unfamiliar:
        return ""
    shares: dict[str, float] = {}
    written, so_far = "", 1.0
    for position, token in enumerate(result.tokens):
        last = position == len(result.tokens) - 1
        for text, probability in token.alternatives:
            # The first token's text has lost its space, which the alternatives still have.
            if text.strip() in ("", token.text.strip()) or SPECIAL.fullmatch(text.strip()):
                continue
            # The answer would go on from here in some other way.
            words = (written + text).strip() + ("" if last else " …")
            shares[words] = max(shares.get(words, 0.0), so_far * probability)
        written += token.text
        so_far *= token.probability
    shares.pop(result.text.strip(), None)
    likely = sorted((pair for pair in shares.items() if pair[1] >= LIKELY), key=lambda pair: -pair[1])[:4]
    rows = [[f"<b>{escape(result.text.strip())}</b>", meter(so_far)]]
    # Rounded down, so that what is shown does not come to more than the whole.
    rows += [[escape(text), meter(int(100 * share) / 100)] for text, share in likely]
    return table("What it could have said", ["Answer", "Probability"], rows)
