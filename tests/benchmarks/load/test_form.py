from benchmarks.load.form import Form


def test_a_request_has_all_headers_of_its_form() -> None:
    form = Form(b"body", "text/plain", (("X-One", "1"), ("X-Two", "2")))
    assert form.request("http://host:1/path") == (
        b"POST /path HTTP/1.1\r\nHost: host:1\r\nContent-Type: text/plain\r\nX-One: 1\r\nX-Two: 2\r\n"
        b"Content-Length: 4\r\n\r\nbody"
    )
