"""Pages in JSON for clients of other servers: they compare its type, which says nothing of a charset."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web


def json_page(document: Any) -> web.Response:
    """200, of type `application/json`."""
    return web.Response(body=json.dumps(document).encode(), content_type="application/json")
