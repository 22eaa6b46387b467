"""Roll out versions of models: what the registry and the proxies say, and how plans are changed."""
