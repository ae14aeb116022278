"""Several branches in one row: all that is asked about an image stands behind the image's tokens, in blocks that do not
see each other."""

from collections.abc import Iterable, Sequence

import torch

from vlm_demo.model import MiniVLMProcessor

Columns = tuple[list, ...]  # ids, labels, positions, block, weights and kinds of a row, a number for each position


class Row:
    """The images (block 0) and the conversations about them (blocks 1, 2, ...). Positions of each conversation go on
    where the images end."""

    def __init__(self, processor: MiniVLMProcessor, n_images: int) -> None:
        self.processor = processor
        tokenizer = processor.tokenizer
        ids = [tokenizer.bos_token_id, tokenizer.convert_tokens_to_ids("<|user|>")]
        for number in range(1, n_images + 1):
            ids += processor.encode_image(number)
        self.start, self.blocks = len(ids), 0
        empty = [0] * self.start
        self.columns: Columns = (ids, [-100] * self.start, list(range(self.start)), [*empty], [0.0] * self.start, empty)

    def __len__(self) -> int:
        return len(self.columns[0])

    def encode(self, turns: Iterable[tuple[str, str, str]]) -> tuple[list[int], list[int]]:
        """Ids and labels of a conversation, (task, question, answer) in turn, as `add` takes them."""
        chat = []
        for task, question, answer in turns:
            chat += [{"role": "user", "task": task, "text": question}, {"role": "assistant", "text": answer}]
        # Without images a chat starts with the first two tokens of the row.
        ids, labels = (column[2:] for column in self.processor.encode_chat_with_labels(chat, 0))
        return ids, labels

    def add(self, ids: list[int], labels: list[int], weight: float, kind: int) -> None:
        """Add a conversation, whose answers weigh `weight` in the loss, all together."""
        self.blocks += 1
        n, answers = len(ids), sum(label != -100 for label in labels)
        positions = range(self.start, self.start + n)
        added = (ids, labels, positions, [self.blocks] * n, [weight / answers] * n, [kind] * n)
        for column, more in zip(self.columns, added, strict=True):
            column += more


def padded(rows: Sequence[Columns], multiple: int) -> dict[str, torch.Tensor]:
    """Rows padded to the longest, and to a multiple, so that there are few different shapes: `input_ids`, `labels`,
    `position_ids`, `block`, `weights`, `kinds`, each `[B, T]`."""
    length = -(-max(len(ids) for ids, *_ in rows) // multiple) * multiple
    zeros = torch.zeros(len(rows), length, dtype=torch.long)
    batch = {
        "input_ids": zeros.clone(),
        "labels": torch.full_like(zeros, -100),
        "position_ids": zeros.clone(),
        "block": torch.full_like(zeros, -1),
        "weights": torch.zeros(len(rows), length),
        "kinds": zeros,
    }
    for number, columns in enumerate(rows):
        for target, column in zip(batch.values(), columns, strict=True):
            target[number, : len(column)] = torch.tensor(column, dtype=target.dtype)
    return batch


def block_mask(block: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """What is added to the scores `[B, 1, T, T]`: each position sees the images and its own block, up to itself.

    `block` `[B, T]`: 0 for the images, 1, 2, ... for the branches, -1 for padding.
    """
    length = block.shape[1]
    same = (block[:, :, None] == block[:, None, :]) | (block[:, None, :] == 0)  # [B, T, T]
    mask = same & torch.ones(length, length, dtype=torch.bool, device=block.device).tril() & (block >= 0)[:, None, :]
    mask |= torch.eye(length, dtype=torch.bool, device=block.device)  # padding sees itself: no row is empty
    return torch.zeros(mask.shape, dtype=dtype, device=block.device).masked_fill_(~mask, -1e4)[:, None]
