"""MiniVLM's processor: images to pixel values, chats to token ids. The one place that knows the prompt layout.

    <s><|user|><image>...<image><image_1>[TAG] question<|assistant|> answer</s><|user|> follow-up<|assistant|>

An image is `image_seq_length` placeholders followed by its identifier. Everything that a person typed is encoded with
special tokens split, so no text can become a placeholder, a tag or the end of a turn.

`apply_chat_template` writes the same layout for messages as transformers and servers have them. A turn's task is that
of its key "task" or of the tag with which its text begins, else a question; special tokens in a text are broken up.
"""

import json
from typing import Any

from tokenizers import Tokenizer
from transformers import AutoImageProcessor, AutoTokenizer, ProcessorMixin
from transformers.image_utils import make_flat_list_of_images
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

MAX_IMAGES = 8
IMAGE_TOKEN = "<image>"
IDENTIFIERS = [f"<image_{k}>" for k in range(1, MAX_IMAGES + 1)]
USER_TOKEN = "<|user|>"
ASSISTANT_TOKEN = "<|assistant|>"
TASK_TAGS = {"caption": "[CAPTION]", "detect": "[OD]", "vqa": "[VQA]", "compare": "[COMPARE]"}
IGNORED = -100  # label of a position without loss


CHAT_TEMPLATE = """\
{%- set tags = TASK_TAGS -%}
{%- set special = SPECIAL_TOKENS -%}
{{- bos_token -}}
{%- for message in messages -%}
  {%- if message.role != ["user", "assistant"][loop.index0 % 2] -%}
    {{- raise_exception("Turns must alternate between user and assistant, the user first.") -}}
  {%- endif -%}
  {%- if message.task and message.task not in tags -%}
    {{- raise_exception("Unknown task " ~ message.task ~ "; this model knows " ~ tags | join(", ") ~ ".") -}}
  {%- endif -%}
  {%- set asks = message.role == "user" -%}
  {%- set turn = namespace(tag=tags[message.task] if message.task else none, text="") -%}
  {{- "<|user|>" if asks else "" -}}
  {%- set parts = [{"type": "text", "text": message.content}] if message.content is string else message.content -%}
  {%- for part in parts -%}
    {%- if part.type == "image" -%}
      {{- "<image>" -}}
    {%- else -%}
      {%- set turn.text = part.text | trim -%}
      {%- if asks and turn.tag is none -%}
        {%- for tag in tags.values() if turn.tag is none and turn.text.startswith(tag) -%}
          {%- set turn.tag = tag -%}
          {%- set turn.text = turn.text[tag | length:] | trim -%}
        {%- endfor -%}
        {%- set turn.tag = tags.vqa if turn.tag is none else turn.tag -%}
      {%- endif -%}
      {%- for token in special -%}
        {%- set turn.text = turn.text.replace(token, token[0] ~ " " ~ token[1:]) -%}
      {%- endfor -%}
      {{- (turn.tag or "") ~ (" " if turn.text else "") ~ turn.text -}}
      {%- set turn.tag = "" -%}
    {%- endif -%}
  {%- endfor -%}
  {%- if not asks -%}
    {{- eos_token -}}
  {%- else -%}
    {{- tags.vqa if turn.tag is none else turn.tag -}}
    {{- "<|assistant|>" if add_generation_prompt or not loop.last else "" -}}
  {%- endif -%}
{%- endfor -%}
"""


def special_tokens(task_tags: dict[str, str] = TASK_TAGS) -> list[str]:
    """The special tokens of the layout, without the tokenizer's own <pad>, <s> and </s>."""
    return [IMAGE_TOKEN, *IDENTIFIERS, USER_TOKEN, ASSISTANT_TOKEN, *task_tags.values()]


class MiniVLMProcessor(ProcessorMixin):
    """
    Args:
        image_processor: Resizes to one fixed size without cropping, so that boxes stay right.
        tokenizer: A fast tokenizer with <s>, </s>, <pad> of its own names and all `special_tokens(task_tags)`; it is
            set to pad on the left, as generation needs.
        image_seq_length: Image tokens per image, as in the model's config.
        task_tags: Task name to its tag, a special token.
    """

    text_kwargs = {"padding": True, "return_token_type_ids": False}

    def __init__(
        self,
        image_processor=None,
        tokenizer=None,
        image_seq_length: int = 196,
        task_tags: dict[str, str] | None = None,
        chat_template: str | None = None,
    ):
        self.image_seq_length = image_seq_length
        self.task_tags = dict(TASK_TAGS if task_tags is None else task_tags)
        tokenizer.padding_side = "left"
        special = {str(token) for token in tokenizer.added_tokens_decoder.values() if token.special}
        super().__init__(image_processor, tokenizer, chat_template=chat_template or self._chat_template(special))
        self.image_token = IMAGE_TOKEN
        self.image_token_id = self._token_id(IMAGE_TOKEN)
        missing = [token for token in special_tokens(self.task_tags) if token not in special]
        missing += [name for name in ("bos_token", "eos_token", "pad_token") if getattr(tokenizer, name) is None]
        if missing:
            raise ValueError(f"The tokenizer lacks special tokens: {', '.join(missing)}.")
        # A copy, because the tokenizer's own switch for splitting special tokens is shared by all threads.
        self._text_encoder = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
        self._text_encoder.encode_special_tokens = True
        self._text_encoder.no_padding()
        self._text_encoder.no_truncation()

    @classmethod
    def from_backbones(
        cls, vision_name_or_path: str, text_name_or_path: str, image_seq_length: int
    ) -> "MiniVLMProcessor":
        """A processor for pretrained backbones: the vision model's size and normalisation, the language model's
        tokenizer with the special tokens of the layout added."""
        source = AutoImageProcessor.from_pretrained(vision_name_or_path, backend="pil")
        size = source.crop_size if getattr(source, "do_center_crop", False) else source.size
        side = size["height"] or size["shortest_edge"]
        image_processor = ViTImageProcessorPil(
            size={"height": side, "width": side}, image_mean=source.image_mean, image_std=source.image_std
        )
        tokenizer = AutoTokenizer.from_pretrained(text_name_or_path)
        tokenizer.add_special_tokens({"additional_special_tokens": special_tokens()})
        if tokenizer.pad_token is None:
            tokenizer.add_special_tokens({"pad_token": "<pad>"})
        return cls(image_processor, tokenizer, image_seq_length=image_seq_length)

    def _chat_template(self, special: set[str]) -> str:
        """The layout as Jinja, for messages as transformers and servers have them."""
        ordered = sorted(special, key=lambda token: (-len(token), token))
        template = CHAT_TEMPLATE.replace("TASK_TAGS", json.dumps(self.task_tags))
        return template.replace("SPECIAL_TOKENS", json.dumps(ordered))

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Copies and worker processes split special tokens too; a copied `Tokenizer` forgets the switch."""
        self.__dict__.update(state)
        self._text_encoder.encode_special_tokens = True

    # Prompt text with placeholders: processor(text=..., images=...)

    def validate_inputs(self, images=None, text=None, **kwargs) -> None:
        """Refuse texts and images that do not fit together, row by row where `images` holds a list for each row."""
        super().validate_inputs(images=images, text=text, **kwargs)
        if text is None:
            return
        counts = [sample.count(IMAGE_TOKEN) for sample in text]
        for count in counts:
            self._check_image_count(count)
        if isinstance(images, (list, tuple)) and images and isinstance(images[0], (list, tuple)):
            numbers = [len(make_flat_list_of_images(row)) if row else 0 for row in images]
            if numbers != counts:
                raise ValueError(f"The texts mention {counts} images, but {numbers} were given.")

    def replace_image_token(self, image_inputs: dict, image_idx: int, **kwargs) -> str:
        """The placeholders of one image; `get_text_with_replacements` adds the identifier."""
        return IMAGE_TOKEN * self.image_seq_length

    def get_text_with_replacements(self, text: list[str], images_replacements=(), *args, **kwargs):
        """Expand placeholders, each followed by its identifier, counted from 1 within each text."""
        replacements = iter(images_replacements)
        counts = [sample.count(IMAGE_TOKEN) for sample in text] if images_replacements else []
        numbered = [next(replacements) + IDENTIFIERS[k] for count in counts for k in range(count)]
        return super().get_text_with_replacements(text, numbered, *args, **kwargs)

    # Chats: encode_chat(turns, n_images)

    def encode_text(self, text: str) -> list[int]:
        """Token ids of a person's text, in which no special token is recognised."""
        return self._text_encoder.encode(text, add_special_tokens=False).ids

    def encode_image(self, number: int) -> list[int]:
        """Token ids of image `number` (from 1): `image_seq_length` placeholders and the identifier."""
        self._check_image_count(number)
        return [self.image_token_id] * self.image_seq_length + [self._token_id(IDENTIFIERS[number - 1])]

    def encode_chat(self, turns: list[dict[str, Any]], n_images: int) -> list[int]:
        """Token ids of a chat, images expanded.

        Args:
            turns: `{"role": "user", "task": "vqa" or None, "text": "how many cats?"}` and
                `{"role": "assistant", "text": "2"}` by turns, the user first. Instead of "text", a user turn may have
                "content", a list of `{"type": "image"}` and `{"type": "text", "text": ...}`, which places the images;
                without any such list all images open the first turn.
            n_images: Number of images in the chat, 0 to 8.

        Returns:
            Ids that end with <|assistant|>, ready for an answer, where the last turn is the user's, and with </s>
            where it is the assistant's.

        Raises:
            ValueError: Turns out of order, an unknown task, or a wrong number of images.
        """
        return self.encode_chat_with_labels(turns, n_images)[0]

    def encode_chat_with_labels(self, turns: list[dict[str, Any]], n_images: int) -> tuple[list[int], list[int]]:
        """`encode_chat`, and labels of the same length: the ids of the answers and their </s>, -100 elsewhere."""
        self._check_image_count(n_images)
        ids = [self.tokenizer.bos_token_id]
        labels = [IGNORED]
        mentioned = 0
        for index, (turn, parts) in enumerate(zip(turns, self._placed_parts(turns, n_images), strict=True)):
            if turn["role"] != ("user", "assistant")[index % 2]:
                raise ValueError("Turns must alternate between user and assistant, the user first.")
            if turn["role"] == "assistant":
                answer = self._spaced(turn["text"]) + [self.tokenizer.eos_token_id]
                ids += answer
                labels += answer
                continue
            ids.append(self._token_id(USER_TOKEN))
            tag = self._tag(turn.get("task"))
            for part in parts:
                if part["type"] == "image":
                    mentioned += 1
                    ids += self.encode_image(mentioned)
                    continue
                ids += tag + self._spaced(part["text"])
                tag = []
            ids += tag + [self._token_id(ASSISTANT_TOKEN)]
            labels += [IGNORED] * (len(ids) - len(labels))
        if mentioned != n_images:
            raise ValueError(f"The chat mentions {mentioned} images, but {n_images} were given.")
        return ids, labels

    def _placed_parts(self, turns: list[dict[str, Any]], n_images: int) -> list[list[dict[str, str]]]:
        """Each turn as typed parts; images that no turn places come first in the first turn."""
        if not turns:
            raise ValueError("A chat needs at least one turn.")
        parts = [turn["content"] if "content" in turn else [{"type": "text", "text": turn["text"]}] for turn in turns]
        if not any(part["type"] == "image" for turn_parts in parts for part in turn_parts):
            parts[0] = [{"type": "image"}] * n_images + parts[0]
        return parts

    def _spaced(self, text: str) -> list[int]:
        """Text after a special token starts with a space, so that a word has one token wherever it stands."""
        return self.encode_text(f" {text.strip()}") if text.strip() else []

    def _tag(self, task: str | None) -> list[int]:
        if task is None:
            return []
        if task not in self.task_tags:
            raise ValueError(f"Unknown task {task!r}; this model knows {', '.join(self.task_tags)}.")
        return [self._token_id(self.task_tags[task])]

    def _token_id(self, token: str) -> int:
        return self.tokenizer.convert_tokens_to_ids(token)

    def _check_image_count(self, count: int) -> None:
        if count > MAX_IMAGES:
            raise ValueError(f"{count} images in one text; at most {MAX_IMAGES} are possible.")


__all__ = ["MiniVLMProcessor"]
