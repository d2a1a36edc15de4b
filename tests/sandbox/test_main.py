"""The sandbox as a process of its own."""

import asyncio
import json
import sys
from pathlib import Path

import aiohttp


async def test_it_serves_until_it_is_told_to_end_and_leaves_its_ledger(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sandbox", "--token", "7:x", "--ledger", str(path), "--fsync", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    url = (await asyncio.wait_for(process.stdout.readline(), 20)).decode().strip()
    async with aiohttp.ClientSession(url) as http:
        async with http.post("/sandbox/people", json={"name": "Anna"}) as answer:
            anna = (await answer.json())["id"]
        await http.post(f"/sandbox/chats/{anna}/messages", json={"text": "hi"})
        async with http.post("/bot7:x/sendMessage", json={"chat_id": anna, "text": "hello"}) as answer:
            assert answer.status == 200
    assert json.loads(path.read_text())["params"]["text"] == "hello"
    process.terminate()
    assert await asyncio.wait_for(process.wait(), 10) == 0
