"""Whether packages can still be had: asked of an index on this machine, in both forms that indexes speak."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tfx_pedigree.service.reproducing import package_index
from tfx_pedigree.service.reproducing.package_index import Availability, Sources, ask, sources

FOUND, YANKED, MISSING, UNKNOWN = Availability


class Index:
    def __init__(self) -> None:
        self.pages: dict[str, tuple[int, str, bytes]] = {}
        self.silent, self.asked, self.user = threading.Event(), list[str](), ""
        index = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                index.asked.append(self.path)
                index.user = self.headers.get("Authorization", "")
                status, kind, body = index.pages.get(self.path, (404, "text/plain", b""))
                if kind == "silence":
                    index.silent.wait(20)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/simple"

    def json(self, name: str, *files: str, yanked: object = False) -> None:
        told = {"files": [{"filename": file, "yanked": yanked} for file in files], "name": name}
        self.pages[f"/simple/{name}/"] = (200, "application/vnd.pypi.simple.v1+json", json.dumps(told).encode())

    def page(self, name: str, body: bytes, kind: str = "text/html", status: int = 200) -> None:
        self.pages[f"/simple/{name}/"] = (status, kind, body)


@pytest.fixture
def index() -> Iterator[Index]:
    found = Index()
    yield found
    found.silent.set()
    found.server.shutdown()
    found.server.server_close()


def said(index: Index, name: str, version: str = "1.2") -> Availability:
    return ask({name: version}, Sources((index.address,)), 20)[name]


@pytest.mark.parametrize(
    ("files", "version", "yanked", "answer"),
    [
        (["my_lib-1.2-py3-none-any.whl"], "1.2", False, FOUND),
        (["My.Lib-1.2.tar.gz"], "1.2", False, FOUND),
        (["my_lib-1.2-1-py3-none-any.whl"], "1.2", False, FOUND),
        (["my_lib-1.2+cpu-py3-none-any.whl"], "1.2+cpu", False, FOUND),
        (["my_lib-1.2-py3-none-any.whl"], "1.2", True, YANKED),
        (["my_lib-1.2-py3-none-any.whl"], "1.2", "it was broken", YANKED),
        (["my_lib-1.20-py3-none-any.whl", "my_lib-1.2.1.tar.gz"], "1.2", False, MISSING),
        (["my_lib_extra-1.2.tar.gz", "1.2", "my_lib-1.2"], "1.2", False, MISSING),
        ([], "1.2", False, MISSING),
    ],
)
def test_package_is_there_if_a_file_of_that_very_version_is(
    index: Index, files: list[str], version: str, yanked: object, answer: Availability
) -> None:
    index.json("my-lib", *files, yanked=yanked)
    assert said(index, "my-lib", version) is answer


@pytest.mark.parametrize("order", [("filename", "yanked"), ("yanked", "filename")])
def test_release_that_was_taken_back_is_told_from_those_before_and_behind_it(
    index: Index, order: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In whichever order an index names things. Where nothing near is taken back, the answer is not taken apart."""
    parsed = []
    monkeypatch.setattr(
        package_index, "_from_json", lambda body, own=package_index._from_json: parsed.append(1) or own(body)
    )
    files = [
        {"filename": f"a-1.{n}.tar.gz", "yanked": "broken" if n == 4 else False, "requires": '"yanked"'}
        for n in range(9)
    ]
    told = {"files": [{key: file[key] for key in (*order, "requires")} for file in files]}
    index.page("a", json.dumps(told).encode(), "application/vnd.pypi.simple.v1+json")
    for n in range(9):
        assert said(index, "a", f"1.{n}") is (YANKED if n == 4 else FOUND), n
    assert len(parsed) <= 3


def test_index_that_speaks_html_is_understood(index: Index) -> None:
    index.page("a", b"<a href='../../f/a-1.2-py3-none-any.whl#sha256=0'>a</a><a href='x/a-1.3.tar.gz' data-yanked>")
    assert [said(index, "a", version) for version in ("1.2", "1.3", "1.4")] == [FOUND, YANKED, MISSING]


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{", "application/json", 200),
        (b"[]", "application/json", 200),
        (b'{"files": 7}', "application/json", 200),
        (b"", "text/plain", 500),
        (b"", "text/plain", 401),
    ],
)
def test_answer_that_says_nothing_leaves_it_unknown(index: Index, body: bytes, kind: str, status: int) -> None:
    index.page("a", body, kind, status)
    assert said(index, "a") is UNKNOWN


def test_package_that_the_index_does_not_know_is_missing(index: Index) -> None:
    assert said(index, "a") is MISSING


def test_silent_index_leaves_unknown_what_it_was_asked_and_no_more(index: Index) -> None:
    index.json("quick", "quick-1.2.tar.gz")
    index.page("slow", b"", "silence")
    began = time.monotonic()
    found = ask({"quick": "1.2", "slow": "1.2"}, Sources((index.address,)), 0.5)
    assert found["slow"] is UNKNOWN
    assert time.monotonic() - began < 10, "it does not wait for the index, which is silent for twenty seconds"


def test_where_nobody_answers_all_is_unknown() -> None:
    assert ask({"a": "1"}, Sources(("http://127.0.0.1:9/simple",)), 5) == {"a": UNKNOWN}
    assert ask({"a": "1"}, Sources()) == {"a": UNKNOWN}


def test_certificate_or_proxy_that_is_none_leaves_all_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_CERT", "/no/such/file")
    assert ask({"a": "1"}, Sources(("https://127.0.0.1:9/simple",)), 5) == {"a": UNKNOWN}
    monkeypatch.setenv("http_proxy", "socks9://nowhere")
    monkeypatch.delenv("no_proxy", raising=False)
    assert ask({"a": "1"}, Sources(("http://one.example.com/simple",)), 5) == {"a": UNKNOWN}


def test_best_word_of_several_indexes_counts_and_silence_is_no_word(index: Index) -> None:
    index.json("a", "a-1.2.tar.gz")
    nowhere = "http://127.0.0.1:9/simple"
    assert ask({"a": "1.2", "b": "1"}, Sources((nowhere, index.address)), 20) == {"a": FOUND, "b": UNKNOWN}


def test_folder_of_files_and_index_in_folders_count_as_well(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "a-1.2-py3-none-any.whl").write_text("")
    (tmp_path / "b" / "b-1.2.tar.gz").write_text("")
    found = ask({"a": "1.2", "b": "1.2", "c": "1"}, Sources((), (str(tmp_path),)))
    assert found == {"a": FOUND, "b": FOUND, "c": MISSING}
    assert ask({"a": "1.2"}, Sources((), (str(tmp_path / "none"),))) == {"a": UNKNOWN}


def test_password_of_an_index_is_sent_as_a_header_and_never_shown(index: Index) -> None:
    index.json("a", "a-1.2.tar.gz")
    where = Sources((index.address.replace("http://", "http://ci:pa%2Fss@"),))
    assert ask({"a": "1.2"}, where, 20) == {"a": FOUND}
    assert base64.b64decode(index.user.removeprefix("Basic ")) == b"ci:pa/ss"
    assert "pa" not in "".join(where.shown)


def test_sources_are_those_of_pip(tmp_path: Path) -> None:
    file = tmp_path / "pip.conf"
    file.write_text(
        f"[global]\nindex-url = https://one.example.com/simple\nfind-links = {tmp_path}\n[install]\n"
        "extra-index-url = https://two.example.com\n  file:///srv/packages\n"
    )
    found = sources({}, [str(file)])
    assert found.indexes == ("https://one.example.com/simple", "https://two.example.com")
    assert found.folders == ("/srv/packages", str(tmp_path))
    other = sources({"PIP_INDEX_URL": "https://three.example.com", "PIP_EXTRA_INDEX_URL": ""}, [str(file)])
    assert other.indexes[0] == "https://three.example.com"
    assert sources({"PIP_NO_INDEX": "1", "PIP_EXTRA_INDEX_URL": ""}, []).indexes == ()
    file.write_text("no section at all [")
    assert sources({"PIP_INDEX_URL": "https://one.example.com"}, [str(file)]).indexes == ("https://one.example.com",)
