"""What the tests of remote engines ask."""

from PIL import Image
from standin_server import ANSWER

from vlm_demo.images import load
from vlm_demo.results import Message, Request, SamplingParameters

IMAGE = load(Image.new("RGB", (64, 48), "navy"))
TEXT = "".join(ANSWER)
KEY = "sk-very-secret"


def request(task="vqa", text="how many cats?", images=(IMAGE,), **sampling):
    return Request(task, (Message("user", (*images, text)),), SamplingParameters(**sampling))


def ask(backend, **sampling):
    return backend.stream(request(**sampling))
