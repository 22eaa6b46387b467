"""A web page from elsewhere, in a real browser."""

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from tests.support.fake_worker import fake_worker, settings
from tfleet.contract.cors import Cors
from tfleet.proxy.server import single_process_proxy

pytestmark = pytest.mark.process


BROWSER = shutil.which("chromium")
PATIENCE_S = 60.0
PAGE = """<!doctype html><title>a page</title><script>
const found = [];
async function ask(path, options) {
  try {
    const answer = await fetch("%s" + path, options);
    found.push([answer.status, answer.headers.get("X-Request-Id"), (await answer.text()).length > 0]);
  } catch (error) { found.push([error.name]); }
}
(async () => {
  const form = new FormData();
  form.append("data", new Blob(["image"], {type: "image/jpeg"}));
  await ask("/predict", {method: "POST", body: form});
  const headers = {"Content-Type": "image/jpeg", "X-Request-Id": "of-a-page"};
  await ask("/predict", {method: "POST", body: new Blob(["image"]), headers});
  await ask("/nothing", {headers: {"X-Request-Id": "none"}});
  await fetch("/found", {method: "POST", body: JSON.stringify(found)});
})();
</script>"""


class Site:
    """Serves a page that asks `proxy`, and keeps what it finds."""

    def __init__(self) -> None:
        self.proxy = ""
        self.port = 0
        self.found: asyncio.Queue[Any] = asyncio.Queue()

    async def page(self, _: web.Request) -> web.Response:
        return web.Response(text=PAGE % self.proxy, content_type="text/html")

    async def take(self, request: web.Request) -> web.Response:
        self.found.put_nowait(await request.json())
        return web.Response()


@contextlib.asynccontextmanager
async def site() -> AsyncIterator[Site]:
    """It listens inside the block."""
    found, app = Site(), web.Application()
    app.router.add_get("/", found.page)
    app.router.add_post("/found", found.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        found.port = runner.addresses[0][1]
        yield found
    finally:
        await runner.cleanup()


async def visit(url: str, site: Site) -> Any:
    """What the page at that address finds."""
    assert BROWSER is not None
    with tempfile.TemporaryDirectory(prefix="tfleet-browser-", ignore_cleanup_errors=True) as profile:
        options = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run")
        process = await asyncio.create_subprocess_exec(
            *(BROWSER, *options, f"--user-data-dir={profile}", "--remote-debugging-port=0", url),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await site.found.get()
        finally:
            process.terminate()
            await process.wait()


@pytest.mark.skipif(BROWSER is None, reason="there is no chromium on the PATH")
async def test_only_an_allowed_origins_page_can_read_answers() -> None:
    async with fake_worker() as worker, site() as pages:
        named = f"http://127.0.0.1:{pages.port}"
        cors = Cors.parse((named, "https://a.example"))
        async with single_process_proxy(settings(worker, cors=cors)) as proxy:
            pages.proxy = proxy.url
            with_form, with_header, unknown = await visit(named, pages)
            assert (with_form[0], with_form[2]) == (200, True)
            assert with_form[1], "it sees the request's id"
            assert with_header == [200, "of-a-page", True]
            assert unknown == [404, "none", True]
            others = await visit(f"http://localhost:{pages.port}", pages)
            assert others == [["TypeError"]] * 3
        assert len(worker.seen) == 3, "a form is sent unasked, and only not read"
