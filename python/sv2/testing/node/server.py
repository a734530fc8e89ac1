"""JSON-RPC over HTTP as bitcoind serves it: authorization, one call or a batch, versions 1 and 2.

aiohttp does the HTTP: it starts and stops inside a running event loop without taking over signals,
and hands out the connection, so that a fault can break it.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import json
import logging
from typing import TYPE_CHECKING, Any

from aiohttp import web

from sv2.testing.node.faults import Fault, FaultKind
from sv2.testing.node.methods import Methods, RpcFailure

if TYPE_CHECKING:
    from sv2.testing.node.node import RegtestNode

__all__ = ["RpcServer"]

log = logging.getLogger(__name__)

MAX_REQUEST = 0x02000000
MAX_BATCH = 1000
WRONG_PASSWORD_DELAY = 0.25
SHUTDOWN_TIMEOUT = 0.5

INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
PARSE_ERROR = -32700
INTERNAL_ERROR = -32603
WARMING_UP = -28

HTTP_STATUS = {INVALID_REQUEST: 400, METHOD_NOT_FOUND: 404}


class _BreakConnection(Exception):
    """A fault wants the connection gone."""


class _PlainAnswer(Exception):
    """A fault wants an HTTP answer without JSON-RPC."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(status)
        self.status = status
        self.text = text


class RpcServer:
    """Serves one node's `Methods`."""

    def __init__(self, node: RegtestNode) -> None:
        self._node = node
        self._methods = Methods(node)
        self._under_way = 0
        self._runner: web.AppRunner | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; the port, which the system chooses where it is 0.

        Raises:
            OSError: the address is taken or not ours.
        """
        app = web.Application(client_max_size=MAX_REQUEST)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=SHUTDOWN_TIMEOUT, handler_cancellation=True
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port, reuse_address=True)
        try:
            await site.start()
        except OSError:
            await self._runner.cleanup()
            raise
        name: tuple[Any, ...] = self._runner.addresses[0]
        bound: int = name[1]
        return bound

    async def stop(self) -> None:
        """Stop listening, give calls under way half a second to end, close every connection."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        try:
            response = await self._answer(request)
            if self._methods.afterwards:
                await response.prepare(request)
                await response.write_eof()
                self._methods.run_afterwards()
            return response
        except _BreakConnection:
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=500)
        except _PlainAnswer as plain:
            return web.Response(status=plain.status, text=plain.text)

    async def _answer(self, request: web.Request) -> web.Response:
        if request.method != "POST":
            return web.Response(status=405, text="JSONRPC server handles only POST requests")
        if (refusal := await self._authorize(request)) is not None:
            return refusal
        if self._under_way >= self._node.config.work_queue:
            return web.Response(status=503, text="Work queue depth exceeded")
        self._under_way += 1
        try:
            return await self._execute(await request.read())
        finally:
            self._under_way -= 1

    async def _authorize(self, request: web.Request) -> web.Response | None:
        headers = {"WWW-Authenticate": 'Basic realm="jsonrpc"'}
        given = request.headers.get("Authorization")
        if given is None:
            return web.Response(status=401, headers=headers)
        scheme, _, encoded = given.partition(" ")
        try:
            credentials = base64.b64decode(encoded, validate=True)
        except binascii.Error:
            credentials = b""
        config = self._node.config
        accepted = [self._node.cookie]
        if config.rpc_user is not None and config.rpc_password is not None:
            accepted.append(f"{config.rpc_user}:{config.rpc_password}")
        good = [hmac.compare_digest(credentials, item.encode()) for item in accepted]
        if scheme == "Basic" and any(good):
            return None
        await asyncio.sleep(WRONG_PASSWORD_DELAY)
        return web.Response(status=401, headers=headers)

    async def _execute(self, body: bytes) -> web.Response:
        try:
            request = json.loads(body)
        except (ValueError, RecursionError):
            return _json(_reply(None, RpcFailure(PARSE_ERROR, "Parse error"), {}), 500)
        if isinstance(request, list):
            if len(request) > MAX_BATCH:
                failure = RpcFailure(INVALID_REQUEST, f"Batches hold up to {MAX_BATCH} calls")
                return _json(_reply(None, failure, {}), 400)
            return _json([(await self._call(item))[0] for item in request], 200)
        if not isinstance(request, dict):
            failure = RpcFailure(PARSE_ERROR, "Top-level object parse error")
            return _json(_reply(None, failure, {}), 500)
        reply, status = await self._call(request)
        return _json(reply, status)

    async def _call(self, request: object) -> tuple[dict[str, Any], int]:
        """One call; its reply and, for version 1, the HTTP status for it."""
        known = request if isinstance(request, dict) else {}
        try:
            result = await self._run(request)
        except RpcFailure as failure:
            modern = known.get("jsonrpc") == "2.0"
            status = 200 if modern else HTTP_STATUS.get(failure.code, 500)
            return _reply(None, failure, known), status
        return _reply(result, None, known), 200

    async def _run(self, request: object) -> Any:
        if not isinstance(request, dict):
            raise RpcFailure(INVALID_REQUEST, "Invalid Request object")
        method, params = request.get("method"), request.get("params")
        if method is None:
            raise RpcFailure(INVALID_REQUEST, "Missing method")
        if not isinstance(method, str):
            raise RpcFailure(INVALID_REQUEST, "Method must be a string")
        if not isinstance(params, list | dict | None):
            raise RpcFailure(INVALID_REQUEST, "Params must be an array or object")
        lose = await self._suffer(method)
        if self._node.warming_up:
            raise RpcFailure(WARMING_UP, "Loading block index…")
        result = await self._methods.call(method, params if params is not None else [])
        if lose:
            raise _BreakConnection
        return result

    async def _suffer(self, method: str) -> bool:
        """Apply faults; whether the answer must be lost."""
        if method in Methods.CONTROL:
            return False
        lose = False
        for fault in self._node.faults.take(method):
            log.info("fault on demand", extra={"method": method, "kind": fault.kind.value})
            lose |= fault.kind is FaultKind.LOSE
            await self._apply(fault)
        return lose

    async def _apply(self, fault: Fault) -> None:
        match fault.kind:
            case FaultKind.LATENCY:
                await asyncio.sleep(fault.seconds)
            case FaultKind.HANG:
                await asyncio.sleep(fault.seconds)
                raise _BreakConnection
            case FaultKind.ERROR:
                raise RpcFailure(fault.code, fault.message)
            case FaultKind.HTTP:
                raise _PlainAnswer(fault.status, fault.message)
            case FaultKind.GARBAGE:
                raise _PlainAnswer(200, "\x00 this is no JSON {")
            case FaultKind.DROP:
                raise _BreakConnection
            case FaultKind.LOSE:
                pass


def _reply(result: Any, failure: RpcFailure | None, request: dict[str, Any]) -> dict[str, Any]:
    error = None if failure is None else {"code": failure.code, "message": failure.message}
    number = request.get("id")
    if request.get("jsonrpc") == "2.0":
        outcome = {"result": result} if error is None else {"error": error}
        return {"jsonrpc": "2.0", **outcome, "id": number}
    return {"result": result, "error": error, "id": number}


def _json(value: object, status: int) -> web.Response:
    body = json.dumps(value, separators=(",", ":"), ensure_ascii=False) + "\n"
    return web.Response(status=status, body=body.encode(), content_type="application/json")
