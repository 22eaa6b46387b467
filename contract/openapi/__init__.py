"""The OpenAPI 3.1 document of worker and proxy, from frozen values that say which models there are. Pure."""
