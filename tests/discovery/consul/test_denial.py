from tfleet.discovery.consul.error_messages import denied, refused


def test_an_unknown_token_differs_from_a_weak_one() -> None:
    assert denied("ACL not found", "x") == (
        "it does not know the token: see CONSUL_HTTP_TOKEN and CONSUL_HTTP_TOKEN_FILE"
    )
    assert denied("Permission denied\n", "service:write for tfleet") == (
        "Permission denied: set CONSUL_HTTP_TOKEN, or CONSUL_HTTP_TOKEN_FILE, to a token with service:write "
        "for tfleet"
    )


def test_another_refusal_has_no_advice_on_tokens() -> None:
    assert denied("a.b is no name of this registry\n", "service:write") == "a.b is no name of this registry"


def test_http_to_an_https_port_says_what_to_set() -> None:
    assert "consul+https://HOST:PORT" in refused("400 Client sent an HTTP request to an HTTPS server.\n")
    assert refused("400 Bad index\n") == "400 Bad index"
