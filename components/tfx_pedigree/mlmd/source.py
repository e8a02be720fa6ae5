"""Where a store is: a SQLite file, a URL, or TFX's metadata_connection_config. Looking at it changes nothing.

MLMD itself makes a database and tables wherever it connects and finds none: so that there is a store is seen here
first, by its own drivers, which also say in time and in words what is wrong with an address.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from google.protobuf import text_format
from ml_metadata.proto import metadata_store_pb2 as pb
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from tfx_pedigree.errors import InvalidInputError, NotFoundError, UnavailableError
from tfx_pedigree.extras import not_installed
from tfx_pedigree.secrets import masked

# So that a password stands in no command line.
PASSWORD_VARIABLE = "PEDIGREE_MLMD_PASSWORD"  # noqa: S105  the variable's name
CONNECT_SECONDS = 10
_SQLITE_MAGIC = b"SQLite format 3\0"
_FORMS = "a SQLite file, mysql://…, postgresql://…, grpc://host:port, or a file with TFX's metadata_connection_config"
_CONFIG_FILES = (".pbtxt", ".textproto", ".txt")
_DRIVERS = {"mysql": "mysql+pymysql", "postgresql": "postgresql+psycopg"}
_PORTS = {"mysql": 3306, "postgresql": 5432}
# MLMD's receiver would refuse answers of more than 4 MB.
_UNLIMITED = -1
_GRPC_SECONDS = 60.0


@dataclass(frozen=True)
class Source:
    """`config` is one of MLMD's two kinds of connection; `shown` is the address as it may be printed."""

    config: Any = field(repr=False)
    shown: str

    @property
    def is_server(self) -> bool:
        """A database server: MLMD waits for it without end."""
        return _kind(self.config) in _DRIVERS

    def check(self) -> None:
        """Raises NotFoundError, InvalidInputError or UnavailableError unless there is a store at the address."""
        kind = _kind(self.config)
        if kind == "sqlite":
            _check_file(Path(self.config.sqlite.filename_uri.removeprefix("file:")))
        if kind in ("sqlite", *_DRIVERS):
            _check_tables(_url(self.config), self.shown)


def source_of(given: Any, environ: Mapping[str, str] | None = None) -> Source:
    """Of an address, of a path, of the text of a connection config, or of the config itself."""
    if isinstance(given, pb.ConnectionConfig | pb.MetadataStoreClientConfig):
        return _of_config(given)
    text = str(given)
    if "://" in text:
        return _of_url(text, os.environ if environ is None else environ)
    if "{" in text or "host:" in text:
        return _of_config(_parsed(text))
    path = Path(text).expanduser()
    if path.suffix in _CONFIG_FILES:
        return _of_config(_parsed(_read(path)))
    return _of_file(path)


def _of_file(path: Path) -> Source:
    config = pb.ConnectionConfig()
    config.sqlite.filename_uri = str(path)
    return _of_config(config)


def _of_config(given: Any) -> Source:
    kind, config = _kind(given), type(given)()
    config.CopyFrom(given)
    if kind == "sqlite":
        config.sqlite.connection_mode = pb.SqliteMetadataSourceConfig.READONLY
        return Source(config, config.sqlite.filename_uri)
    if kind == "mysql":
        config.mysql.skip_db_creation = True
        # To its client library, `localhost` means a socket at a place of its own.
        if config.mysql.host == "localhost" and not config.mysql.socket:
            config.mysql.host = "127.0.0.1"
    elif kind == "postgresql":
        config.postgresql.skip_db_creation = True
    elif kind == "grpc":
        config.channel_arguments.max_receive_message_length = _UNLIMITED
        if not config.HasField("client_timeout_sec"):
            config.client_timeout_sec = _GRPC_SECONDS
        return Source(config, f"grpc://{config.host}:{config.port}")
    else:
        raise InvalidInputError(f"The connection config names no database. The source of ML Metadata is {_FORMS}.")
    return Source(config, _url(config).set(drivername=kind).render_as_string(hide_password=True))


def _kind(config: Any) -> str | None:
    if isinstance(config, pb.MetadataStoreClientConfig):
        return "grpc"
    found: str | None = config.WhichOneof("config")
    return found


def _of_url(text: str, environ: Mapping[str, str]) -> Source:
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise InvalidInputError(
            f"The address {masked(text)} cannot be read. The source of ML Metadata is {_FORMS}."
        ) from None
    scheme = url.get_backend_name()
    if scheme == "sqlite":
        return _of_file(Path(url.database or "").expanduser())
    if scheme == "grpc" and url.host and url.port:
        return _of_config(pb.MetadataStoreClientConfig(host=url.host, port=url.port))
    if scheme not in _DRIVERS or not url.database:
        raise InvalidInputError(f"{masked(text)} names no ML Metadata store: it must be {_FORMS}.")
    if url.password is None and environ.get(PASSWORD_VARIABLE):
        url = url.set(password=environ[PASSWORD_VARIABLE])
    return _of_config(_mysql(url) if scheme == "mysql" else _postgresql(url))


def _mysql(url: URL) -> Any:
    config = pb.ConnectionConfig()
    _fill(
        config.mysql,
        host=url.host or "127.0.0.1",
        port=url.port or _PORTS["mysql"],
        database=url.database,
        user=url.username,
        password=url.password,
        socket=_query(url, "socket") or _query(url, "unix_socket"),
    )
    ssl = {name: _query(url, f"ssl_{name}") for name in ("key", "cert", "ca")}
    if any(ssl.values()):
        _fill(config.mysql.ssl_options, **ssl)
    return config


def _postgresql(url: URL) -> Any:
    config = pb.ConnectionConfig()
    _fill(
        config.postgresql,
        host=url.host or _query(url, "host") or "127.0.0.1",
        port=str(url.port or _query(url, "port") or _PORTS["postgresql"]),
        dbname=url.database,
        user=url.username,
        password=url.password,
    )
    ssl = {name: _query(url, name) for name in ("sslmode", "sslcert", "sslkey", "sslrootcert")}
    if any(ssl.values()):
        _fill(config.postgresql.ssloption, **ssl)
    return config


def _fill(message: Any, **values: Any) -> None:
    for name, value in values.items():
        if value is not None:
            setattr(message, name, value)


def _query(url: URL, name: str) -> str | None:
    value = url.query.get(name)
    return value if isinstance(value, str) else None


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        raise NotFoundError(f"There is no file {path}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"{path} cannot be read as a connection config: {error}.") from None


def _parsed(text: str) -> Any:
    for kind in (pb.ConnectionConfig, pb.MetadataStoreClientConfig):
        try:
            return text_format.Parse(text, kind())
        except text_format.ParseError:
            continue
    # Not echoed: it may hold a password.
    raise InvalidInputError(
        "The text is not a metadata_connection_config: it must read as in `sqlite { filename_uri: 'metadata.sqlite' }`."
    )


# Is there a store?


def _check_file(path: Path) -> None:
    if not path.exists():
        raise NotFoundError(
            f"There is no ML Metadata store {path}. Give the file that metadata_connection_config names."
        )
    try:
        with path.open("rb") as file:
            magic = file.read(len(_SQLITE_MAGIC))
    except OSError as error:
        raise UnavailableError(f"{path} cannot be opened: {error.strerror}.") from None
    if magic != _SQLITE_MAGIC:
        raise InvalidInputError(f"{path} is not an SQLite database. The source of ML Metadata is {_FORMS}.")


def _url(config: Any) -> URL:
    """The address for our own look."""
    kind = _kind(config)
    if kind == "sqlite":
        path = quote(str(Path(config.sqlite.filename_uri.removeprefix("file:")).absolute()))
        return URL.create("sqlite", database=f"file:{path}", query={"mode": "ro", "uri": "true"})
    given = config.mysql if kind == "mysql" else config.postgresql
    query = {"unix_socket": given.socket} if kind == "mysql" and given.socket else {}
    if kind == "postgresql" and given.host.startswith("/"):
        query = {"host": given.host}
    ssl = {"sslmode": given.ssloption.sslmode} if kind == "postgresql" and given.ssloption.sslmode else {}
    if kind == "mysql" and given.ssl_options.ca:
        ssl = {"ssl_ca": given.ssl_options.ca}
    return URL.create(
        _DRIVERS[str(kind)],
        username=given.user or None,
        password=given.password or None,
        host=None if query else given.host or given.hostaddr or None,
        port=int(given.port) if given.port else None,
        database=given.database if kind == "mysql" else given.dbname,
        query={**query, **ssl},
    )


def _check_tables(url: URL, shown: str) -> None:
    engine = _engine(url, shown)
    try:
        with _connected(engine, shown) as connection:
            version = connection.execute(sa.text("SELECT schema_version FROM MLMDEnv")).scalar()
    except DBAPIError as error:
        if "locked" in str(error.orig):
            raise UnavailableError(f"{shown} is locked by somebody who writes. Try again.") from None
        version = None
    finally:
        engine.dispose()
    if version is None:
        raise InvalidInputError(
            f"{shown} is a database, but not an ML Metadata store: it has no table MLMDEnv. Nothing was changed."
        )


def _connected(engine: sa.Engine, shown: str) -> sa.Connection:
    try:
        return engine.connect()
    except DBAPIError as error:
        reason = masked(" ".join(str(error.orig).split())).rstrip(".?! ")
        raise UnavailableError(
            f"The ML Metadata store {shown} cannot be reached: {reason}. "
            f"Check the address; a password is taken from it or from {PASSWORD_VARIABLE}."
        ) from None


def _engine(url: URL, shown: str) -> sa.Engine:
    server = url.get_backend_name() in _DRIVERS
    timeouts: dict[str, int] = {"connect_timeout": CONNECT_SECONDS} if server else {}
    if url.get_backend_name() == "mysql":
        timeouts["read_timeout"] = CONNECT_SECONDS
    try:
        return sa.create_engine(url, connect_args=timeouts, poolclass=sa.NullPool)
    except ModuleNotFoundError as error:
        raise not_installed(f"{shown} is read with the package {error.name}, which is", "lineage", "postgres") from None
