"""The transformers engine with tiny models."""

from __future__ import annotations

import asyncio
import json
import shutil
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio
from PIL import Image
from support.model_requests import answers, settings, surroundings, write, yes_no

from curation_db.enums import Method
from workbench.errors import UsageError
from workbench.generation.budget import Budget, BudgetReached
from workbench.generation.engines.local import engine as transformers_local
from workbench.generation.engines.local.engine import LocalEngine
from workbench.generation.engines.protocol import EngineStopped
from workbench.generation.engines.requests import ImagePayload, ModelAnswer, ModelRequest, RequestFailure, Sampling
from workbench.installation import install_hint

pytestmark = pytest.mark.asyncio(loop_scope="module")

TEXTS = (
    "Is there a dog in this image?",
    "yes or no",
    "Is there an umbrella in this image? Answer only with 'yes' or 'no'. " * 4,
    "Is there a hat in this image?",
    "Is the woman next to the red bench wearing anything on her head that could be a hat?",
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def vlm(llava: Path) -> AsyncIterator[LocalEngine]:
    """The model that looks, loaded."""
    engine = await transformers_local.make(settings("transformers", llava), surroundings())
    yield engine
    await engine.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def llm(llama: Path) -> AsyncIterator[LocalEngine]:
    """The model that writes, loaded."""
    engine = await transformers_local.make(settings("transformers", llama), surroundings())
    yield engine
    await engine.close()


async def one_by_one(engine: LocalEngine, group: list[ModelRequest]) -> list[ModelAnswer]:
    """Each asked alone."""
    return [(await answers(engine, [request]))[0] for request in group]


async def test_the_probability_does_not_depend_on_the_batch(vlm: LocalEngine, colours: dict[str, Path]) -> None:
    group = [yes_no(text, picture) for picture in (*colours.values(), None) for text in TEXTS]
    together, alone = await answers(vlm, group), await one_by_one(vlm, group)
    for batched, single in zip(together, alone, strict=True):
        assert batched.p == pytest.approx(single.p, abs=1e-5)
        assert batched.label_mass == pytest.approx(single.label_mass, abs=1e-5)
        assert (batched.text, batched.prompt_tokens) == (single.text, single.prompt_tokens)
    assert {answer.method for answer in together} == {Method.LOGPROBS}
    assert all(0.5 < (answer.label_mass or 0) < 1 for answer in together)


async def test_the_image_changes_the_answer(vlm: LocalEngine, colours: dict[str, Path]) -> None:
    red, blue, green, none = await answers(
        vlm, [yes_no(TEXTS[0], each) for each in (colours["red"], colours["blue"], colours["green"], None)]
    )
    assert len({round(answer.p or 0, 2) for answer in (red, blue, green, none)}) == 4
    assert blue.text in {"Yes", "yes"}


async def test_the_probability_is_the_share_of_the_yes_tokens(
    vlm: LocalEngine, llava: Path, colours: dict[str, Path]
) -> None:
    """Against the plain way: one prompt, no padding, the softmax of the last position."""
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor

    (answer,) = await answers(vlm, [yes_no(TEXTS[0], colours["red"])])
    processor, model = AutoProcessor.from_pretrained(llava), AutoModelForImageTextToText.from_pretrained(llava)
    chat = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": TEXTS[0]}]}]
    text = processor.apply_chat_template(chat, add_generation_prompt=True)
    inputs = processor(images=Image.open(colours["red"]), text=text, add_special_tokens=False, return_tensors="pt")
    with torch.no_grad():
        shares = model(**inputs).logits[0, -1].softmax(-1)
    verdicts = {processor.tokenizer.decode([i]).strip().lower(): 0.0 for i in range(600)}
    for number in range(600):
        verdicts[processor.tokenizer.decode([number]).strip().lower()] += float(shares[number])
    yes, no = verdicts["yes"] + verdicts["y"] + verdicts.get("ye", 0.0), verdicts["no"] + verdicts["n"]
    assert answer.p == pytest.approx(yes / (yes + no), abs=1e-5)
    assert answer.label_mass == pytest.approx(yes + no, abs=1e-5)
    assert answer.prompt_tokens == inputs["input_ids"].shape[1]


async def test_a_text_does_not_depend_on_the_batch(llm: LocalEngine) -> None:
    group = [
        write(text, seed=seed, temperature=temperature, top_p=top_p, max_tokens=20 + seed)
        for seed, (temperature, top_p) in enumerate([(0.0, 1.0), (0.6, 0.9), (1.0, 1.0), (1.5, 0.5)])
        for text in TEXTS
    ]
    together, alone = await answers(llm, group), await one_by_one(llm, group)
    assert {a.error for a in together} <= {"", RequestFailure.TOO_LONG, RequestFailure.EMPTY}
    assert sum(not a.failed for a in together) > len(group) / 2
    assert [a.text for a in together] == [a.text for a in alone]
    assert [a.completion_tokens for a in together] == [a.completion_tokens for a in alone]
    backwards = await answers(llm, group[::-1])
    assert [a.text for a in backwards[::-1]] == [a.text for a in alone]


async def test_half_precision_gives_similar_probabilities(
    llava: Path, vlm: LocalEngine, colours: dict[str, Path]
) -> None:
    engine = await transformers_local.make(settings("transformers", llava, dtype="bfloat16"), surroundings())
    group = [yes_no(TEXTS[0], picture) for picture in colours.values()]
    try:
        rough = await answers(engine, group)
    finally:
        await engine.close()
    for coarse, fine in zip(rough, await answers(vlm, group), strict=True):
        assert coarse.p == pytest.approx(fine.p, abs=0.1)


async def test_seed_and_temperature_are_honoured(llm: LocalEngine) -> None:
    drawn = await answers(llm, [write("Name an object", seed=seed, temperature=1.2, top_p=1.0) for seed in range(12)])
    assert len({answer.text for answer in drawn}) > 4
    again = await answers(llm, [write("Name an object", seed=3, temperature=1.2, top_p=1.0)] * 3)
    assert {answer.text for answer in again} == {drawn[3].text}
    greedy = await answers(llm, [write("Name an object", seed=seed, temperature=0) for seed in range(4)])
    narrow = await answers(llm, [write("Name an object", seed=seed, top_p=1e-6) for seed in range(4)])
    assert len({answer.text for answer in (*greedy, *narrow)}) == 1


async def test_waiting_groups_share_batches(llava: Path, colours: dict[str, Path]) -> None:
    engine = await transformers_local.make(settings("transformers", llava, batch=8), surroundings())
    sizes: list[int] = []
    whole = engine._model.answer
    engine._model.answer = lambda batch, stop: (sizes.append(len(batch)), whole(batch, stop))[1]  # type: ignore[method-assign]
    try:
        groups = [[yes_no(text, picture) for text in TEXTS[:2]] for picture in (*colours.values(), *colours.values())]
        await asyncio.gather(*(answers(engine, group) for group in groups))
    finally:
        await engine.close()
    assert sum(sizes) == 16
    assert max(sizes) == 8


async def test_the_event_loop_runs_while_the_model_computes(llm: LocalEngine) -> None:
    beats = 0

    async def beat() -> None:
        nonlocal beats
        while True:
            await asyncio.sleep(0.001)
            beats += 1

    heart = asyncio.create_task(beat())
    await answers(llm, [write(text, temperature=0.5) for text in TEXTS])
    heart.cancel()
    assert beats > 3


async def test_a_text_without_end_is_too_long(llm: LocalEngine) -> None:
    (answer,) = await answers(llm, [write("Name an object", max_tokens=1, temperature=0)])
    assert answer.error == RequestFailure.TOO_LONG
    assert answer.completion_tokens == 1


async def test_unavailable_images(vlm: LocalEngine, llm: LocalEngine, colours: dict[str, Path], tmp_path: Path) -> None:
    bad, cut, noise = tmp_path / "bad.jpg", tmp_path / "cut.png", tmp_path / "noise.png"
    bad.write_bytes(b"no picture")
    Image.effect_noise((200, 200), 90).save(noise)
    cut.write_bytes(noise.read_bytes()[:9000])
    missing = ImagePayload(key="s/gone", path=tmp_path / "gone.jpg")
    requests = [yes_no("x", each) for each in (ImagePayload(key="s/none"), missing, bad, cut, colours["red"])]
    results = await answers(vlm, requests)
    assert [answer.error for answer in results] == [
        RequestFailure.PICTURE_MISSING,
        RequestFailure.PICTURE_MISSING,
        RequestFailure.PICTURE_BAD,
        RequestFailure.PICTURE_BAD,
        "",
    ]
    assert (await answers(llm, [yes_no("x", colours["red"])]))[0].error == RequestFailure.UNSUPPORTED


async def test_an_image_is_rotated_upright_and_a_blank_one_is_grey(vlm: LocalEngine, tmp_path: Path) -> None:
    lying, upright = tmp_path / "lying.jpg", tmp_path / "upright.jpg"
    halves = Image.new("RGB", (64, 64), "red")
    halves.paste("blue", (0, 0, 64, 32))
    halves.save(upright, quality=95)
    exif = Image.Exif()
    exif[0x0112] = 6
    halves.transpose(Image.Transpose.ROTATE_90).save(lying, quality=95, exif=exif)
    grey = tmp_path / "grey.png"
    Image.new("RGB", (30, 30), (127, 127, 127)).save(grey)
    blank = ImagePayload(key="s/blank", blank=True)
    results = await answers(vlm, [yes_no(TEXTS[0], each) for each in (lying, upright, blank, grey)])
    assert results[0].p == pytest.approx(results[1].p, abs=0.02)
    assert results[2].p == pytest.approx(results[3].p, abs=1e-5)
    assert abs((results[2].p or 0) - (results[1].p or 0)) > 0.02


async def test_raw_prompts_bypass_the_template(llava: Path, colours: dict[str, Path]) -> None:
    """Published as one string: what is told to the tokenizer is that string, begun as the tokenizer begins texts."""
    raw = "USER: <image>\nIs there dog in this image? Answer only with 'yes' or 'no'. ASSISTANT:"
    request = yes_no(TEXTS[0], colours["red"], raw=raw)
    engine_settings = settings("transformers", llava, raw_prompts=True)
    engine, plain = [
        await transformers_local.make(each, surroundings())
        for each in (engine_settings, replace(engine_settings, raw_prompts=False))
    ]
    try:
        (prepared,), (templated,) = engine._prepare([request]), plain._prepare([request])
        (with_raw, without), (as_chat,) = (
            await answers(engine, [request, replace(request, raw=None)]),
            await answers(plain, [request]),
        )
    finally:
        await engine.close()
        await plain.close()
    assert not isinstance(prepared, ModelAnswer)
    assert prepared.text == raw
    assert not isinstance(templated, ModelAnswer)
    assert templated.text == f"<s><|user|><image>\n{TEXTS[0]}</s><|says|>"
    assert with_raw.p != pytest.approx(as_chat.p, abs=1e-3)
    assert without.p == pytest.approx(as_chat.p, abs=1e-5)


async def test_a_template_without_system_role_gets_the_text_in_the_user_message(llama: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(llama, tmp_path / "strict")
    (folder / "chat_template.jinja").write_text(
        "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('no system') }}"
        "{% endif %}[INST] {{ m['content'] }} [/INST]{% endfor %}"
    )
    engine = await transformers_local.make(settings("transformers", folder), surroundings())
    try:
        (prepared,) = engine._prepare([write("Name one.", system="Be short.")])
    finally:
        await engine.close()
    assert not isinstance(prepared, ModelAnswer)
    assert prepared.text == "<s>[INST] Be short.\n\nName one. [/INST]"


async def test_out_of_memory_halves_the_batch(llama: Path) -> None:
    import torch

    verdicts: list[str] = []
    engine = await transformers_local.make(
        settings("transformers", llama, batch=8), surroundings(notify=verdicts.append)
    )
    whole, sizes = engine._model.answer, []

    def narrow(batch, stop):  # type: ignore[no-untyped-def]  # no GPU to fill up here
        if len(batch) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        sizes.append(len(batch))
        return whole(batch, stop)

    engine._model.answer = narrow  # type: ignore[method-assign]
    group = [write("Name an object", seed=seed) for seed in range(12)]
    try:
        results = await answers(engine, group)
        engine._model.answer = whole  # type: ignore[method-assign]
        assert [answer.text for answer in results] == [answer.text for answer in await one_by_one(engine, group)]
    finally:
        await engine.close()
    assert max(sizes) == 2
    assert engine.capacity == 2
    assert verdicts == [f"tried: out of memory; the batch size is now {size}" for size in (4, 2)]


async def test_a_single_request_that_does_not_fit_stops_the_engine(llama: Path) -> None:
    engine = await transformers_local.make(settings("transformers", llama), surroundings())

    def full(batch, stop):  # type: ignore[no-untyped-def]
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.")

    engine._model.answer = full  # type: ignore[method-assign]
    try:
        with pytest.raises(EngineStopped, match="can't allocate memory"):
            await answers(engine, [write("x"), write("y")])
        with pytest.raises(EngineStopped):
            await answers(engine, [write("x")])
    finally:
        await engine.close()


async def test_a_budget_ends_a_group_after_the_counted_requests(llama: Path) -> None:
    budget = Budget(max_requests=2)
    engine = await transformers_local.make(settings("transformers", llama), surroundings(budget=budget))
    stored_indices: list[int] = []

    async def stored(index: int, answer: ModelAnswer) -> None:
        stored_indices.append(index)

    try:
        with pytest.raises(BudgetReached):
            await engine.answer([write("a"), write("b"), write("c")], stored)
    finally:
        await engine.close()
    assert sorted(stored_indices) == [0, 1]
    assert budget.tokens > 0


async def test_closing_ends_a_long_answer(llama: Path) -> None:
    engine = await transformers_local.make(settings("transformers", llama), surroundings())
    engine._model._model.generation_config.eos_token_id = None
    begun, steps = threading.Event(), 0

    def count(*_: object) -> None:
        nonlocal steps
        steps += 1
        begun.set()

    engine._model._model.register_forward_hook(count)
    long = Sampling(temperature=5.0, max_tokens=900, seed=1)
    task = asyncio.create_task(answers(engine, [replace(write("x"), sampling=long)]))
    assert await asyncio.to_thread(begun.wait, 30)
    task.cancel()
    await engine.close()
    assert steps < 900
    assert task.cancelled() or task.done()


async def test_the_name_contains_a_hash_of_the_weights(llm: LocalEngine, llama: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(llama, tmp_path / "llama")
    engine = await transformers_local.make(settings("transformers", copy), surroundings())
    await engine.close()
    assert engine.model == llm.model
    assert engine.model.startswith("llama@")
    from safetensors.torch import load_file, save_file

    state = load_file(copy / "model.safetensors")
    state["model.norm.weight"] *= 1.01
    save_file(state, copy / "model.safetensors", metadata={"format": "pt"})
    engine = await transformers_local.make(settings("transformers", "llama"), surroundings(folder=tmp_path))
    await engine.close()
    assert engine.model != llm.model


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"model": "/no/such/folder"}, "cannot be loaded"),
        ({"model": ""}, "names no model"),
        ({"dtype": "int3"}, "cannot be loaded: dtype 'int3'"),
        ({"device": "abacus"}, "cannot be loaded"),
        ({"method": "samples"}, "logprobs only"),
    ],
)
async def test_invalid_settings_give_a_one_line_error(
    llama: Path, options: dict[str, str], line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UsageError, match=line) as refused:
        await transformers_local.make(replace(settings("transformers", llama), **options), surroundings())  # type: ignore[arg-type]
    assert "\n" not in refused.value.message


async def test_a_model_without_chat_template_is_rejected(llama: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(llama, tmp_path / "base")
    (folder / "chat_template.jinja").unlink()
    tokenizer_config = json.loads((folder / "tokenizer_config.json").read_text())
    assert "chat_template" not in tokenizer_config
    with pytest.raises(UsageError, match="no chat template"):
        await transformers_local.make(settings("transformers", folder), surroundings())


async def test_a_missing_torch_gives_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match="need torch") as refused:
        await transformers_local.make(settings("transformers", "x"), surroundings())
    assert install_hint("train") in refused.value.hint
