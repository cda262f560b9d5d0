"""The servers of one engine: least load, one server per image, and servers that fail left out for a while.

An image stays on its server, whose prefix cache holds the image's tokens. A server that cannot be reached, refuses
access or refuses every request is left out; its calls move to the others, and it is tested again after a pause.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from workbench.errors import UsageError
from workbench.generation.budget import Budget, BudgetClosed
from workbench.generation.engines.http.client import HttpClient, TransportFailure, open_client
from workbench.generation.engines.http.limiter import Limiter
from workbench.generation.engines.http.retry import RetryPolicy
from workbench.generation.engines.http.stop_reasons import connection_error, refusal_error
from workbench.generation.engines.http.window import AdaptiveConcurrency
from workbench.generation.engines.openai.calls import EngineCall
from workbench.generation.engines.openai.models_endpoint import listed_models
from workbench.generation.engines.openai.request_loop import CallMoved, CallState, RequestLoop
from workbench.generation.engines.protocol import EngineContext, EngineStopped, StoreAnswer
from workbench.generation.engines.requests import RequestFailure
from workbench.workspace.settings.engines import EngineSettings
from workbench.workspace.settings.server_address import plain_url

_CONNECT_TRIES: Final = 3
_LIST_TRIES: Final = 8
"""Requests for the list of models that a server answers with an error like 503: 1.5 minutes with the default waits."""
_PAUSE_FACTOR: Final = 10
"""Pause of a server that is left out, in units of the retry policy's waiting times: 5 s, doubled up to 5 minutes."""
_IMAGES_REMEMBERED: Final = 4096


@dataclass(slots=True, eq=False)
class _Server:
    """One server."""

    settings: EngineSettings
    """With this server's address."""
    client: HttpClient
    limiter: Limiter = field(init=False)
    loop: RequestLoop = field(init=False)
    calls: int = 0
    """Calls in flight or waiting."""
    up: bool = True
    pauses: int = 0
    tested_at: float = 0.0
    """Time of the next test of a server that is left out."""
    test: asyncio.Task[None] | None = None

    @property
    def address(self) -> str:
        return plain_url(self.settings.url)

    @property
    def load(self) -> tuple[bool, float]:
        """Order of the servers: those that pause last, then by calls per slot."""
        return self.limiter.window.pauses > 0, (self.calls + 1) / self.limiter.window.limit


class ServerPool:
    """Sends calls to the servers of one engine; for one event loop."""

    def __init__(
        self,
        servers: Sequence[_Server],
        budget: Budget,
        policy: RetryPolicy,
        notify: Callable[[str], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._servers = tuple(servers)
        self._budget, self._policy, self._notify, self._clock = budget, policy, notify, clock
        self._by_image: OrderedDict[str, _Server] = OrderedDict()
        self.unanswered = 0
        """Number of requests of the calls that ended without an answer in the record."""
        for server in self._servers:
            self._start(server)
        budget.when_closed(self._refuse_waiting)

    @property
    def in_flight(self) -> int:
        """Number of requests that are sent, and whose answers are not yet in the record."""
        return sum(server.limiter.window.in_flight for server in self._servers)

    @property
    def capacity(self) -> int:
        """Current limit of requests in flight, over all servers that are not left out."""
        return sum(server.limiter.window.limit for server in self._servers if server.up)

    async def run(self, call: EngineCall, store_answer: StoreAnswer, image: str = "") -> None:
        """Send a call to the image's server, or to the one with the least load, until it is answered.

        Raises:
            EngineStopped: no server can answer further requests.
            BudgetReached: see `Engine.answer`.
        """
        state = CallState()
        try:
            await self._run(call, store_answer, image, state)
        finally:
            self.unanswered += state.sent

    async def _run(self, call: EngineCall, store_answer: StoreAnswer, image: str, state: CallState) -> None:
        failed: _Server | None = None
        while True:
            server = self._server_for(image, failed)
            server.calls += 1
            try:
                await server.loop.run(call, store_answer, state)
                return
            except CallMoved:
                state.moved, state.tries = True, 0
                failed = server
                self._by_image.pop(image, None)
            except EngineStopped as error:
                if not await self._is_replaced(server, error):
                    raise
            finally:
                server.calls -= 1

    async def close(self) -> None:
        """Close the connections."""
        for server in self._servers:
            server.limiter.close()
            if server.test is not None:
                server.test.cancel()
                await asyncio.gather(server.test, return_exceptions=True)
            await server.client.close()

    def _refuse_waiting(self) -> None:
        for server in self._servers:
            server.limiter.stop(BudgetClosed("the run is ending"))

    def _start(self, server: _Server) -> None:
        """Give a server a limiter and a request loop; those of a stopped server cannot be used again."""
        policy = self._policy
        window = AdaptiveConcurrency(
            server.settings.concurrency, first_pause=2 * policy.base, longest_pause=2 * policy.longest
        )
        server.limiter = Limiter(window, lambda: server.loop.stop_error())  # noqa: PLW0108 -- `loop` is set below
        server.loop = RequestLoop(
            server.settings,
            self._budget,
            server.client,
            server.limiter,
            policy,
            has_spare=lambda: any(other.up and other is not server for other in self._servers),
        )

    def _server_for(self, image: str, failed: _Server | None) -> _Server:
        if len(self._servers) == 1:
            return self._servers[0]
        for server in self._servers:
            if not server.up and server.test is None and self._clock() >= server.tested_at:
                server.test = asyncio.create_task(self._test(server))
        known = self._by_image.get(image) if image else None
        if known is not None and known.up:
            self._by_image.move_to_end(image)
            return known
        up = [server for server in self._servers if server.up and server is not failed]
        server = min(up or self._servers, key=lambda each: (not each.up, each.load))
        if image:
            self._by_image[image] = server
            if len(self._by_image) > _IMAGES_REMEMBERED:
                self._by_image.popitem(last=False)
        return server

    def leave_out(self, server: _Server, error: EngineStopped) -> None:
        """Send no further calls to a server until a test succeeds."""
        server.up = False
        self._pause(server)
        if len(self._servers) > 1:
            self._notify(f"{error.message}; this server is left out for now")

    async def _is_replaced(self, server: _Server, error: EngineStopped) -> bool:
        """Leave out a stopped server, and return whether another one is up.

        Before the last server is given up, those that were left out earlier are tested without a pause.
        """
        if server.up and server.limiter.stopped.done():  # it was not started again in the meantime
            self.leave_out(server, error)
        if any(each.up for each in self._servers):
            return True
        others = [each for each in self._servers if each is not server]
        await asyncio.gather(*(self._test(each) for each in others))
        return any(each.up for each in self._servers)

    def _pause(self, server: _Server) -> None:
        pause = min(self._policy.longest, self._policy.base * 2.0 ** min(server.pauses, 30))
        server.tested_at = self._clock() + _PAUSE_FACTOR * pause
        server.pauses += 1

    async def _test(self, server: _Server) -> None:
        """Use a server again that lists its models, the engine's among them."""
        try:
            listed = await listed_models(server.settings, server.client)
        except EngineStopped:
            listed = None
        server.test = None
        if server.up:
            return
        if not isinstance(listed, list) or (listed and server.settings.model not in listed):
            self._pause(server)
            return
        self._start(server)
        server.up = True
        self._notify(f"{server.address} answers again")


async def open_pool(settings: EngineSettings, context: EngineContext, policy: RetryPolicy) -> tuple[ServerPool, str]:
    """Return the servers that can be reached, and the model, which must be the same on all.

    Raises:
        UsageError: invalid settings, no model, or different models.
        EngineStopped: no server can be reached, or each refuses access.
    """
    clients: list[HttpClient] = []
    try:
        clients += [open_client(settings, url) for url in settings.servers]
        servers = [_Server(replace(settings, url=client.url, urls=()), client) for client in clients]
        listed = await asyncio.gather(*(_listed(server, policy, context.notify) for server in servers))
        model = _common_model(settings, servers, listed)
        for server in servers:
            server.settings = replace(server.settings, model=model)
        pool = ServerPool(servers, context.budget, policy, context.notify)
        for server, models in zip(servers, listed, strict=True):
            if isinstance(models, EngineStopped):
                pool.leave_out(server, models)
    except BaseException:
        for client in clients:
            await client.close()
        raise
    return pool, model


async def _listed(server: _Server, policy: RetryPolicy, notify: Callable[[str], None]) -> list[str] | EngineStopped:
    """Return the models that a server lists, or why it cannot be used; wait for one that loads its model."""
    tries = 0
    try:
        while True:
            listed = await listed_models(server.settings, server.client)
            if not isinstance(listed, TransportFailure):
                return listed
            tries += 1
            answers = listed.failure is RequestFailure.SERVER
            if tries >= (_LIST_TRIES if answers else _CONNECT_TRIES):
                error_of = refusal_error if answers else connection_error
                return error_of(server.settings, listed.detail)
            if answers and tries == 1:
                notify(f"{server.address} lists no models: {listed.detail}; waiting")
            longest = min(policy.longest, policy.base * 2.0**tries)
            await asyncio.sleep(longest if answers else policy.delay(tries, None))
    except EngineStopped as error:
        return error


def _common_model(
    settings: EngineSettings, servers: Sequence[_Server], listed: Sequence[list[str] | EngineStopped]
) -> str:
    reached = [
        (server.address, models) for server, models in zip(servers, listed, strict=True) if isinstance(models, list)
    ]
    if not reached:
        raise next(each for each in listed if isinstance(each, EngineStopped))
    where = f"[engines.{settings.name}]"
    if settings.model:
        without = [address for address, models in reached if models and settings.model not in models]
        if without and len(servers) > 1:
            raise UsageError(
                f"{where} {without[0]} does not list the model {settings.model}",
                hint="all servers of an engine need the same model",
            )
        return settings.model
    for _, models in reached:
        if len(models) != 1:
            raise UsageError(
                f"{where} names no model, and the server lists {len(models)}",
                hint="set model to one of: " + ", ".join(models[:8]) if models else "set model = ...",
            )
    if len({models[0] for _, models in reached}) > 1:
        names = ", ".join(f"{models[0]} on {address}" for address, models in reached)
        raise UsageError(f"{where} the servers have different models: {names}", hint="set model, or remove a server")
    return reached[0][1][0]
