"""The test node's JSON-RPC: authorization, envelopes, batches, parameters, answers and errors."""

from __future__ import annotations

import asyncio
import inspect
import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from regtest_helpers import (
    client_of,
    recorded_blocks,
    recorded_node,
    recorded_template,
    run,
    running_node,
    until,
)
from sv2.node import RpcError
from sv2.testing.node import RegtestNode, op_true_script
from sv2.testing.node.chaindata import parse_block, rpc_hash
from sv2.testing.node.methods import Methods

ADDRESS = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
ADDRESS_SCRIPT = "0014751e76e8199196d454941c45d1b3a323f1433bd6"


async def post(node: RegtestNode, body: object, auth: tuple[str, str] | None) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with httpx.AsyncClient(trust_env=False) as http:
        basic = None if auth is None else httpx.BasicAuth(*auth)
        return await http.post(node.rpc_url, content=content, auth=basic or httpx.Auth())


def cookie(node: RegtestNode) -> tuple[str, str]:
    user, _, password = node.cookie_path.read_text().partition(":")
    return user, password


async def error_of(call: Any) -> tuple[int, str]:
    with pytest.raises(RpcError) as caught:
        await call
    return caught.value.code, caught.value.reason


def test_only_the_cookie_or_the_configured_password_opens(tmp_path: Path) -> None:
    async def scenario() -> None:
        request = {"method": "getblockcount", "id": 1}
        options = {"rpc_user": "user", "rpc_password": "right"}
        async with running_node(tmp_path, **options) as node:
            for auth, status in [
                (None, 401),
                (("user", "wrong"), 401),
                (("__cookie__", "0" * 64), 401),
                (("user", "right"), 200),
                (cookie(node), 200),
            ]:
                assert (await post(node, request, auth)).status_code == status
            assert node.cookie_path.stat().st_mode & 0o777 == 0o600
        assert not node.cookie_path.exists()

    run(scenario())


def test_versions_one_and_two_of_json_rpc_have_their_envelopes(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_node(tmp_path) as node:
            auth = cookie(node)
            good = {"method": "getblockcount", "id": "x"}
            bad = {"method": "getblockhash", "params": [9], "id": 7}
            answer = await post(node, good, auth)
            assert answer.json() == {"result": 0, "error": None, "id": "x"}
            answer = await post(node, {"jsonrpc": "2.0", **good}, auth)
            assert answer.json() == {"jsonrpc": "2.0", "result": 0, "id": "x"}
            error = {"code": -8, "message": "Block height out of range"}
            answer = await post(node, bad, auth)
            assert answer.status_code == 500
            assert answer.json() == {"result": None, "error": error, "id": 7}
            answer = await post(node, {"jsonrpc": "2.0", **bad}, auth)
            assert answer.status_code == 200
            assert answer.json() == {"jsonrpc": "2.0", "error": error, "id": 7}

    run(scenario())


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 500, -32700),
        (b"[" * 100_000, 500, -32700),
        (b"\xff", 500, -32700),
        (b"3", 500, -32700),
        ({"id": 1}, 400, -32600),
        ({"method": 3}, 400, -32600),
        ({"method": "getblockcount", "params": "x"}, 400, -32600),
        ({"method": "nosuch"}, 404, -32601),
        ({"method": "_entry"}, 404, -32601),
        ({"method": "call", "params": ["stop", []]}, 404, -32601),
        ({"method": "afterwards"}, 404, -32601),
        ({"method": "getblockcount", "params": [1]}, 500, -1),
        ({"method": "getblockhash"}, 500, -1),
        ({"method": "getblockhash", "params": {"nosuch": 1}}, 500, -1),
        ({"method": "getblockhash", "params": ["1"]}, 500, -3),
        ({"method": "getblockhash", "params": [True]}, 500, -3),
    ],
)
def test_bad_requests_get_the_errors_of_bitcoin_core(
    tmp_path: Path, body: object, status: int, code: int
) -> None:
    async def scenario() -> None:
        async with running_node(tmp_path) as node:
            answer = await post(node, body, cookie(node))
            assert answer.status_code == status
            assert answer.json()["error"]["code"] == code

    run(scenario())


def test_only_post_is_served(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_node(tmp_path) as node, httpx.AsyncClient(trust_env=False) as http:
            assert (await http.get(node.rpc_url)).status_code == 405

    run(scenario())


def test_a_batch_answers_each_call(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_node(tmp_path) as node:
            batch = [{"method": "getblockcount", "id": 1}, 3, {"method": "nosuch", "id": 2}]
            answer = (await post(node, batch, cookie(node))).json()
            assert [item["id"] for item in answer] == [1, None, 2]
            codes = [item["error"] and item["error"]["code"] for item in answer]
            assert codes == [None, -32600, -32601]
            too_many = await post(node, [{}] * 1001, cookie(node))
            assert too_many.status_code == 400

    run(scenario())


def test_parameters_are_taken_by_name_and_mixed(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_node(tmp_path) as node:
            for params in ([0], {"height": 0}, {"args": [0]}):
                request = {"method": "getblockhash", "params": params}
                answer = (await post(node, request, cookie(node))).json()
                assert answer["result"] == rpc_hash(node.chain.active[0])

    run(scenario())


def test_more_calls_than_the_queue_holds_get_503(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_node(tmp_path, work_queue=2) as node:
            waiting = [
                asyncio.create_task(
                    post(node, {"method": "waitfornewblock", "params": [20000]}, cookie(node))
                )
                for _ in range(2)
            ]
            await until(lambda: node.server._under_way == 2)
            request = {"method": "getblockcount"}
            assert (await post(node, request, cookie(node))).status_code == 503
            await node.generate(1, op_true_script())
            assert [task.status_code for task in await asyncio.gather(*waiting)] == [200, 200]
            assert (await post(node, request, cookie(node))).status_code == 200

    run(scenario())


def test_a_client_that_goes_away_frees_its_place(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_node(tmp_path) as node, client_of(node) as client:
            waiting = asyncio.create_task(client.wait_for_new_block(node.chain.tip.hash, 20))
            await until(lambda: node.server._under_way == 1)
            waiting.cancel()
            await until(lambda: node.server._under_way == 0)

    run(scenario())


def test_blocks_and_headers_read_as_they_were_submitted(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with recorded_node(tmp_path) as node, client_of(node) as client:
            blocks = [parse_block(raw) for raw in recorded_blocks()]
            call = client.rpc.call
            tip, before = blocks[-1], blocks[-2]
            assert await call("getbestblockhash") == rpc_hash(tip.hash)
            assert await call("getblockhash", 134) == rpc_hash(before.hash)
            assert await call("getblock", rpc_hash(tip.hash), 0) == tip.raw.hex()
            assert await call("getblockheader", rpc_hash(tip.hash), False) == tip.header.raw.hex()
            header = await client.block_header(before.hash)
            assert (header.height, header.confirmations) == (134, 2)
            assert header.merkle_root == before.header.merkle_root
            shown = await call("getblock", rpc_hash(before.hash), 2)
            assert shown["nextblockhash"] == rpc_hash(tip.hash)
            assert [tx["hex"] for tx in shown["tx"]] == [tx.raw.hex() for tx in before.transactions]
            info = await client.chain_info()
            assert (info.chain, info.blocks, info.best_block_hash) == ("regtest", 135, tip.hash)
            assert await error_of(call("getblock", "00" * 32)) == (-5, "Block not found")
            assert (await error_of(call("getblock", "ab")))[0] == -8
            assert (await error_of(call("getblock", "zz" * 32)))[0] == -8
            assert await error_of(call("getblockhash", 136)) == (-8, "Block height out of range")

    run(scenario())


def test_mempool_calls_agree_with_the_recorded_transactions(tmp_path: Path) -> None:
    async def scenario() -> None:
        recorded = recorded_template()["transactions"]
        async with recorded_node(tmp_path) as node, client_of(node) as client:
            call = client.rpc.call
            assert await call("getrawmempool") == [item["txid"] for item in recorded]
            verbose = await call("getrawmempool", True)
            parent, child = recorded[0], recorded[1]
            entry = verbose[child["txid"]]
            assert entry == await call("getmempoolentry", child["txid"])
            assert entry["depends"] == [parent["txid"]]
            assert entry["weight"] == child["weight"]
            assert round(entry["fees"]["base"] * 1e8) == child["fee"]
            assert entry["ancestorcount"] == 2
            assert (await call("getmempoolinfo"))["size"] == 18
            assert await call("getrawtransaction", child["txid"]) == child["data"]
            output = await call("gettxout", child["txid"], 0)
            assert output["confirmations"] == 0
            spent = parent["txid"]
            assert await call("gettxout", spent, 0, True) is not None
            again = await call("sendrawtransaction", child["data"])
            assert again == child["txid"]
            accepted = await call("testmempoolaccept", [child["data"]])
            assert accepted[0]["reject-reason"] == "txn-already-in-mempool"

    run(scenario())


def test_a_transaction_with_an_absurd_fee_is_not_sent(tmp_path: Path) -> None:
    async def scenario() -> None:
        from sv2.testing.node.faucet import spend

        async with running_node(tmp_path) as node, client_of(node) as client:
            (block_hash, *_) = await node.generate(101, op_true_script())
            coin = (node.chain.entry(block_hash).block.transactions[0].txid, 0)
            wasteful = spend(coin, [(1_000, op_true_script())]).raw.hex()
            code, reason = await error_of(client.rpc.call("sendrawtransaction", wasteful))
            assert (code, "maxfeerate" in reason) == (-25, True)
            assert len(node.pool) == 0
            await client.rpc.call("sendrawtransaction", wasteful, 0)
            assert len(node.pool) == 1

    run(scenario())


@pytest.mark.parametrize("data", ["", "00", "zz", "0200", "02000000000000000000"])
def test_bytes_that_are_no_transaction_do_not_decode(tmp_path: Path, data: str) -> None:
    async def scenario() -> None:
        async with running_node(tmp_path) as node, client_of(node) as client:
            assert (await error_of(client.rpc.call("sendrawtransaction", data)))[0] == -22

    run(scenario())


def test_mining_pays_the_address_or_descriptor(tmp_path: Path) -> None:
    async def scenario() -> None:
        key = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
        async with running_node(tmp_path) as node, client_of(node) as client:
            call = client.rpc.call
            for method, where, script in [
                ("generatetoaddress", ADDRESS, ADDRESS_SCRIPT),
                ("generatetodescriptor", f"addr({ADDRESS})", ADDRESS_SCRIPT),
                ("generatetodescriptor", f"wpkh({key})", ADDRESS_SCRIPT),
                ("generatetodescriptor", "raw(51)", "51"),
            ]:
                (block_hash,) = await call(method, 1, where)
                shown = await call("getblock", block_hash, 2)
                assert shown["tx"][0]["vout"][0]["scriptPubKey"]["hex"] == script
            assert await call("generatetoaddress", 0, ADDRESS) == []
            assert node.chain.height == 4
            mainnet = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"
            for method, where in [
                ("generatetoaddress", mainnet),
                ("generatetoaddress", "x"),
                ("generatetoaddress", ""),
                ("generatetodescriptor", "nosuch()"),
                ("generatetodescriptor", "raw(51)#aaaaaaaa"),
                ("generatetodescriptor", ""),
            ]:
                assert (await error_of(call(method, 1, where)))[0] == -5
            assert (await error_of(call("generatetoaddress", 10_001, ADDRESS)))[0] == -8

    run(scenario())


def test_waits_end_at_a_new_tip_at_once_for_another_tip_or_in_time(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_node(tmp_path) as node, client_of(node) as client:
            call = client.rpc.call
            for method, params in [
                ("waitfornewblock", [20_000]),
                ("waitfornewblock", [20_000, "tip"]),
                ("waitforblockheight", [node.chain.height + 1, 20_000]),
            ]:
                known = rpc_hash(node.chain.tip.hash)
                if method == "waitforblockheight":
                    params = [node.chain.height + 1, 20_000]
                waiting = asyncio.create_task(
                    call(method, *(known if item == "tip" else item for item in params))
                )
                await asyncio.wait({waiting}, timeout=0.1)
                assert not waiting.done()
                (new,) = await node.generate(1, op_true_script())
                assert await waiting == {"hash": rpc_hash(new), "height": node.chain.height}
            tip = {"hash": rpc_hash(node.chain.tip.hash), "height": node.chain.height}
            assert await call("waitfornewblock", 20_000, "00" * 32) == tip
            assert await call("waitfornewblock", 20) == tip
            assert await call("waitforblockheight", 1) == tip
            assert (await error_of(call("waitfornewblock", -1)))[0] == -1

    run(scenario())


def test_stop_breaks_off_waits_and_answers_first(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_node(tmp_path) as node, client_of(node) as client:
            assert await client.rpc.call("stop") == "sv2 testnode stopping"
            await until(node.stop_asked.is_set)

    run(scenario())


def test_filling_the_mempool_gives_a_full_template_of_many_fee_rates(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_node(tmp_path, template_interval=0.0) as node, client_of(node) as client:
            assert await client.rpc.call("fillmempool", 1500) == 1500
            template = await client.block_template()
            assert len(template.transactions) == 1500
            rates = [tx.fee / tx.weight for tx in template.transactions]
            assert rates == sorted(rates, reverse=True)
            assert len(set(rates)) > 100
            await node.generate(1, op_true_script())
            assert len(node.pool) == 0
            assert (await error_of(client.rpc.call("fillmempool", 10_001)))[0] == -8

    run(scenario())


def test_the_manual_names_every_method_and_no_other() -> None:
    manual = (Path(__file__).parents[2] / "docs" / "testnode.md").read_text("utf-8")
    table = manual.partition("| about | methods |")[2].partition("\n\n")[0]
    named = set(re.findall(r"`([a-z]+)`", table)) - {"longpollid"}
    assert named == {
        name
        for name, _ in inspect.getmembers(Methods, inspect.iscoroutinefunction)
        if not name.startswith("_") and name != "call"
    }
