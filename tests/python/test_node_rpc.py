"""The RPC client: each way a node fails is its own error, cookies are picked up, limits hold."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from regtest_helpers import client_of, run, running_node
from sv2.node import (
    BadAnswer,
    CookieFile,
    CookieUnreadable,
    MethodNotFound,
    Node,
    NodeDown,
    NodeError,
    NodeTimeout,
    RpcClient,
    RpcError,
    Unauthorized,
    UserPassword,
)
from sv2.node.errors import rpc_error
from sv2.testing.node import op_true_script

SECRET = "correct-horse"  # noqa: S105
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def raw_server(handler: Handler) -> AsyncIterator[str]:
    """A server that does what no node should; the URL to reach it."""

    async def guarded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(guarded, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def answers(payload: bytes) -> Handler:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(payload)
        await writer.drain()

    return handler


def http(body: bytes, status: str = "200 OK", headers: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


async def outcome(payload: bytes, **options: object) -> object:
    """What one call makes of a raw HTTP answer."""
    async with (
        raw_server(answers(payload)) as url,
        RpcClient(url, UserPassword("u", SECRET), **options) as rpc,  # type: ignore[arg-type]
    ):
        try:
            return await rpc.call("getblockcount", timeout=5)
        except NodeError as error:
            return str(error) if SECRET in str(error) else type(error)


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (http(b'{"result": 5, "error": null, "id": 1}'), 5),
        (http(b'{"jsonrpc": "2.0", "result": 5, "id": 1}'), 5),
        (http(b'{"result": null, "error": null}'), None),
        (http(b'{"error": null}'), BadAnswer),
        (http(b"[]"), BadAnswer),
        (http(b"3"), BadAnswer),
        (http(b""), BadAnswer),
        (http(b"\xff"), BadAnswer),
        (http(b"[" * 100_000), BadAnswer),
        (http(b'{"result": 1, "error": 3}', "500 Error"), BadAnswer),
        (http(b'{"result": 1, "error": {"code": "x"}}', "500 Error"), BadAnswer),
        (http(b'{"result": 5, "error": null}', "500 Error"), BadAnswer),
        (http(b"<html>", "502 Bad Gateway"), BadAnswer),
        (http(b"", "301 Moved", "Location: http://127.0.0.1:1/\r\n"), BadAnswer),
        (http(b"", "401 Unauthorized"), Unauthorized),
        (http(b"", "403 Forbidden"), Unauthorized),
        (b"garbage\r\n\r\n", NodeDown),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", NodeDown),
        (b"", NodeDown),
    ],
)
def test_any_answer_is_a_result_or_an_error_of_ours(payload: bytes, expected: object) -> None:
    async def scenario() -> None:
        assert await outcome(payload) == expected

    run(scenario())


def test_an_answer_larger_than_allowed_is_cut_off() -> None:
    async def scenario() -> None:
        body = b'{"result": "' + b"x" * 5000 + b'", "error": null}'
        assert await outcome(http(body), max_answer=5000) is BadAnswer
        assert await outcome(http(body), max_answer=6000) == "x" * 5000

    run(scenario())


def test_an_answer_without_end_is_cut_off_at_the_limit() -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b" " * 65536)
            await writer.drain()

    async def scenario() -> None:
        async with (
            raw_server(endless) as url,
            RpcClient(url, UserPassword("u", "p"), max_answer=1 << 20) as rpc,
        ):
            with pytest.raises(BadAnswer):
                await rpc.call("getblockcount")

    run(scenario())


def test_a_server_that_drips_its_answer_runs_into_the_time_limit() -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.05)

    async def scenario() -> None:
        async with raw_server(drip) as url, RpcClient(url, UserPassword("u", "p")) as rpc:
            with pytest.raises(NodeTimeout):
                await rpc.call("getblockcount", timeout=0.5)

    run(scenario())


def test_nothing_listening_is_down() -> None:
    async def scenario() -> None:
        async with raw_server(answers(b"")) as url:
            pass
        async with RpcClient(url, UserPassword("u", "p")) as rpc:
            with pytest.raises(NodeDown) as caught:
                await rpc.call("getblockcount")
            assert caught.value.transient

    run(scenario())


def test_a_closed_client_says_so() -> None:
    async def scenario() -> None:
        rpc = RpcClient("http://127.0.0.1:1", UserPassword("u", "p"))
        await rpc.close()
        with pytest.raises(NodeDown, match="closed"):
            await rpc.call("getblockcount")

    run(scenario())


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:8332", "ftp://127.0.0.1", "http://", f"http://u:{SECRET}@127.0.0.1"]
)
def test_addresses_that_cannot_be_used_are_refused_without_repeating_them(url: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the text is checked below)
        RpcClient(url, UserPassword("u", "p"))
    assert SECRET not in str(caught.value)


def test_the_environments_proxy_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        async with running_node(tmp_path) as node, client_of(node) as client:
            assert await client.rpc.call("getblockcount") == 0

    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    run(scenario())


def test_wrong_password_is_final_and_wrong_cookie_is_not(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_node(tmp_path / "node") as node:
            async with RpcClient(node.rpc_url, UserPassword("user", SECRET)) as rpc:
                with pytest.raises(Unauthorized) as caught:
                    await rpc.call("getblockcount")
                assert not caught.value.transient
            stale = tmp_path / "cookie"
            stale.write_text("__cookie__:stale")
            async with RpcClient(node.rpc_url, CookieFile(stale)) as rpc:
                with pytest.raises(Unauthorized) as caught:
                    await rpc.call("getblockcount")
                assert caught.value.transient
                stale.write_text(node.cookie)
                assert await rpc.call("getblockcount") == 0

    run(scenario())


def test_a_changed_cookie_is_picked_up_within_the_call(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_node(tmp_path) as node, client_of(node) as client:
            assert await client.rpc.call("getblockcount") == 0
            node._write_cookie()
            assert await client.rpc.call("getblockcount") == 0

    run(scenario())


def test_a_cookie_that_appears_later_is_read_then(tmp_path: Path) -> None:
    async def scenario() -> None:
        late = tmp_path / "late"
        async with (
            running_node(tmp_path / "node") as node,
            RpcClient(node.rpc_url, CookieFile(late)) as rpc,
        ):
            with pytest.raises(CookieUnreadable) as caught:
                await rpc.call("getblockcount")
            assert caught.value.transient
            late.write_text(node.cookie)
            assert await rpc.call("getblockcount") == 0

    run(scenario())


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"no colon", b":p", b"u:", b"u:\xff", b"u:" + b"p" * 2000]
)
def test_files_that_hold_no_cookie_are_refused_without_their_content(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "cookie"
    path.write_bytes(content)
    with pytest.raises(CookieUnreadable) as caught:
        CookieFile(path).read()
    assert "no colon" not in str(caught.value)
    with pytest.raises(CookieUnreadable):
        CookieFile(tmp_path).read()


def test_a_cookie_may_end_in_a_newline(tmp_path: Path) -> None:
    path = tmp_path / "cookie"
    path.write_text("__cookie__:00ff\n")
    assert CookieFile(path).read() == ("__cookie__", "00ff")


def test_secrets_stay_out_of_repr_and_logs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    async def scenario() -> None:
        async with running_node(tmp_path, rpc_user="user", rpc_password=SECRET) as node:
            credentials = UserPassword("user", SECRET)
            async with RpcClient(node.rpc_url, credentials) as rpc:
                await rpc.call("getblockcount")
                assert SECRET not in repr([credentials, rpc, vars(rpc)["_credentials"]])
            assert SECRET not in repr(node.config)
            assert node.cookie not in caplog.text

    run(scenario())
    assert SECRET not in caplog.text


def test_what_a_node_says_is_reduced_to_printable_ascii() -> None:
    error = rpc_error("method", -1, "a\x1b[31m\nb\u202e" + "x" * 1000)
    assert error.reason.startswith("a?[31m?b?xxx")
    assert len(error.reason) == 200
    assert error.code == -1


def test_calls_of_many_tasks_share_the_connections(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_node(tmp_path) as node, client_of(node) as client:
            results = await asyncio.gather(*(client.best_block_hash() for _ in range(200)))
            assert set(results) == {node.chain.tip.hash}

    run(scenario())


def test_node_calls_return_typed_values(tmp_path: Path) -> None:
    async def scenario() -> None:
        address = "tcp://127.0.0.1:*"
        async with (
            running_node(tmp_path, zmq_hashblock=address) as node,
            client_of(node) as client,
        ):
            (mined,) = await node.generate(1, op_true_script())
            assert await client.best_block_hash() == mined
            assert await client.block_hash(1) == mined
            header = await client.block_header(mined)
            assert (header.height, header.previous_hash) == (1, node.chain.active[0])
            assert await client.block(mined) == node.chain.entry(mined).block.raw
            (endpoint,) = await client.zmq_endpoints()
            assert endpoint.kind == "pubhashblock"
            assert endpoint.address == node.publisher.address("hashblock")
            assert await client.raw_mempool() == ()
            tip = await client.wait_for_new_block(bytes(32), 1)
            assert (tip.hash, tip.height) == (mined, 1)
            with pytest.raises(RpcError) as caught:
                await client.block_hash(9)
            assert caught.value.code == -8

    run(scenario())


@asynccontextmanager
async def scripted(replies: dict[str, object]) -> AsyncIterator[tuple[Node, list[list[object]]]]:
    """A node that knows the methods of ``replies``; a dict with "code" is an error. And its log."""
    seen: list[list[object]] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            (size,) = (
                int(line.split(b":")[1])
                for line in head.split(b"\r\n")
                if line.lower().startswith(b"content-length")
            )
            request = json.loads(await reader.readexactly(size))
            seen.append([request["method"], *request["params"]])
            reply = replies.get(request["method"], {"code": -32601, "message": "Method not found"})
            if callable(reply):
                reply = reply(request["params"])
            failed = isinstance(reply, dict) and "code" in reply
            answer = {"result": None if failed else reply, "error": reply if failed else None}
            writer.write(http(json.dumps(answer).encode()))
            await writer.drain()

    async with raw_server(handler) as url, RpcClient(url, UserPassword("u", "p")) as rpc:
        yield Node(rpc), seen


def test_a_node_that_cannot_take_the_known_tip_is_asked_without_it() -> None:
    def old_core(params: list[object]) -> object:
        if len(params) > 1:
            return {"code": -1, "message": "waitfornewblock ( timeout )"}
        return {"hash": "ab" * 32, "height": 5}

    async def scenario() -> None:
        async with scripted({"waitfornewblock": old_core}) as (node, seen):
            for _ in range(2):
                tip = await node.wait_for_new_block(bytes(32), 2)
                assert tip.height == 5
            assert [len(call) for call in seen] == [3, 2, 2]
            assert not node.wait_takes_tip
            node.forget_capabilities()
            assert node.wait_takes_tip

    run(scenario())


def test_a_node_without_optional_calls() -> None:
    async def scenario() -> None:
        async with scripted({}) as (node, _):
            assert await node.zmq_endpoints() == ()
            with pytest.raises(MethodNotFound):
                await node.wait_for_new_block(bytes(32), 1)

    run(scenario())


@pytest.mark.parametrize(
    ("method", "reply"),
    [
        ("getblock", None),
        ("getblock", "zz"),
        ("getrawmempool", {}),
        ("getrawmempool", ["zz"]),
        ("getbestblockhash", 3),
        ("getzmqnotifications", {}),
    ],
)
def test_results_of_the_wrong_form_are_a_bad_answer(method: str, reply: object) -> None:
    async def scenario() -> None:
        async with scripted({method: reply}) as (node, _):
            calls: dict[str, Callable[[], Awaitable[object]]] = {
                "getblock": lambda: node.block(bytes(32)),
                "getrawmempool": node.raw_mempool,
                "getbestblockhash": node.best_block_hash,
                "getzmqnotifications": node.zmq_endpoints,
            }
            with pytest.raises(BadAnswer):
                await calls[method]()

    run(scenario())
