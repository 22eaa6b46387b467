"""The aiohttp proxy: forwards to live workers, or only says which worker to talk to."""
