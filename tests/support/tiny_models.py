"""Tiny chat models, built from their configuration in about a second and saved as folders for any loader.

Only the vocabulary is trained. The output head is solved so that each word is followed by the words of a table. The
layers between are random, so the choice among those words depends on the whole prompt and on the image. The result is
text that ends, with words that the pipelines understand.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    CLIPImageProcessor,
    CLIPVisionConfig,
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

START, END, PAD, IMAGE = "<s>", "</s>", "<pad>", "<image>"
USER, SYSTEM, ASSISTANT = "<|user|>", "<|system|>", "<|says|>"
VOCABULARY = 600
_WIDTH = 128
_LIKELY = 20.0
"""Logit of a possible next word, before the random layers change it; all other logits are about 0."""
_SURE = 1.5
"""Distance between the logits of yes and no."""
_SIGNS = {"blue": 1, "navy": 1, "red": -1, "maroon": -1, "white": 0, "green": 0}

_OBJECTS = ("hat", "dog", "tree", "ball")
_SUBJECTS = ("man", "woman")

ANSWERS: Mapping[str, tuple[str, ...]] = {
    ASSISTANT: ("Yes", "No", "yes", "no"),
    **dict.fromkeys(("Yes", "No", "yes", "no"), (".", END)),
    ".": (END,),
}
"""Possible next words of the judge."""
WRITES: Mapping[str, tuple[str, ...]] = {
    ASSISTANT: (*("a",) * 4, *_OBJECTS),
    "a": tuple(f" {word}" for word in _SUBJECTS),
    **{word: (END,) for word in _OBJECTS},
    **{f" {word}": (" with",) for word in _SUBJECTS},
    " with": (" no",),
    " no": tuple(f" {word}" for word in _OBJECTS),
    **{f" {word}": (END,) for word in _OBJECTS},
}
"""Possible next words of the proposer: one object, or a sentence that negates one."""

_TEMPLATE = """\
{{ bos_token }}{% for message in messages %}\
{{ '<|says|>' if message['role'] == 'assistant' else '<|' + message['role'] + '|>' }}\
{% if message['content'] is string %}{{ message['content'] }}\
{% else %}{% for part in message['content'] %}\
{{ '<image>\n' if part['type'] == 'image' else part['text'] }}\
{% endfor %}{% endif %}{{ eos_token }}\
{% endfor %}{% if add_generation_prompt %}{{ '<|says|>' }}{% endif %}"""


def make_llama(folder: Path, *, seed: int = 0) -> Path:
    """Save a text model with a chat template in `folder`."""
    tokenizer, config = _tokenizer(), _text_config()
    torch.manual_seed(seed)
    model = LlamaForCausalLM(config)
    _speak(model.model.embed_tokens.weight, model.lm_head.weight, model.model.layers, tokenizer, WRITES)
    model.generation_config = _generation(do_sample=True, temperature=0.6, top_p=0.9)
    model.save_pretrained(folder)
    tokenizer.chat_template = _TEMPLATE
    tokenizer.save_pretrained(folder)
    return folder


def make_llava(folder: Path, *, seed: int = 3) -> Path:
    """Save a model that answers yes or no about an image, with a chat template, in `folder`."""
    tokenizer = _tokenizer()
    vision = CLIPVisionConfig(
        hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=1, image_size=32, patch_size=8
    )
    image = tokenizer.convert_tokens_to_ids(IMAGE)
    torch.manual_seed(seed)
    model = LlavaForConditionalGeneration(
        LlavaConfig(vision_config=vision, text_config=_text_config(), image_token_id=image, image_seq_length=16)
    )
    language = model.model.language_model
    _speak(language.embed_tokens.weight, model.lm_head.weight, language.layers, tokenizer, ANSWERS)
    _see(model)
    pixels = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    processor = LlavaProcessor(
        image_processor=pixels,
        tokenizer=tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=_TEMPLATE,
    )
    _judge_by_colour(model, processor)
    model.generation_config = _generation()
    model.save_pretrained(folder)
    _name_as_published(folder / "model.safetensors")
    processor.save_pretrained(folder)
    return folder


def _name_as_published(weights: Path) -> None:
    """Rename the image tower's weights as in the published files, because vLLM knows no other names."""
    state = load_file(weights)
    # fmt: off
    save_file({re.sub(r"^vision_tower\.(?!vision_model\.)", "vision_tower.vision_model.", name): value
               for name, value in state.items()}, weights, metadata={"format": "pt"})
    # fmt: on


def _tokenizer() -> PreTrainedTokenizerFast:
    """Train a byte-level BPE tokenizer that covers every text; the words of the tables are one token each."""
    words = sorted({word for table in (ANSWERS, WRITES) for key, after in table.items() for word in (key, *after)})
    spoken = [word for word in words if not word.startswith("<")]
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[START, END, PAD, IMAGE, USER, SYSTEM, ASSISTANT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator([*spoken * 50, *_PROSE], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        bos_token=START,
        eos_token=END,
        pad_token=PAD,
        additional_special_tokens=[IMAGE, USER, SYSTEM, ASSISTANT],
        extra_special_tokens={"image_token": IMAGE},
        model_max_length=1024,
    )


_PROSE = (
    "Is there a person in this image? Answer only with 'yes' or 'no'.",
    "Name an object that is not mentioned in the caption, but is likely to be in the image corresponding to it.",
    "You are a helpful chatbot that answers with only one word. Add the absence of the concept to the caption.",
    "A photo of a street with people, bicycles and a red umbrella next to the water on a sunny day, without cars.",
    "The picture shows a table, two chairs and nobody; write the sentence again so that it says what is missing.",
)


def _text_config() -> LlamaConfig:
    return LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=_WIDTH,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=64,
        max_position_embeddings=1024,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=2,
        tie_word_embeddings=False,
    )


def _generation(**sampling: float | bool) -> GenerationConfig:
    return GenerationConfig(bos_token_id=0, eos_token_id=1, pad_token_id=2, **sampling)


@torch.no_grad()
def _speak(
    embedding: torch.Tensor,
    head: torch.Tensor,
    layers: torch.nn.ModuleList,
    tokenizer: PreTrainedTokenizerFast,
    table: Mapping[str, tuple[str, ...]],
) -> None:
    """Set the weights so that words follow each other as in `table`, with a choice that depends on the prompt."""
    embedding.normal_()
    for layer in layers:
        for weight in layer.parameters():
            if weight.ndim == 2:
                weight.normal_(std=0.1)
        layer.self_attn.q_proj.weight.mul_(2.0)
    wanted = torch.zeros(VOCABULARY, VOCABULARY)  # (now, next)
    for word, after in table.items():
        for follower, times in Counter(after).items():
            wanted[_one(tokenizer, word), _one(tokenizer, follower)] = _LIKELY + math.log(times)
    known = [_one(tokenizer, word) for word in table]
    head.normal_(std=0.02).add_((torch.linalg.pinv(embedding[known]) @ wanted[known]).T)


def _one(tokenizer: PreTrainedTokenizerFast, word: str) -> int:
    (number,) = tokenizer(word, add_special_tokens=False)["input_ids"]
    return int(number)


@torch.no_grad()
def _judge_by_colour(model: LlavaForConditionalGeneration, processor: LlavaProcessor) -> None:
    """Fit yes/no to the image: blue images mostly get yes, red ones no.

    A ridge regression from the last hidden state to the difference of the two logits.
    """
    prompts = [(text, colour, sign) for text in _PROSE for colour, sign in _SIGNS.items()]
    inputs = processor(
        text=[f"{START}{USER}{IMAGE}\n{text}{END}{ASSISTANT}" for text, _, _ in prompts],
        images=[Image.new("RGB", (50, 40), colour) for _, colour, _ in prompts],
        add_special_tokens=False,
        padding=True,
        padding_side="left",
        return_tensors="pt",
    )
    seen = model.model(**inputs).last_hidden_state[:, -1]  # (N, D)
    wanted = torch.tensor([float(sign) for _, _, sign in prompts]) * _SURE
    way = torch.linalg.solve(seen.T @ seen + 0.5 * torch.eye(_WIDTH), seen.T @ wanted)
    for sign, words in ((1, ("Yes", "yes")), (-1, ("No", "no"))):
        model.lm_head.weight[[_one(processor.tokenizer, word) for word in words]] += sign * way


@torch.no_grad()
def _see(model: LlavaForConditionalGeneration) -> None:
    """Increase the influence of the image."""
    for name, weight in model.model.vision_tower.named_parameters():
        if weight.ndim >= 2 and "position" not in name:
            weight.normal_(std=0.15)
    for weight in model.model.multi_modal_projector.parameters():
        if weight.ndim == 2:
            weight.normal_(std=0.25)
