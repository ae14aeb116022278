"""Several branches in one row: all that is asked about an image stands behind the image's tokens, in blocks that do not
see each other."""

import torch


def block_mask(block: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """What is added to the scores `[B, 1, T, T]`: each position sees the images and its own block, up to itself.

    `block` `[B, T]`: 0 for the images, 1, 2, ... for the branches, -1 for padding.
    """
    length = block.shape[1]
    same = (block[:, :, None] == block[:, None, :]) | (block[:, None, :] == 0)  # [B, T, T]
    mask = same & torch.ones(length, length, dtype=torch.bool, device=block.device).tril() & (block >= 0)[:, None, :]
    mask |= torch.eye(length, dtype=torch.bool, device=block.device)  # padding sees itself: no row is empty
    return torch.zeros(mask.shape, dtype=dtype, device=block.device).masked_fill_(~mask, -1e4)[:, None]
