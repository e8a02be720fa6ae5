"""A runtime discovery service (xDS over gRPC) for Envoy: shares with a time to live, which Envoy ends by itself.

One server for each address in a process, whoever opens managers on it. It sends what was published, at each
publication, and keeps what Envoy answered: taken or refused. It renews nothing by itself: when nobody publishes any
longer, or this process is gone, Envoy drops the share when the time is over.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent import futures
from dataclasses import dataclass, field
from typing import Any

import grpc

from tfx_pedigree.errors import UnavailableError
from tfx_pedigree.rollout.traffic.protobuf import DiscoveryRequest, Value, discovery_response, runtime_resource
from tfx_pedigree.text import plain
from tfx_pedigree.versioning.wire import WireError

SERVICE = "envoy.service.runtime.v3.RuntimeDiscoveryService"
_MOST_STREAMS = 32
_IDLE_SECONDS = 5.0
_servers: dict[str, RuntimeServer] = {}
_servers_lock = threading.Lock()


@dataclass(frozen=True)
class Published:
    """A layer that holds until the clock says `until`; None: until another one comes."""

    layer: Mapping[str, Value]
    version: int
    until: float | None


@dataclass
class _Stream:
    """One Envoy. `inbox` holds its requests, and None for a new publication."""

    inbox: queue.SimpleQueue[bytes | Exception | None] = field(default_factory=queue.SimpleQueue)
    names: tuple[str, ...] = ()
    sent: dict[str, tuple[str, int]] = field(default_factory=dict)  # nonce and version of the last answer, by name
    taken: dict[str, int] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Delivery:
    """How a resource stands with the Envoys that are connected."""

    published: Mapping[str, Value] | None
    connected: int
    taken: bool
    refused: str | None


class RuntimeServer:
    def __init__(self, address: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._resources: dict[str, Published] = {}
        self._streams: list[_Stream] = []
        self._nonces = 0
        handler = grpc.stream_stream_rpc_method_handler(self._stream)
        # Without SO_REUSEPORT a second controller is refused the port, and does not get half of the Envoys.
        options = [("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", 1 << 20)]
        self._server = grpc.server(futures.ThreadPoolExecutor(_MOST_STREAMS, "rtds"), options=options)
        self._server.add_generic_rpc_handlers(
            [grpc.method_handlers_generic_handler(SERVICE, {"StreamRuntime": handler})]
        )
        try:
            self.port = self._server.add_insecure_port(address)
        except RuntimeError:
            self.port = 0
        if not self.port:
            raise UnavailableError(
                f"The controller cannot listen at {address} for Envoy. Another controller on this host may: stop it, "
                "or wait until it ends."
            )
        self._server.start()
        self._renewed_at = clock()

    def publish(self, name: str, layer: Mapping[str, Value], seconds: float | None) -> None:
        with self._lock:
            before = self._resources.get(name)
            version = before.version + (before.layer != layer) if before else 1
            until = None if seconds is None else self._clock() + seconds
            self._resources[name] = Published(dict(layer), version, until)
            self._renewed_at = self._clock()
            streams = list(self._streams)
        for stream in streams:
            stream.inbox.put(None)

    def delivery(self, name: str) -> Delivery:
        with self._lock:
            published = self._resources.get(name)
            streams = [one for one in self._streams if name in one.names]
            if published is None:
                return Delivery(None, len(streams), taken=True, refused=None)
            refused = next((one.refused[name] for one in streams if name in one.refused), None)
            taken = bool(streams) and all(one.taken.get(name) == published.version for one in streams)
            return Delivery(published.layer, len(streams), taken, refused)

    def is_idle(self, seconds: float) -> bool:
        """Whether nobody published for so long, and nothing that was published holds any longer."""
        with self._lock:
            now = self._clock()
            held = any(one.until is not None and one.until > now for one in self._resources.values())
            return not held and now - self._renewed_at > seconds

    def stop(self) -> None:
        self._server.stop(grace=None).wait()

    def _stream(self, requests: Iterator[bytes], context: Any) -> Iterator[bytes]:
        stream = _Stream()
        with self._lock:
            self._streams.append(stream)
        reader = threading.Thread(target=_read, args=(requests, stream.inbox), daemon=True)
        reader.start()
        try:
            while True:
                item = stream.inbox.get()
                if isinstance(item, Exception):
                    return
                if item is not None and not self._heard(stream, item):
                    continue
                yield from self._answers(stream, again=item is None)
        except WireError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        finally:
            with self._lock:
                self._streams.remove(stream)

    def _heard(self, stream: _Stream, data: bytes) -> bool:
        """Notes what Envoy took or refused. Whether it asks for something that it has not been told."""
        request = DiscoveryRequest.of(data)
        with self._lock:
            asks = set(request.names) - set(stream.names)
            stream.names = request.names
            for name, (nonce, version) in stream.sent.items():
                if nonce != request.nonce:
                    continue
                if request.error is None:
                    stream.taken[name] = version
                    stream.refused.pop(name, None)
                else:
                    stream.refused[name] = f"Envoy refuses the share: {plain(request.error, 300)}"
        return bool(asks)

    def _answers(self, stream: _Stream, *, again: bool) -> Iterator[bytes]:
        """What is published of what this Envoy asks for; one answer each. `again`: also what it has, as a renewal."""
        for name in stream.names:
            with self._lock:
                published = self._resources.get(name)
                if published is None or (not again and name in stream.sent):
                    continue
                left = None if published.until is None else published.until - self._clock()
                over = left is not None and left <= 0
                self._nonces += 1
                nonce = str(self._nonces)
                stream.sent[name] = (nonce, published.version)
            resource = runtime_resource(name, {} if over else published.layer, None if over else left)
            yield discovery_response(str(published.version), nonce, [resource])


def _read(requests: Iterator[bytes], inbox: queue.SimpleQueue[bytes | Exception | None]) -> None:
    try:
        for request in requests:
            inbox.put(request)
        inbox.put(EOFError())
    except grpc.RpcError as error:  # the connection is gone
        inbox.put(error)


def shared_server(address: str) -> RuntimeServer:
    """The one of this process for the address. It gives the address up when it has nothing to say for a while, so that
    another controller can take over from one that is alive and drives no longer.
    """
    with _servers_lock:
        if address not in _servers:
            _servers[address] = RuntimeServer(address)
            threading.Thread(target=_release_when_idle, args=(address, _servers[address]), daemon=True).start()
        return _servers[address]


def _release_when_idle(address: str, server: RuntimeServer) -> None:
    while running_server(address) is server:
        time.sleep(_IDLE_SECONDS / 5)
        with _servers_lock:
            if not server.is_idle(_IDLE_SECONDS) or _servers.get(address) is not server:
                continue
            del _servers[address]
        server.stop()


def running_server(address: str) -> RuntimeServer | None:
    """The one of this process, if it has one."""
    with _servers_lock:
        return _servers.get(address)


def release_server(address: str) -> None:
    """Frees the address for another controller. What Envoy was sent holds until its time is over."""
    with _servers_lock:
        server = _servers.pop(address, None)
    if server is not None:
        server.stop()
