"""The router as its users notice it, on the bundled checkpoint, and the pieces that train it."""

import random
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from train.router.grammar import Grammar
from train.router.phrases import FOLDER, Phrase, read_corrections, read_phrases
from train.router.report import measure
from train.router.review import review
from vlm_demo.checkpoints import bundled
from vlm_demo.router import CorrectionsFull, Router, corrections, record_correction
from vlm_demo.tasks import TASKS

ROOT = Path(__file__).parents[1]
TEST = ROOT / "tests" / "data" / "router_test.tsv"


@pytest.fixture(scope="module")
def router() -> Router:
    return Router.load()


@pytest.mark.parametrize(
    ("text", "tasks"),
    [
        ("[CAPTION]", ["caption"]),
        ("[od]", ["detect"]),
        ("  [Vqa] describe the picture", ["vqa"]),
        ("[OD] [CAPTION] brief", ["detect", "caption"]),
    ],
)
def test_a_tag_at_the_start_decides(router: Router, text: str, tasks: list[str]) -> None:
    route = router.route(text)
    assert route.tasks == tasks
    assert not route.unsure
    assert route.probabilities == {task: float(task in tasks) for task in TASKS}
    assert "[" not in route.text


def test_the_text_comes_without_its_tag(router: Router) -> None:
    route = router.route("[VQA] How many [OD] cats?")
    assert (route.text, route.parts) == ("How many [OD] cats?", {"vqa": "How many [OD] cats?"})


def test_a_tag_later_in_the_text_is_only_text(router: Router) -> None:
    route = router.route("How many cats are there in the [CAPTION] picture?")
    assert "vqa" in route.tasks
    assert route.text == "How many cats are there in the [CAPTION] picture?"


def test_a_question_tag_without_a_question_asks_for_one(router: Router) -> None:
    route = router.route("[VQA]  ")
    assert route.unsure
    assert "question" in route.note


@pytest.mark.parametrize(
    ("text", "n_images", "tasks"),
    [
        ("Describe this picture.", 1, ["caption"]),
        ("what is this?", 1, ["caption"]),
        ("box all the dogs", 1, ["detect"]),
        ("where is the cat?", 1, ["detect"]),
        ("where was this taken?", 1, ["vqa"]),
        ("what colour is the car", 1, ["vqa"]),
        ("how many cats are there?", 3, ["vqa"]),
        ("describe the difference", 2, ["compare"]),
        ("spot the odd one out", 3, ["compare"]),
        ("which image shows a dog?", 4, ["compare"]),
        ("what happened between these", 2, ["compare"]),
        ("describe it and box everything", 1, ["caption", "detect"]),
        ("box everything, then describe it", 1, ["detect", "caption"]),
        ("how many cats, and where?", 1, ["vqa", "detect"]),
    ],
)
def test_plain_words(router: Router, text: str, n_images: int, tasks: list[str]) -> None:
    route = router.route(text, n_images)
    assert route.tasks == tasks
    assert not route.unsure
    assert all(route.probabilities[task] > 0.5 for task in tasks)


def test_each_of_several_tasks_gets_its_own_words(router: Router) -> None:
    route = router.route("What colour are the dog and the cat? Then draw boxes around all the animals.")
    assert route.parts["vqa"] == "What colour are the dog and the cat?"
    assert "boxes around" in route.parts["detect"]


@pytest.mark.parametrize(
    "text", ["hello", "cats", "asdf", "", "???", "thanks", "the", "ok do it", "\U0001f600", "a\x00b"]
)
def test_what_asks_for_nothing_is_asked_back(router: Router, text: str) -> None:
    route = router.route(text)
    assert route.unsure
    assert route.tasks == []
    assert route.note


def test_one_image_cannot_be_compared(router: Router) -> None:
    alone = router.route("what changed between them?", n_images=1)
    assert alone.unsure
    assert "2 to 4 images" in alone.note
    both = router.route("describe the picture and tell me what changed between the two photos", n_images=1)
    assert (both.tasks, both.unsure) == (["caption"], False)
    assert "left out" in both.note
    assert router.route("[COMPARE] what changed?", n_images=1).unsure
    assert router.route("[COMPARE] what changed?", n_images=5).unsure
    assert not router.route("[COMPARE] what changed?", n_images=2).unsure


def test_without_an_image_it_asks_for_one(router: Router) -> None:
    route = router.route("describe this picture", n_images=0)
    assert route.unsure
    assert "Add an image" in route.note


def test_the_request_is_found_at_the_end_of_a_very_long_text(router: Router) -> None:
    long = "I took this one on the way home and my sister liked it so much. " * 3000
    start = time.thread_time()
    route = router.route(long + "How many boats are there?")
    assert route.tasks == ["vqa"]
    assert time.thread_time() - start < 1


def test_floors_on_phrasings_written_apart(router: Router) -> None:
    figures = measure(router, read_phrases(TEST))
    assert figures["exact"] >= 0.95
    assert figures["unsure_meaningless"] >= 0.8
    assert figures["unsure_meaningful"] <= 0.03
    assert figures["ece_tasks"] <= 0.05
    assert figures["ece_top"] <= 0.05
    for task in TASKS:
        assert figures[f"precision_{task}"] >= 0.9
        assert figures[f"recall_{task}"] >= 0.9


def test_the_test_phrasings_are_in_no_other_split() -> None:
    def texts(path: Path) -> set[str]:
        # What is one word long ("ok") may well be in several.
        return {p.text.lower().strip(" .?!") for p in read_phrases(path) if " " in p.text}

    assert len(read_phrases(TEST)) >= 500
    assert not texts(TEST) & (texts(FOLDER / "development.tsv") | texts(FOLDER / "calibration.tsv"))


def test_it_is_small_and_fast(router: Router) -> None:
    assert (bundled("router") / "model.safetensors").stat().st_size <= 3_000_000
    start = time.thread_time()
    Router.load()
    assert time.thread_time() - start < 0.2
    seconds = []
    for phrase in read_phrases(TEST)[:200]:
        start = time.thread_time()
        router.route(phrase.text, phrase.n_images)
        seconds.append(time.thread_time() - start)
    assert np.median(seconds) < 0.005


def test_importing_it_loads_no_torch() -> None:
    code = "import sys, vlm_demo.router; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_threads_share_one_router(router: Router) -> None:
    phrases = read_phrases(TEST)[:100]
    alone = [router.route(p.text, p.n_images) for p in phrases]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda p: router.route(p.text, p.n_images), phrases)) == alone


def test_a_missing_checkpoint_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="python -m train.router"):
        Router.load(tmp_path)


def test_corrections_come_back_as_they_were_recorded(tmp_path: Path) -> None:
    path = tmp_path / "new" / "corrections.jsonl"
    corrections = [Phrase(f'say "{i}"\nplease \u732b', 1 + i % 3, frozenset({"detect"})) for i in range(200)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda c: record_correction(path, c.text, c.n_images, sorted(c.tasks)), corrections))
    assert sorted(read_corrections(path), key=str) == sorted(corrections, key=str)
    with pytest.raises(ValueError, match="'paint'"):
        record_correction(path, "paint it", 1, ["paint"])


def test_spoilt_lines_of_corrections_are_named_and_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "corrections.jsonl"
    record_correction(path, "boxes for the lot", 1, ["detect"])
    with path.open("a") as file:
        file.write('{"text": "cut o\n[1]\n{"text": "x", "n_images": 1, "tasks": ["paint"]}\n')
    assert read_corrections(path) == [Phrase("boxes for the lot", 1, frozenset({"detect"}))]
    printed = capsys.readouterr().out
    assert all(f"line {number}" in printed for number in (2, 3, 4))
    assert read_corrections(tmp_path / "none.jsonl") == []


def test_corrections_are_bounded_in_all_and_for_each_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "corrections.jsonl"
    monkeypatch.setattr(corrections, "MOST", 5)
    monkeypatch.setattr(corrections, "MOST_OF_ONE", 2)
    for number in range(2):
        record_correction(path, f"{number}", 1, ["detect"], session="mine")
    with pytest.raises(CorrectionsFull, match="enough for now"):
        record_correction(path, "one more", 1, ["detect"], session="mine")
    for number in range(3):
        record_correction(path, f"{number}", 1, ["detect"], session=f"other {number}")
    with pytest.raises(CorrectionsFull, match="looked through"):
        record_correction(path, "one more", 1, ["detect"], session="new")
    assert len(read_corrections(path)) == 5 and "mine" not in path.read_text()


def test_who_invents_sessions_fills_no_file_of_corrections(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "corrections.jsonl"
    monkeypatch.setattr(corrections, "MOST_OF_ADDRESS", 2)
    for number in range(2):
        record_correction(path, "again", 1, ["detect"], f"session {number}", "10.0.0.7")
    with pytest.raises(CorrectionsFull, match="enough for now"):
        record_correction(path, "again", 1, ["detect"], "session 2", "10.0.0.7")
    record_correction(path, "from elsewhere", 1, ["detect"], "session 2", "10.0.0.8")
    assert len(read_corrections(path)) == 3 and "10.0.0" not in path.read_text()


def test_only_what_the_owner_accepts_is_trained_on(tmp_path: Path) -> None:
    waiting, accepted = tmp_path / "corrections.jsonl", tmp_path / "accepted.jsonl"
    for text in ("good", "bad", "late", "later"):
        record_correction(waiting, text, 1, ["detect"], session="mine")

    def ask(phrase: Phrase) -> str:
        if phrase.text == "late":
            record_correction(waiting, "newest", 1, ["vqa"])  # the app goes on meanwhile
        return {"good": "y", "bad": "n"}.get(phrase.text, "q")

    assert review(waiting, accepted, ask) == 4
    assert [phrase.text for phrase in read_corrections(accepted)] == ["good"]
    assert sorted(phrase.text for phrase in read_corrections(waiting)) == ["late", "later", "newest"]
    assert review(tmp_path / "none.jsonl", accepted, ask) == 0


def test_corrections_change_what_the_router_learns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from train.router import training

    monkeypatch.setattr(training, "BATCH", 48)  # an eighth of it corrections
    corrections = [Phrase("zork the frobs", 1, frozenset({"compare"}))] * 16
    net = training.fit(tmp_path, steps=120, seed=0, corrections=corrections)
    assert (net(corrections).sigmoid().round() == training.targets(corrections)).all()


def test_numpy_and_torch_agree() -> None:
    import torch

    from train.router.training import RouterNet

    torch.manual_seed(0)
    net = RouterNet().eval()
    phrases = list(Grammar(5).phrases(40)) + [Phrase("", 1, frozenset())]
    router = Router(net.weights(), temperature=1.0, threshold=0.5)
    with torch.no_grad():
        expected = net(phrases).sigmoid().numpy()  # one batch: texts of different lengths side by side
    got = [list(router.probabilities(p.text, p.n_images).values()) for p in phrases]
    assert np.allclose(got, expected, atol=2e-3)


def test_the_grammar_leaves_no_template_marks_and_keeps_validation_apart() -> None:
    grammar = Grammar(3, "train")
    for slot in ("caption", "detect", "vqa", "compare", "before", "after", "compare-many", "vqa-tail"):
        for _ in range(300):
            assert not re.search(r"[(){}|]", grammar.fill(slot))
    held_out = Grammar(3, "validation")
    for name in Grammar.TOP:
        assert held_out.slots[name]
        assert not set(held_out.slots[name]) & set(grammar.slots[name])


def test_the_same_seed_draws_the_same_requests() -> None:
    first, second = (list(Grammar(8).phrases(50)) for _ in range(2))
    assert first == second
    grammar = Grammar(9)
    grammar.random = random.Random(8)
    assert list(grammar.phrases(50)) == first
