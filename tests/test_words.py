"""Results in words and as HTML."""

import random
import re

from vlm_demo.detection import Parsed, Report
from vlm_demo.results import Result, Timings, Token
from vlm_demo.ui import words
from vlm_demo.ui.tabs import detect


def tokens(*parts: tuple[str, float]) -> list[Token]:
    return [Token(i, text, share, [(text, share), ("blue", 0.07)]) for i, (text, share) in enumerate(parts)]


def test_short_answers_show_their_alternatives() -> None:
    result = Result("vqa", "", text="red", tokens=tokens(("red", 0.9)), new_tokens=2, finish_reason="stop")
    shown = words.alternatives(result)
    assert "red" in shown and "90 %" in shown and "blue" in shown and "7 %" in shown
    long = Result("vqa", "", text="a b c d", tokens=tokens(*[(" a", 0.9)] * 4), finish_reason="stop")
    assert words.alternatives(long) == ""


def test_alternatives_of_a_longer_answer_are_shares_of_one_whole() -> None:
    """The first token's text comes without the space that its alternatives still have."""
    first = Token(1, "dark", 0.6, [(" dark", 0.6), (" light", 0.39), (" bright", 0.01)])
    second = Token(2, " blue", 0.7, [(" blue", 0.7), (" green", 0.295), (" red", 0.005)])
    shown = words.alternatives(Result("vqa", "", text="dark blue", tokens=[first, second], finish_reason="stop"))
    shares = [int(share) for share in re.findall(r"(\d+) %", shown)]
    assert shares[0] == 42 and 95 <= sum(shares) <= 100
    assert "light …" in shown and "dark green" in shown and "dark …" not in shown


def test_whatever_the_tokens_the_answer_and_its_alternatives_come_to_no_more_than_the_whole() -> None:
    chance = random.Random(0)
    for _ in range(300):
        tokens = []
        for number in range(chance.randint(1, words.SHORT_ANSWER)):
            shares = [chance.random() ** 3 for _ in range(6)]  # the sixth stands for all other tokens
            top = [(f" {name}", share / sum(shares)) for name, share in zip("abcde", shares, strict=False)]
            text, probability = chance.choice(top)
            tokens.append(Token(number, text if number else text.strip(), probability, top))
        answer = "".join(token.text for token in tokens)
        shown = words.alternatives(Result("vqa", "", text=answer, tokens=tokens, finish_reason="stop"))
        assert sum(int(share) for share in re.findall(r"(\d+) %", shown)) <= 100, shown


def test_the_number_that_is_told_is_that_of_the_rows() -> None:
    objects = [
        {"label": label, "bbox": [0.1 * n, 0.1, 0.05, 0.2], "image": None, "confidence": 0.2 * n}
        for n, label in enumerate(("cat", "dog", "cat", "cow"), 1)
    ]
    parsed = Parsed(objects, ["cat", "dog", "cow"], (100, 100), Report(read=4))
    for some, expected in (
        (parsed, "Reading the text: 4 read"),
        (parsed.only(["cat"]), "2 of 4 shown"),
        (parsed.above(0.5), "2 of 4 shown"),
        (parsed.only(["cat"]).above(0.5), "1 of 4 shown"),
        (parsed.only([]), "0 of 4 shown"),
    ):
        shown = detect.report(some)
        assert expected in shown and shown.count("<tr>") - 1 == len(some.objects)


def test_what_a_model_writes_never_becomes_html() -> None:
    item = {"label": "<script>alert(1)</script>", "bbox": [0, 0, 1, 1], "confidence": 0.5, "image": None}
    assert "<script>" not in words.boxes([item])
    assert "<b>" not in words.notice("<b>")


def test_drawn_boxes_have_words_for_those_who_do_not_see_them():
    boxes = {"cat": [0.0, 0.0, 0.2, 0.2], "tree": [0.4, 0.4, 0.2, 0.2], "dog": [0.8, 0.4, 0.2, 0.2]}
    objects = [{"label": label, "bbox": box, "image": None, "confidence": None} for label, box in boxes.items()]
    assert words.drawn(objects) == (
        "The image with 3 boxes drawn on it: cat at the top left, tree in the middle, dog at the right."
    )
    assert words.drawn([objects[0] | {"image": 2}]).endswith("1 box drawn on it: cat at the top left of image 2.")
    assert words.drawn(objects * 8).endswith(", and 4 more.") and "no box" in words.drawn([])


def test_a_model_writes_also_where_its_tokens_are_not_told() -> None:
    remote = Result(task="vqa", prompt="[VQA] why?", model="the lab", text="two cats", new_tokens=2)
    assert words.facts(Result(task="vqa", prompt="[VQA] why?", model="the lab")) == ["Reading the image …"]
    assert words.facts(remote)[0] == "Writing …"
    waits = Result(task="vqa", prompt="[VQA] why?", model="the lab", timings=Timings(prefill=12.3))
    assert words.facts(waits) == ["Reading the image …", "12 s so far; Stop ends it"]


def test_beside_a_failure_nothing_seems_to_go_on() -> None:
    running = Result(task="vqa", prompt="[VQA] why?", model="the lab")
    whole = words.quiet(Result(task="vqa", prompt="[VQA] why?", model="the lab", text="two", finish_reason="stop"))
    assert words.at_rest(f"<h2>two &lt;cats</h2>{words.quiet(running)}") == "<h2>two &lt;cats</h2>"
    assert words.at_rest(whole) == whole
