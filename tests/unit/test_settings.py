"""Four layers of settings, and what is said of a file that cannot be meant."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfx_pedigree.errors import InvalidInputError, NotFoundError
from tfx_pedigree.settings import Settings, load, masked


def loaded(folder: Path, environ: dict[str, str] | None = None, **options: str) -> Settings:
    return load(folder=folder, environ=environ or {}, **options)  # type: ignore[arg-type]


def test_default_registry_is_found_from_folders_below_it(tmp_path: Path) -> None:
    below = tmp_path / "project" / "notebooks"
    below.mkdir(parents=True)
    (tmp_path / ".pedigree").mkdir()
    assert loaded(below).registry == str(tmp_path / ".pedigree")
    (tmp_path / "project" / ".pedigree").mkdir()
    assert loaded(below).registry == str(tmp_path / "project" / ".pedigree")


def test_default_is_a_folder_here_and_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "mia")
    found = loaded(tmp_path)
    assert (found.registry, found.store, found.actor) == (str(tmp_path / ".pedigree"), None, "mia")
    assert found.sources == {"registry": "default", "store": "the registry", "actor": "default"}


def test_at_a_server_the_token_says_who_acts(tmp_path: Path) -> None:
    found = loaded(tmp_path, registry="https://pedigree.example.com")
    assert found.to_json()["actor"] == {"value": None, "source": "the token in PEDIGREE_TOKEN"}
    named = loaded(tmp_path, registry="https://pedigree.example.com", actor="mia")
    assert named.to_json()["actor"] == {"value": "mia", "source": "--actor"}


def test_user_without_a_name_acts_under_a_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found: 1000")

    monkeypatch.setattr("getpass.getuser", nameless)
    assert loaded(tmp_path).actor.startswith("uid-")


def test_each_layer_outranks_the_one_below(tmp_path: Path) -> None:
    file = tmp_path / "pedigree.toml"
    file.write_text('actor = "from file"\nstore = "s3://bucket/file"\nregistry = "in-file"\n')
    environ = {"PEDIGREE_ACTOR": "from environment", "PEDIGREE_STORE": "s3://bucket/environment"}
    found = loaded(tmp_path, environ, actor="from option")
    assert found.actor == "from option"
    assert found.store == "s3://bucket/environment"
    assert found.registry == str(tmp_path / "in-file")
    assert found.sources == {
        "actor": "--actor",
        "store": "PEDIGREE_STORE",
        "registry": f"{file}, line 3",
    }


def test_empty_environment_variable_is_none(tmp_path: Path) -> None:
    assert loaded(tmp_path, {"PEDIGREE_REGISTRY": ""}).sources["registry"] == "default"


def test_pedigree_toml_is_found_upwards(tmp_path: Path) -> None:
    (tmp_path / "pedigree.toml").write_text('registry = "reg"\n')
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    assert loaded(inner).registry == str(tmp_path / "reg")
    assert loaded(inner).file == tmp_path / "pedigree.toml"


def test_named_file_takes_the_place_of_the_found_one(tmp_path: Path) -> None:
    (tmp_path / "pedigree.toml").write_text('registry = "found"\n')
    (tmp_path / "named.yaml").write_text("registry: named\n")
    assert loaded(tmp_path, config="named.yaml").registry == str(tmp_path / "named")
    assert loaded(tmp_path, {"PEDIGREE_CONFIG": "named.yaml"}).registry == str(tmp_path / "named")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("../reg", "{root}/configs/../reg"),
        ("/abs/reg", "/abs/reg"),
        ("sqlite:///reg.db", "sqlite:///{root}/configs/reg.db"),
        ("sqlite:////abs/reg.db", "sqlite:////abs/reg.db"),
        ("postgresql://ann@host/name", "postgresql://ann@host/name"),
    ],
)
def test_relative_places_in_a_file_are_relative_to_the_file(tmp_path: Path, written: str, meant: str) -> None:
    configs = tmp_path / "configs"
    configs.mkdir()
    (configs / "local.yaml").write_text(f"registry: {written}\n")
    assert loaded(tmp_path, config="configs/local.yaml").registry == meant.format(root=tmp_path)


def test_home_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/mia")
    assert loaded(tmp_path, registry="~/reg").registry == "/home/mia/reg"


@pytest.mark.parametrize("name", ["x.yaml", "x.yml", "x.toml"])
def test_sections_of_other_features_and_empty_files_are_passed_over(tmp_path: Path, name: str) -> None:
    toml = name.endswith("toml")
    (tmp_path / name).write_text("[pipeline]\nroot = 1\n" if toml else "pipeline: {root: 1}\nregistry:\n")
    assert loaded(tmp_path, config=name).sources["registry"] == "default"
    (tmp_path / name).write_text("")
    assert loaded(tmp_path, config=name).sources["registry"] == "default"


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("x.yaml", "\nregisty: here\n", r"x\.yaml, line 2: there is no setting `registy`\. Did you mean `registry`\?"),
        ("x.toml", '\nactr = "mia"\n', r"x\.toml, line 2: there is no setting `actr`\. Did you mean `actor`\?"),
        (
            "x.yaml",
            "colour: red\n",
            r"line 1: there is no setting `colour`\. The settings are registry, store, actor\.",
        ),
        ("x.yaml", "stores: {url: x}\n", r"Did you mean `store`\?"),
        ("x.yaml", "actor: 42\n", r"line 1: `actor` must be a text, but is a number\. Put it in quotes\."),
        ("x.toml", "actor = 42\n", r"line 1: `actor` must be a text, but is a number"),
        ("x.yaml", "registry: [a]\n", r"must be a text, but is a list"),
        ("x.toml", "[registry]\nurl = 1\n", r"line 1: `registry` must be a text, but is a section"),
        ("x.yaml", "actor: a\nactor: b\n", r"line 2: the key `actor` stands there twice"),
        ("x.yaml", "actor: ''\n", r"`actor` is empty"),
        ("x.yaml", "a: [\n", r"x\.yaml, line \d: this is not YAML"),
        ("x.yaml", "- a\n", r"line 1: settings are written as `key: value`"),
        ("x.toml", "a = \n", r"this is not TOML: .*line 1"),
        ("x.ini", "a = 1\n", r"Name it \.yaml, \.yml or \.toml"),
    ],
)
def test_file_that_cannot_be_meant_is_refused_by_name_key_and_line(
    tmp_path: Path, name: str, content: str, sentence: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InvalidInputError, match=sentence):
        loaded(tmp_path, config=name)


def test_file_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="none.yaml, which PEDIGREE_CONFIG names"):
        loaded(tmp_path, {"PEDIGREE_CONFIG": "none.yaml"})
    (tmp_path / "x.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidInputError, match="not UTF-8"):
        loaded(tmp_path, config="x.yaml")
    with pytest.raises(InvalidInputError, match="cannot be read"):
        loaded(tmp_path, config=str(tmp_path))


@pytest.mark.parametrize("address", ["postgresql:/ann:geheim@host/x", "ann:geheim@host/x", "postgres:x"])
def test_what_is_nearly_a_url_is_refused_without_its_password(tmp_path: Path, address: str) -> None:
    with pytest.raises(InvalidInputError, match="neither a path nor a URL") as caught:
        loaded(tmp_path, registry=address)
    assert "geheim" not in str(caught.value)


@given(
    user=st.text(st.characters(categories=["L", "N"]), max_size=8),
    password=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=12).filter(lambda p: "***" not in p),
)
def test_no_password_survives_masking(user: str, password: str) -> None:
    url = f"postgresql://{user}:{password}@host:5432/name"
    assert password not in masked(url)
    assert password not in masked(f"cannot reach {url} now")
    settings = load(registry=url, actor="mia", environ={}, folder=Path("/"))
    assert password not in repr(settings) + str(settings.to_json())


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://ann@host/x", "postgresql://ann@host/x"),
        ("postgresql://host/x?password=geheim&sslmode=require", "postgresql://host/x?password=***&sslmode=require"),
        ("s3://key:secret@bucket/x", "s3://key:***@bucket/x"),
        ("/plain/path", "/plain/path"),
        ("flight-delay@1.2.0", "flight-delay@1.2.0"),
    ],
)
def test_masking_leaves_what_is_no_secret(text: str, shown: str) -> None:
    assert masked(text) == shown


def test_example_configuration_can_be_read() -> None:
    configs = Path(__file__).parents[2] / "configs"
    found = load(config=configs / "local.yaml", environ={})
    assert found.registry == str(configs / "../.pedigree")
