"""No secret reaches any table: not in contents, facts, keys or the audit log, wherever it was planted."""

from __future__ import annotations

import base64
import hashlib
import itertools
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Any

import pytest
import sqlalchemy as sa
from graph_testing import data, thing
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from pedigree_testing import lineage_of
from tfx_pedigree.db import metadata
from tfx_pedigree.digest import canonical_json, digest_of
from tfx_pedigree.lineage.clean_nodes import clean_node
from tfx_pedigree.lineage.graph import Edge, EdgeKind, Fragment, Node, NodeKind
from tfx_pedigree.lineage.lineage import Lineage
from tfx_pedigree.registry import Registry
from tfx_pedigree.secrets import HIDDEN, clean_text, speaks_of_a_secret

pytestmark = pytest.mark.conformance

_LETTERS = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"


def _text(alphabet: str, size: int) -> st.SearchStrategy[str]:
    """Like no word that may stand in a table for another reason."""
    return st.text(alphabet, min_size=size - 3, max_size=size - 3).map(lambda text: f"Z9Q{text}")


_HEX_16 = st.binary(max_size=8).map(lambda data: hashlib.md5(data, usedforsecurity=False).hexdigest())
# Each with the part that must never be seen again.
SHAPED = st.one_of(
    _text("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 16).map(lambda t: ("AKIA" + t, t)),
    _text(_LETTERS, 36).map(lambda t: ("ghp_" + t, t)),
    _text(_LETTERS, 40).map(lambda t: ("github_pat_" + t, t)),
    _text(_LETTERS, 20).map(lambda t: ("glpat-" + t, t)),
    _text(_LETTERS, 24).map(lambda t: ("xoxb-" + t, t)),
    _text(_LETTERS, 35).map(lambda t: ("AIza" + t, t)),
    _text(_LETTERS, 34).map(lambda t: ("hf_" + t, t)),
    _text(_LETTERS, 24).map(lambda t: ("sk_live_" + t, t)),
    _text(_LETTERS, 40).map(lambda t: (f"eyJhbGciOi.{t}.{t[:10]}", t)),
    _text(_LETTERS, 40).map(lambda t: (f"-----BEGIN RSA PRIVATE KEY-----\n{t}\n-----END RSA PRIVATE KEY-----", t)),
    _text(_LETTERS, 12).map(lambda t: (f"postgresql://user:{t}@db.example.org/flights", t)),
    _text(_LETTERS, 12).map(lambda t: (f"https://{t}@git.example.org/flights.git", t)),
    _text(_LETTERS, 12).map(lambda t: (f"https://u:{t}@@host/x", t)),
    _text(_LETTERS, 12).map(lambda t: (f"s3://key:a/b@{t}@bucket/models", t)),
    _text(_LETTERS, 30).map(lambda t: (f"https://b.s3.example.org/x?X-Amz-Signature={t}&y=1", t)),
    _text(_LETTERS, 20).map(lambda t: (f"Authorization: Bearer {t}", t)),
    _text(_LETTERS, 10).map(lambda t: (f"--db-password {t}", t)),
    _text(_LETTERS, 10).map(lambda t: (f"--api-key={t}", t)),
    _text(_LETTERS, 10).map(lambda t: (f'{{"client_secret": "{t}"}}', t)),
    _text(_LETTERS, 10).map(lambda t: (f"DB_PASSWORD='{t}'", t)),
    _text(_LETTERS, 22).map(lambda t: (f"SG.{t}.{t}{t}", t)),
    _HEX_16.map(lambda t: (f"dapi{t}", t)),
    _text(_LETTERS, 24).map(lambda t: (f"hvs.{t}", t)),
    _text("ABCDEFGHJKLMNPQRSTUVWXYZ23456789", 58).map(lambda t: (f"AGE-SECRET-KEY-1{t}", t)),
    _text(_LETTERS, 40).map(lambda t: (f"https://discord.com/api/webhooks/1234567890/{t}", t)),
    _HEX_16.map(lambda t: (f"SK{t}", t)),
    _text(_LETTERS, 12).map(lambda t: (f"mysqldump -h db -p{t} flights", t)),
    _text(_LETTERS, 12).map(lambda t: (f"curl -s -u ada:{t} https://host/x", t)),
    _text(_LETTERS, 12).map(lambda t: (f"curl --user 'ada:{t}' -o out https://host/x", t)),
    _HEX_16.map(lambda t: (f"wandb login --relogin {t}01234567", t)),
    _text(_LETTERS, 12).map(lambda t: (f"machine api.wandb.ai login user password {t}", t)),
    _text(_LETTERS, 44).map(lambda t: (f"DefaultEndpointsProtocol=https;AccountKey={t}==;", t)),
)
NAMED = st.tuples(
    st.sampled_from(
        [
            "password", "DB_PASSWORD", "dbPassword", "api_key", "apiKey", "API-KEY", "token", "authToken", "HF_TOKEN",
            "client_secret", "Authorization", "AWS_SECRET_ACCESS_KEY", "private_key", "credentials", "pgpassword",
        ]
    ),
    _text(_LETTERS, 9),
)  # fmt: skip


def planted(secret: str, where: int) -> Mapping[str, Any]:
    """The secret in so many places, each deeper than the one before."""
    return [
        {"value": secret},
        {"list": ["a", secret]},
        {"deep": {"deeper": [{"x": secret}]}},
        {"text": f"it said {secret} and stopped"},
        {secret: "as a name"},
    ][where]


@pytest.fixture(scope="module")
def open_lineage() -> Iterator[Lineage]:
    with tempfile.TemporaryDirectory() as folder:
        Registry.create(Path(folder) / "registry", actor="ada").close()
        with Registry.open(Path(folder) / "registry", actor="ada") as registry:
            yield lineage_of(registry)


def everything(registry: Registry) -> str:
    """All rows of all tables as text."""
    with registry.transactions.reading(None) as connection:
        return "\n".join(repr(tuple(row)) for t in metadata.sorted_tables for row in connection.execute(sa.select(t)))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(SHAPED, st.integers(0, 4), NAMED, st.integers(0, 10**12)), min_size=1, max_size=10))
def test_no_planted_secret_reaches_any_table(
    open_lineage: Lineage, plants: list[tuple[tuple[str, str], int, tuple[str, str], int]]
) -> None:
    nodes: list[Node] = []
    never: set[str] = set()
    for (text, secret), where, (name, value), number in plants:
        facts = {"note": (f"from {text}",), "api_key": (value,), "uri": (text,)}
        told = Node(NodeKind.PARAMETERS, {"n": number, **planted(text, where)}, facts)
        named = Node(NodeKind.ENVIRONMENT, {"n": number, "variables": {name: value, "nested": {name: [value]}}})
        nodes += [told, named]
        never |= {secret, value, told.key, named.key}
        never |= {digest_of(canonical_json(dict(node.content))) for node in (told, named)}
    edges = tuple(Edge(a.key, EdgeKind.RAN_IN, b.key) for a, b in itertools.pairwise(nodes) if a.key != b.key)
    recorded = open_lineage.record(Fragment(tuple(nodes), edges))
    with open_lineage.importing(f"mysql://{plants[0][0][0]}") as importer:
        importer.add(Fragment(tuple(Node(NodeKind.RUN, node.content, node.facts) for node in nodes)))
    assert recorded.hidden >= 5 * len(plants)
    kept = everything(open_lineage.registry)
    assert not [hidden for hidden in never if hidden in kept]


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://user:hun/ter2@db.example.org/flights",
        "https://u:hun?ter2@host/x",
        "Authorization: Token hunter2",
        '{"headers": {"Authorization": "Key hunter2"}}',
        "DB_PASS=hunter2",
        "--db-pass hunter2",
        r'{"config": "{\"password\": \"hunter2\"}"}',
        r'password="a\"hunter2"',
        "https://hooks.slack.com/services/T0/B0/hunter2",
    ],
)
def test_secrets_in_odd_places_of_a_text_are_hidden(text: str) -> None:
    once = clean_text(text)
    assert "ter2" not in once
    assert clean_text(once) == once


@pytest.mark.parametrize(
    "content",
    [
        {"args": ["run", "--db-password", "hunter2"]},
        {"args": ["/usr/bin/mysql", "-h", "db", "-phunter2", "flights"]},
        {"args": ["curl", "-s", "-u", "ada:hunter2", "https://host.example.org/x"]},
        {"args": ["curl", "-uada:hunter2", "https://host.example.org/x"]},
        {"env": [{"name": "DB_PASSWORD", "value": "hunter2"}]},
        {"env": [{"Key": "API_TOKEN", "Value": ["hunter2"]}]},
        {"creds": {"user": "u", "word": "hunter2"}},
    ],
)
def test_value_beside_the_name_that_speaks_of_a_secret_is_hidden(content: Mapping[str, Any]) -> None:
    once, hidden = clean_node(Node(NodeKind.PARAMETERS, content))
    assert "hunter2" not in repr(once.content)
    assert hidden == 1
    assert clean_node(once) == (once, 0)


@pytest.mark.parametrize(
    "content",
    [
        {"args": ["--password-file", "--verbose", "train"]},
        {"features": [{"name": "passengers", "value": "int64"}, {"key": "tokenizer", "value": "bert"}]},
        {"list": ["token", "value"]},
    ],
)
def test_names_beside_values_that_say_nothing_hide_nothing(content: Mapping[str, Any]) -> None:
    node = Node(NodeKind.PARAMETERS, content)
    assert clean_node(node) == (node, 0)


@pytest.mark.database
def test_edges_follow_their_nodes_when_a_secret_is_taken_out(registry: Registry) -> None:
    lineage = lineage_of(registry)
    secret = Node(NodeKind.PARAMETERS, {"parameters": {"password": "hunter2hunter2", "rate": 0.1}})
    clean = Node(NodeKind.PARAMETERS, {"parameters": {"password": HIDDEN, "rate": 0.1}})
    lineage.record(Fragment((data(1), secret), (Edge(data(1).key, EdgeKind.CONFIGURED_BY, secret.key, secret.key),)))
    (edge,) = lineage.get_upstream(data(1)).edges
    assert (edge.target, edge.run) == (clean.key, clean.key)
    assert not lineage.record(Fragment((clean,))).anything, "the same parameters, whoever hid the password"
    with lineage.importing("elsewhere") as importer:
        importer.add(Fragment((), (Edge(thing(1).key, EdgeKind.CONFIGURED_BY, secret.key),)))
        importer.add(Fragment((thing(1),)))
        importer.add(Fragment((secret,)))
    assert lineage.path(thing(1), clean) is not None


@pytest.mark.parametrize(
    "text",
    [
        "gs://bucket/flights/span-3/split-train",
        "https://git.example.org/team/flights.git",
        "git@git.example.org:team/flights.git",
        "s3://bucket/key=value/x",
        "registry.example.org:5000/image@sha256:" + "a" * 64,
        "sha256:" + "0f" * 32,
        "0f" * 20,
        "StatisticsGen.tokenizer_vocabulary",
        "auc fell by 2 %, more than the 1 % allowed",
        "Basic validation passed",
        "serving_default signature: (None, 3)",
        "2026-11-20T12:00:00.000000Z",
        "n1-standard-4",
        "mysql://db.example.org:3306/mlmd",
        "https://host.example.org:8443/team@v1",
        "numpy==1.26.4",
        "mysql -p",
        "mysql -h db -P 3306 flights",
        "curl -u ada https://host.example.org/x",
        "curl -sS --url https://host.example.org:8443/x",
        "wandb login",
        "models/FlightDelay/2026/run1/serving/abc",
        "sha256-n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=",
        "sha512-7iaw3Ur350mqGo7jwQrpkj9hiYB3Lkc/iBml1JQODbJ6wYX4oOHV+E+IvIh/1nsUNzLDBMxfqa2Ob1f1ACio/w==",
    ],
)
def test_what_is_no_secret_stays_as_it_is(text: str) -> None:
    assert clean_text(text) == text
    node = Node(NodeKind.RUN, {"value": text}, {"note": (text,)})
    assert clean_node(node) == (node, 0)


@pytest.mark.parametrize(
    "name", ["tokenizer", "max_tokens", "compass", "author", "key", "keys", "monkey", "passed", "seed"]
)
def test_names_that_only_sound_alike_hide_nothing(name: str) -> None:
    assert not speaks_of_a_secret(name)


_FORTY_DIGITS, _THIRTY_TWO = "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567", "9f86d081884c7d659a2feaa0c55ad015"
_MIXED = "Zk93hDw0aPq7LsX2vBn8Rt5Y"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("wandb", _FORTY_DIGITS),
        ("WANDB", _FORTY_DIGITS),
        ("wandb_key", _FORTY_DIGITS),
        ("twilio", _THIRTY_TWO),
        ("twilioAuth", _THIRTY_TWO.upper()),
        ("datadog", _THIRTY_TWO),
        ("key", _MIXED),
        ("service_key", _FORTY_DIGITS),
        ("LICENSE_KEY", _MIXED),
    ],
)
def test_keys_without_a_shape_of_their_own_are_known_by_their_name(name: str, value: str) -> None:
    clean, hidden = clean_node(Node(NodeKind.PARAMETERS, {name: value}, {"fact": ("x",)}))
    assert (dict(clean.content), hidden) == ({name: HIDDEN}, 1)
    assert clean_node(clean) == (clean, 0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("commit", _FORTY_DIGITS),
        ("module", _THIRTY_TWO),
        ("cache_key", _FORTY_DIGITS),
        ("public_key", _MIXED),
        ("wandb_commit", _FORTY_DIGITS),
        ("wandb_project", "flight-delay-of-the-autumn"),
        ("feature_key", "trip_start_timestamp_hour_of_day"),
        ("label_key", "tips"),
        ("slicing_keys", "trip_start_hour, trip_start_day"),
        ("key", "0" * 40),
        ("key", "serving_default/outputs/probabilities"),
        ("key", "sha256:" + "0f" * 32),
        ("keyword", _FORTY_DIGITS),
    ],
)
def test_what_only_stands_near_a_key_stays(name: str, value: str) -> None:
    node = Node(NodeKind.PARAMETERS, {name: value})
    assert clean_node(node) == (node, 0)


def test_numbers_of_tokens_stay_and_numbers_under_other_telling_names_do_not() -> None:
    content = {"token_limit": 512, "password": 1234, "use_password": True, "token": None, "secret": ""}
    clean, hidden = clean_node(Node(NodeKind.PARAMETERS, content))
    assert clean.content == {**content, "password": HIDDEN}
    assert hidden == 1


_HEX = st.binary(min_size=16, max_size=64).map(bytes.hex)
_WORD = st.sampled_from(
    ["models", "FlightDelay", "serving", "span-3", "Split-train", "2026", "v1", "keras_tensor_7", "run.log"]
)
ORDINARY = st.one_of(
    st.binary(min_size=32, max_size=32).map(lambda data: f"sha256:{data.hex()}"),
    _HEX,
    _HEX.map(lambda text: f"git commit {text[:40]}"),
    st.uuids().map(str),
    st.tuples(*[st.integers(0, 99)] * 3).map(lambda parts: "{}.{}.{}-rc.1+build.7".format(*parts)),
    st.sampled_from([20, 28, 32, 48, 64]).flatmap(lambda size: st.binary(min_size=size, max_size=size)).map(
        lambda data: f"{base64.b64encode(data).decode()}"
    ),
    st.lists(_WORD, min_size=1, max_size=8).map("/".join),
    st.lists(_WORD, min_size=1, max_size=8).map(lambda words: f"gs://bucket/{'/'.join(words)}"),
    st.datetimes().map(lambda when: f"{when.isoformat()}Z"),
    st.floats().map(str),
)  # fmt: skip


@settings(max_examples=1000, deadline=None)
@given(ORDINARY)
def test_digests_versions_hashes_and_paths_are_no_secrets(text: str) -> None:
    assert clean_text(text) == text
    assert clean_text(f"it is {text}, as before") == f"it is {text}, as before"


@settings(max_examples=200, deadline=None)
@given(st.binary(min_size=30, max_size=30))
def test_bare_aws_secret_is_nearly_always_seen(data: bytes) -> None:
    """A digest of exactly thirty bytes looks the same, and nobody writes one."""
    text = base64.b64encode(data).decode()
    kinds = [("a" if c.islower() else "A" if c.isupper() else "0" if c.isdigit() else "/") for c in text]
    assume(sum(one != other for one, other in itertools.pairwise(kinds)) >= 18 and {"a", "A", "0"} <= set(kinds))
    for told in (text, f"export KEY={text}", f"it is {text}."):
        assert text not in clean_text(told)
        assert clean_text(clean_text(told)) == clean_text(told)


def test_most_aws_secrets_have_many_changes() -> None:
    random = Random(7)
    secrets = ["".join(random.choices(f"{_LETTERS}0l1IOo+/", k=40)) for _ in range(2000)]
    assert sum(clean_text(one) == HIDDEN for one in secrets) > 1950


def test_cleaning_again_changes_nothing() -> None:
    text = "postgresql://u:pw@h/d --token abcdefgh password=x Authorization: Bearer abcdefghijklmnop?sig=abc"
    once = clean_text(text)
    assert clean_text(once) == once
    node, _ = clean_node(Node(NodeKind.PARAMETERS, {"password": "x", "url": text}))
    assert clean_node(node) == (node, 0)


@pytest.mark.parametrize(
    "text",
    [
        "a" * 500_000,
        "a-" * 250_000,
        "eyJ" * 170_000,
        "://" * 170_000,
        "://a:" * 100_000,
        "-----BEGIN " * 40_000,
        "mysql " * 80_000,
        "curl -u " * 60_000,
        "wandb login --a " * 30_000,
        "machine a login b " * 25_000,
        "Aa0/" * 125_000,
    ],
)
def test_long_texts_take_no_longer_than_their_length(text: str) -> None:
    begun = time.process_time()
    clean_text(text * (500_000 // len(text)))
    assert time.process_time() - begun < 5
