"""Answers of the model server on loopback: determined by the request alone, and valid for each pipeline stage."""

from __future__ import annotations

import hashlib
import json
import math
import random
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from support.model_server import Behaviour

# fmt: off
NOUNS = (
    "hat", "umbrella", "dog", "bench", "bicycle", "clock", "kite", "backpack", "bottle", "chair", "lamp", "boat",
    "bird", "car", "fence", "flag", "ladder", "mirror", "pillow", "plate", "rug", "scarf", "shovel", "spoon", "sign",
    "statue", "suitcase", "table", "tent", "towel", "tree", "vase", "wagon", "wallet", "wheel", "window",
)
# fmt: on
_YES_NO = re.compile(r"\byes\b.{0,40}\bno\b", re.I | re.S)
_REWRITE = re.compile(
    r"absence of (?:the |an? )?(?P<thing>.+?) (?:to|in|into) the caption\W+(?P<caption>.+?)['\"]?\.?$", re.S
)
_OURS = re.compile(r"^Caption: (?P<caption>.+?)\n(?:Not there|Question): (?P<thing>.+?)(?:\n|$)", re.S)


def number(*values: object) -> float:
    """Return a number in [0, 1), deterministic in `values`."""
    digest = hashlib.blake2b(json.dumps(values, default=str).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def parse_request(request: dict[str, Any]) -> tuple[str, str]:
    """Return the last user text and the image URL."""
    content = [turn for turn in request["messages"] if turn["role"] == "user"][-1]["content"]
    if isinstance(content, str):
        return content, ""
    text = "".join(part.get("text", "") for part in content if part["type"] == "text")
    return text, next((part["image_url"]["url"] for part in content if part["type"] == "image_url"), "")


def p_yes(question: str, picture: str, present: float) -> float:
    """Return P(yes): whole captions are true; presence is deterministic in question and image."""
    if "caption" in question.lower() or "sentence" in question.lower():
        return 0.97
    there = number("there", question, picture) < present
    sure = 0.55 + 0.44 * number("sure", question, picture)
    return sure if there else 1 - sure


def text_answer(text: str, picture: str, draw: float, present: float) -> str:
    """Return the text of the answer."""
    rewrite = _REWRITE.search(text.strip()) or _OURS.search(text.strip())
    if rewrite:
        return f"{rewrite['caption']} with no {rewrite['thing']}"
    if _YES_NO.search(text):
        return "Yes" if p_yes(text, picture, present) >= 0.5 else "No"
    if re.search(r"\bobject\b|\bvisible thing\b", text, re.I):
        return NOUNS[int(number(text, draw) * len(NOUNS))]
    return f"It is {NOUNS[int(number(text, picture, draw) * len(NOUNS))]} number {int(1e6 * number(text, draw))} of all"


def chat(request: dict[str, Any], behaviour: Behaviour, fault: str) -> dict[str, Any]:
    """A chat completion."""
    text, picture = parse_request(request)
    if "picture" not in behaviour.honours:
        picture = ""
    seed = request.get("seed") if "seed" in behaviour.honours else None
    draw = 0.0
    if request.get("temperature", 1) > 0:
        draw = number("draw", seed) if seed is not None else random.random()
    reply, ended = constrained(request, behaviour, text_answer(text, picture, draw, behaviour.present))
    message: dict[str, Any] = {"role": "assistant", "content": reply}
    if fault == "refusal":
        message, ended = {"role": "assistant", "content": None, "refusal": "I will not say that"}, "stop"
    choice = {
        "index": 0,
        "message": {**message, "content": ""} if fault == "empty" else message,
        "finish_reason": "length" if fault == "length" else ended,
        "logprobs": None,
    }
    if request.get("logprobs") and behaviour.logprobs and fault != "no_logprobs":
        choice["logprobs"] = logprobs(reply, p_yes(text, picture, behaviour.present), request.get("top_logprobs", 0))
    systems = sum(len(turn["content"]) for turn in request["messages"] if turn["role"] == "system")
    known = systems if "system" in behaviour.honours else 0
    usage = {"prompt_tokens": (len(text) + known) // 4 + 100 * bool(picture), "completion_tokens": len(reply.split())}
    return {"id": "x", "object": "chat.completion", "model": request.get("model"), "choices": [choice], "usage": usage}


def constrained(request: dict[str, Any], behaviour: Behaviour, text: str) -> tuple[str, str]:
    """The answer within what the request allows, and why it ended."""
    choice = request.get("structured_outputs", {}).get("choice")
    if choice and "choice" in behaviour.honours:
        return str(choice[0]), "stop"
    schema = request.get("response_format", {}).get("json_schema", {}).get("schema")
    if schema and "json_schema" in behaviour.honours:
        return json.dumps({name: field["enum"][0] for name, field in schema["properties"].items()}), "stop"
    for stop in request.get("stop") or ():
        if "stop" in behaviour.honours:
            text = text.split(stop, maxsplit=1)[0]
    most = request.get("max_tokens") or request.get("max_completion_tokens")
    words = text.split()
    if most and len(words) > most and "max_tokens" in behaviour.honours:
        return " ".join(words[:most]), "length"
    return text, "stop"


def logprobs(text: str, p: float, top: int) -> dict[str, Any]:
    """Log-probabilities of the first token, as vLLM sends them: a fiftieth goes to other words."""
    shares = {"Yes": 0.9 * 0.98 * p, " yes": 0.1 * 0.98 * p, "No": 0.98 * (1 - p), "The": 0.015, "A": 0.005}
    entries = [
        {"token": token, "logprob": math.log(max(share, 1e-12)), "bytes": list(token.encode())}
        for token, share in sorted(shares.items(), key=lambda pair: -pair[1])
    ]
    first = next((entry for entry in entries if entry["token"] == text), entries[0])
    return {"content": [{**first, "top_logprobs": entries[:top]}]}


def decide(request: dict[str, Any], behaviour: Behaviour, fault: str) -> dict[str, Any]:
    """Typed decisions."""
    shown = request.get(behaviour.decisions)
    picture = json.dumps(shown) if shown and "picture" in behaviour.honours else ""
    answers = {
        name: {"type": "noul", "noul": p_yes(str(question.get("instructions")), picture, behaviour.present)}
        for name, question in request["questions"].items()
    }
    if fault == "no_logprobs":
        answers.popitem()
    response: dict[str, Any] = {"model": request.get("model"), "answers": answers}
    if behaviour.decisions == "images":
        response["diagnostics"] = {name: {"label_mass": 0.9, "argmax_is_label": True} for name in answers}
    return {**response, "usage": {"input_tokens": 100 + 10 * len(answers), "output_tokens": 0}}
