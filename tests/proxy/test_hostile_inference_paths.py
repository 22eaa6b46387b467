"""Damaged paths below /v1 and /v2 get a documented status, and an error that can be read."""

from __future__ import annotations

import json
import random

import pytest

from tests.support.planned_fleet import fleet_of
from tests.support.raw_client import Answer, raw_client
from tfleet.contract.address import Address

_MANY = 400
_STATUSES = {200, 400, 404, 405}
_PATHS = (
    b"/v1/models",
    b"/v1/models/m/versions/1:predict",
    b"/v1/models/m/labels/prod/metadata",
    b"/v2/models/m/versions/2/infer",
    b"/v2/models/m/ready?x=1",
    b"/v2/repository/models/m/load",
    b"/v2/systemsharedmemory/region/r/status",
)
_PIECES = (b"/", b":", b"%2F", b"%", b"%zz", b"%00", b"..", b"?", b"versions", b"labels", b"v1", b"x" * 3000)


def damaged(path: bytes, dice: random.Random) -> bytes:
    """The path with up to three pieces taken out, put in or doubled."""
    for _ in range(dice.randint(1, 3)):
        at = dice.randrange(3, len(path) + 1)
        match dice.randrange(3):
            case 0:
                path = path[:at] + dice.choice(_PIECES) + path[at:]
            case 1:
                path = path[:at] + path[at + dice.randint(1, 6) :]
            case _:
                path = path[:at] + path[max(3, at - dice.randint(1, 9)) :]
    return path


async def answer_to(proxy: Address, method: bytes, path: bytes) -> Answer:
    async with raw_client(proxy) as client:
        await client.send(b"%b %b HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}" % (method, path))
        return await client.answer()


@pytest.mark.process
async def test_damaged_paths_get_a_documented_status() -> None:
    dice = random.Random(15)
    async with fleet_of("m/1", "m/2", mode="forward") as (proxy, _):
        for _ in range(_MANY):
            method, path = dice.choice((b"GET", b"POST", b"PUT")), damaged(dice.choice(_PATHS), dice)
            answer = await answer_to(proxy, method, path)
            assert answer.status in _STATUSES, (method, path, answer)
            below = path[3:4] in {b"", b"/", b"?"}
            if answer.status != 200 and below:
                assert answer.headers["content-type"] == "application/json", (method, path)
                assert json.loads(answer.body)["error"]
