"""p2p in one step: curl sends its image to the proxy, and the image goes to a worker without passing it."""

import asyncio
import hashlib
import json
import random
from pathlib import Path

import pytest

from tests.support.fake_worker import fake_worker, settings
from tests.support.relay import relay_beside
from tfleet.proxy.server import single_process_proxy

MB = 1024 * 1024


async def curl(*arguments: str) -> str:
    """What it prints. It gets the environment of a user without a .curlrc."""
    process = await asyncio.create_subprocess_exec(
        "curl", "-q", "-sS", *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode()


@pytest.mark.parametrize(
    ("size", "options", "passes"),
    [
        (8 * MB, (), 0),  # curl asks before it sends more than 1 MB
        (MB // 4, ("-H", "Expect: 100-continue"), 0),
        (MB // 4, (), MB // 4),  # it does not ask, and the answer is there before it has sent much
    ],
)
async def test_curl_uploads_once_and_not_through_the_proxy(
    tmp_path: Path, size: int, options: tuple[str, ...], passes: int
) -> None:
    photo, path = random.Random(1).randbytes(size), "/predict?top=2&x=a%20b"
    await asyncio.to_thread((tmp_path / "big.jpg").write_bytes, photo)
    async with fake_worker() as worker, single_process_proxy(settings(worker, mode="p2p")) as proxy:
        async with relay_beside(proxy) as witness:
            form = ("-L", "-F", f"data=@{tmp_path}/big.jpg")
            said = await curl(*form, *options, "-w", "\n%{num_redirects}", witness.address.url + path)
            answer, redirects = said.splitlines()
        (seen,) = worker.seen
        assert (seen.method, seen.path, redirects) == ("POST", path, "1")
        assert photo in seen.body
        assert json.loads(answer)["sha"] == hashlib.sha256(seen.body).hexdigest()
        assert 0 < witness.received_bytes < passes + 1000, "a head, and no more of the image than this"
