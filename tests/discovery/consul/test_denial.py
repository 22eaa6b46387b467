from tfleet.discovery.consul.error_messages import denied, refused


def test_an_unknown_token_is_told_apart_from_one_that_may_too_little() -> None:
    assert denied("ACL not found", "x") == (
        "it does not know the token: see CONSUL_HTTP_TOKEN and CONSUL_HTTP_TOKEN_FILE"
    )
    assert denied("Permission denied\n", "service:write for tfleet") == (
        "Permission denied: set CONSUL_HTTP_TOKEN, or CONSUL_HTTP_TOKEN_FILE, to a token with service:write "
        "for tfleet"
    )


def test_another_reason_is_told_without_advice_on_tokens() -> None:
    assert denied("a.b is no name of this registry\n", "service:write") == "a.b is no name of this registry"


def test_http_to_a_port_for_https_is_told_as_what_to_set() -> None:
    assert "consul+https://HOST:PORT" in refused("400 Client sent an HTTP request to an HTTPS server.\n")
    assert refused("400 Bad index\n") == "400 Bad index"
