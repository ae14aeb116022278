"""The table of tasks: what each is called, its tag, its prompts and its limits."""

from collections.abc import Sequence
from dataclasses import dataclass, field

BOX_STEPS = 200  # of a coordinate from 0 to 1, as boxes are written


@dataclass(frozen=True)
class Task:
    """One job of the model.

    `tag` is the model's own word for the job, `prompts` maps the choices a page offers to the text behind the tag,
    `max_new_tokens` is the default limit of an answer. `ability` completes "This model cannot ...".
    """

    name: str
    title: str
    tag: str
    min_images: int
    max_images: int
    max_new_tokens: int
    prompts: dict[str, str] = field(default_factory=dict)
    ability: str = ""


TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task(
            "caption",
            "Caption",
            "[CAPTION]",
            1,
            1,
            160,
            {"brief": "brief", "detailed": "detailed", "alt": "alt text"},
            ability="write captions",
        ),
        Task("detect", "Detect", "[OD]", 1, 1, 160, {"all": ""}, ability="write boxes"),
        Task("vqa", "Chat", "[VQA]", 1, 8, 96, ability="answer questions"),
        Task(
            "compare",
            "Compare",
            "[COMPARE]",
            2,
            4,
            160,
            {
                "change": "What changed?",
                "boxes": "Box what changed.",
                "story": "What happens across these images?",
            },
            ability="compare images",
        ),
    )
}


def task_prompt(task: str, text: str = "") -> str:
    """The prompt as a person could type it: the task's tag, then the words, such as `[VQA] How many cats?`."""
    return f"{TASKS[task].tag} {text}".strip()


def box_question(box: Sequence[float]) -> str:
    """The question after what is in a box [x, y, width, height], 0 to 1, put to a model that learned it."""
    return f"What is in the box [{', '.join(f'{round(value * BOX_STEPS) / BOX_STEPS:.3f}' for value in box)}]?"
