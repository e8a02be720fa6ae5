"""The configuration of HAProxy for a target: a frontend that splits, and the backends of both places."""

from __future__ import annotations

from tfx_pedigree.rollout.traffic.haproxy import BOUNDS, HaproxySettings
from tfx_pedigree.rollout.traffic.places import Place

_HEAD = """\
# HAProxy (2.6 or newer) for {model}, from `pedigree rollout template haproxy`. Start it in master-worker mode
# (haproxy -W): a reload then keeps the listening sockets, and the share, which is in the map's file.
global
    master-worker
    stats socket {socket} mode 600 level admin expose-fd listeners
    stats timeout 30s
    hard-stop-after 60s

defaults
    mode http
    timeout connect 1s
    timeout client 60s
    timeout server 60s
    timeout http-keep-alive 60s

# How long each place took, in counters: up to each bound, and all.
backend {table}
    stick-table type string len 32 size 16 store gpc({counters})

frontend {prefix}
    bind {listen}
    # At a reload a connection is closed with its next answer: a request that is on its way is never cut off.
    option idle-close-on-response
    # Once for each request: an ACL with rand() would draw again each time it is looked at.
    http-request set-var(txn.draw) rand(10000)
    http-request set-var(txn.now) date(0,ms)
    # until:share of {second}:who gets everything afterwards
    http-request set-var(txn.route) str(route),map({map},0:0:{first})
    http-request set-var(txn.left) var(txn.route),field(1,:),sub(txn.now)
    http-request set-var(txn.over) var(txn.route),field(2,:),sub(txn.draw)
    acl leased var(txn.left) -m int gt 0
    acl drawn var(txn.over) -m int gt 0
    acl keeps_{second} var(txn.route),field(3,:) -m str {second}
    use_backend {prefix}_{second} if !leased keeps_{second}
    use_backend {prefix}_{first} if !leased
    use_backend {prefix}_{second} if drawn keeps_{second}
    use_backend {prefix}_{second}_or_other if drawn
    use_backend {prefix}_{first}_or_other if keeps_{second}
    default_backend {prefix}_{first}
"""

_BACKEND = """
backend {name}
    retries 2
    retry-on conn-failure empty-response response-timeout
    http-response track-sc2 srv_name table {table}
    http-response set-var(txn.took) date(0,ms),sub(txn.now)
"""


def haproxy_template(settings: HaproxySettings, listen: str) -> str:
    places = settings.places
    head = _HEAD.format(
        model=places.model,
        socket=settings.socket,
        table=settings.latency_table,
        counters=len(BOUNDS) + 1,
        prefix=settings.prefix,
        listen=listen,
        map=settings.map,
        first=places.first.name,
        second=places.second.name,
    )
    parts = [head]
    for place, other in (places.both, places.both[::-1]):
        parts += [_alone(settings, place), _with_other(settings, place, other)]
    return "".join(parts)


def _alone(settings: HaproxySettings, place: Place) -> str:
    check = f"    option httpchk GET /v1/models/{settings.places.serves_as}\n    http-check expect status 200\n"
    server = f"    server {place.name} {place.host}:{place.port} check inter 500ms fastinter 200ms fall 2 rise 1\n"
    return _backend(settings, f"{settings.prefix}_{place.name}") + check + server


def _with_other(settings: HaproxySettings, place: Place, other: Place) -> str:
    """While `place` is tried out, `other` answers what it fails: the client sees nothing, and the counters all."""
    name = f"{settings.prefix}_{place.name}"
    servers = [
        "    balance roundrobin\n    option redispatch 1\n",
        f"    use-server {place.name} if TRUE\n",
        *(
            f"    server {one.name} {one.host}:{one.port} track {settings.prefix}_{one.name}/{one.name}\n"
            for one in (place, other)
        ),
    ]
    return _backend(settings, f"{name}_or_other") + "".join(servers)


def _backend(settings: HaproxySettings, name: str) -> str:
    rows = [
        f"    http-response sc-inc-gpc({at},2) if {{ var(txn.took) -m int le {bound:g} }}\n"
        for at, bound in enumerate(BOUNDS)
    ]
    rows.append(f"    http-response sc-inc-gpc({len(BOUNDS)},2)\n")
    return _BACKEND.format(name=name, table=settings.latency_table) + "".join(rows)
