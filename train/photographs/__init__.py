"""The photograph model: pretrained backbones, joined and trained on real images."""
