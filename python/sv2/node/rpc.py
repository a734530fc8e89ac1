"""JSON-RPC over HTTP to a node: one method, `RpcClient.call`, with every failure told apart."""

from __future__ import annotations

import asyncio
import json
import ssl
from typing import Any, final

import httpx

from sv2.deadline import within
from sv2.node.auth import Credentials
from sv2.node.errors import (
    BadAnswer,
    NodeDown,
    NodeTimeout,
    Unauthorized,
    WorkQueueFull,
    rpc_error,
)

__all__ = ["DEFAULT_MAX_ANSWER", "DEFAULT_TIMEOUT", "RpcClient"]

DEFAULT_TIMEOUT = 30.0
"""Seconds for a whole call, connecting and a second try after a 401 included."""

DEFAULT_MAX_ANSWER = 64 * 1024 * 1024
"""Bytes of an answer: a full block as hex in JSON is about 8 MiB, as decoded JSON about 30 MiB."""

MAX_CONNECTIONS = 8
CONNECT_TIMEOUT = 10.0


@final
class RpcClient:
    """Calls a node's JSON-RPC. Safe to share between tasks; one per node.

    ``url`` is ``http://host:port`` (or ``https://``, with ``tls`` for a node's own certificate).
    Credentials in the URL are refused: they would end up in logs. Proxy settings of the environment
    are ignored, redirects are not followed.

    Raises (constructor):
        ValueError: the URL is no http(s) URL or holds credentials.
    """

    def __init__(
        self,
        url: str,
        credentials: Credentials,
        *,
        timeout: float = DEFAULT_TIMEOUT,
        max_answer: int = DEFAULT_MAX_ANSWER,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        parsed = httpx.URL(url)
        if parsed.scheme not in ("http", "https") or not parsed.host:
            raise ValueError("the RPC address must be http://host:port or https://host:port")
        if parsed.userinfo:
            raise ValueError("give RPC credentials separately, not inside the address")
        self._url = parsed
        self._credentials = credentials
        self._auth: httpx.BasicAuth | None = None
        self._timeout = timeout
        self._max_answer = max_answer
        self._next_id = 0
        self._http = httpx.AsyncClient(
            verify=tls if tls is not None else True,
            trust_env=False,
            follow_redirects=False,
            timeout=httpx.Timeout(None, connect=CONNECT_TIMEOUT),
            limits=httpx.Limits(max_connections=MAX_CONNECTIONS),
        )

    @property
    def url(self) -> str:
        return str(self._url)

    async def __aenter__(self) -> RpcClient:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections. Calls under way fail with `NodeDown`."""
        await self._http.aclose()

    async def call(self, method: str, *params: object, timeout: float | None = None) -> Any:
        """The ``result`` of one call.

        ``timeout`` is in seconds and covers everything; None takes the client's.

        Raises:
            NodeError: see `sv2.node.errors` for what each subclass means.
        """
        limit = self._timeout if timeout is None else timeout
        try:
            return await within(limit, self._call(method, params))
        except (asyncio.TimeoutError, httpx.TimeoutException):
            raise NodeTimeout(f"{method}: no answer within {limit:g} s") from None
        except (httpx.TransportError, httpx.StreamError) as error:
            raise NodeDown(f"{method}: {type(error).__name__} at {self._place()}") from None
        except RuntimeError:
            if self._http.is_closed:
                raise NodeDown(f"{method}: the client is closed") from None
            raise

    def _place(self) -> str:
        return f"{self._url.host}:{self._url.port or 'default port'}"

    async def _call(self, method: str, params: tuple[object, ...]) -> Any:
        self._next_id += 1
        request = {"jsonrpc": "1.0", "id": self._next_id, "method": method, "params": list(params)}
        status, body = await self._post(json.dumps(request).encode())
        if status in (401, 403) and self._credentials.changes:
            self._auth = None
            status, body = await self._post(json.dumps(request).encode())
        return self._result(method, status, body)

    async def _post(self, content: bytes) -> tuple[int, bytes]:
        if self._auth is None:
            self._auth = httpx.BasicAuth(*self._credentials.read())
        headers = {"content-type": "application/json", "accept-encoding": "identity"}
        body = bytearray()
        async with self._http.stream(
            "POST", self._url, content=content, headers=headers, auth=self._auth
        ) as response:
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > self._max_answer:
                    raise BadAnswer(f"an answer exceeds {self._max_answer} bytes")
        return response.status_code, bytes(body)

    def _result(self, method: str, status: int, body: bytes) -> Any:
        if status in (401, 403):
            self._auth = None
            what = "cookie" if self._credentials.changes else "user or password"
            raise Unauthorized(
                f"{method}: the node refuses our {what} (HTTP {status})",
                transient=self._credentials.changes,
            )
        if status == 503:
            raise WorkQueueFull(f"{method}: the node's work queue is full (HTTP 503)")
        try:
            answer = json.loads(body)
        except (ValueError, RecursionError):
            raise BadAnswer(f"{method}: HTTP {status} without JSON") from None
        if not isinstance(answer, dict):
            raise BadAnswer(f"{method}: the answer is no JSON object")
        match answer.get("error"):
            case None:
                pass
            case {"code": int(code), **rest}:
                raise rpc_error(method, code, rest.get("message", ""))
            case _:
                raise BadAnswer(f"{method}: HTTP {status} with a malformed error")
        if status != 200 or "result" not in answer:
            raise BadAnswer(f"{method}: HTTP {status} without a result")
        return answer["result"]
