"""The configuration of Envoy for a target: a listener that splits, the clusters of both places, and the layers."""

from __future__ import annotations

from urllib.parse import urlsplit

from tfx_pedigree.rollout.traffic.envoy import KEPT, KEYS, LINK, EnvoySettings

_HEAD = """\
# Envoy for {model}, from `pedigree rollout template envoy`. Runtime values that begin with {keys} belong to Pedigree.
node: {{id: "pedigree-{model}", cluster: "pedigree"}}
admin:
  address: {{socket_address: {{address: "{admin_host}", port_value: {admin_port}}}}}
stats_flush_interval: 1s
layered_runtime:
  layers:
  - name: start
    static_layer: {{{prefix}{first}: 10000, {prefix}{second}: 0}}
  - name: kept
    disk_layer: {{symlink_root: "{link}", subdirectory: "{kept}"}}
  - name: leased
    rtds_layer:
      name: "{resource}"
      rtds_config:
        resource_api_version: V3
        # Without a controller Envoy starts all the same.
        initial_fetch_timeout: 1s
        api_config_source:
          api_type: GRPC
          transport_api_version: V3
          grpc_services:
          - envoy_grpc:
              cluster_name: pedigree_controller
              retry_policy: {{retry_back_off: {{base_interval: 0.1s, max_interval: 1s}}}}
  - name: process
    admin_layer: {{}}
static_resources:
  listeners:
  - name: pedigree
    address: {{socket_address: {{address: "{host}", port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: pedigree
          route_config:
            virtual_hosts:
            - name: pedigree
              domains: ["*"]
              routes:
              - match: {{prefix: "/"}}
                route:
                  timeout: 60s
                  weighted_clusters:
                    runtime_key_prefix: "{keys}"
                    clusters:
{weights}\
                  # A prediction changes nothing, so a failed one is asked again, of the other place if there is one.
                  retry_policy:
                    retry_on: connect-failure,refused-stream,reset
                    num_retries: 2
                    retry_priority:
                      name: envoy.retry_priorities.previous_priorities
                      typed_config:
                        "@type": type.googleapis.com/envoy.extensions.retry.priority.previous_priorities.v3.\
PreviousPrioritiesConfig
                        update_frequency: 1
                  request_mirror_policies:
{mirrors}\
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
  clusters:
  - name: pedigree_controller
    type: STRICT_DNS
    connect_timeout: 1s
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {{http2_protocol_options: {{}}}}
    load_assignment: {{cluster_name: pedigree_controller, {controller}}}
"""

_MIRROR = """\
                  - cluster: "{cluster}"
                    runtime_fraction:
                      default_value: {{numerator: 0, denominator: TEN_THOUSAND}}
                      runtime_key: "{key}"
"""

_CLUSTER = """\
  - name: "{cluster}"
    type: STRICT_DNS
    connect_timeout: 1s
    # What a check finds reaches the workers at once: by default they may go by the last finding for a second.
    common_lb_config: {{healthy_panic_threshold: {{value: 0}}, update_merge_window: 0s}}
    load_assignment: {{cluster_name: "{cluster}", {endpoints}}}
    health_checks:
    - timeout: 1s
      interval: 0.5s
      no_traffic_interval: 0.5s
      unhealthy_interval: 0.2s
      unhealthy_threshold: 2
      healthy_threshold: 1
      http_health_check: {{path: "/v1/models/{serves_as}"}}
"""


def envoy_template(settings: EnvoySettings, listen: str) -> str:
    places = settings.places
    admin = urlsplit(settings.admin)
    host, _, port = listen.rpartition(":")
    controller_host, _, controller_port = settings.listen.rpartition(":")
    head = _HEAD.format(
        model=places.model,
        prefix=settings.prefix,
        admin_host=admin.hostname,
        admin_port=admin.port,
        first=places.first.name,
        second=places.second.name,
        link=settings.runtime / LINK,
        kept=KEPT,
        resource=settings.resource,
        host=host,
        port=port,
        keys=KEYS,
        weights="".join(_weights(settings)),
        mirrors="".join(
            _MIRROR.format(cluster=settings.cluster(place.name), key=f"{settings.prefix}{place.name}_mirror")
            for place in places.both
        ),
        controller=_endpoints((controller_host, int(controller_port))),
    )
    return head + "".join(_clusters(settings))


def _weights(settings: EnvoySettings) -> list[str]:
    first = settings.places.first.name
    names = [f"{place.name}{suffix}" for place in settings.places.both for suffix in ("", "_or_other")]
    return [
        f'                    - {{name: "{settings.cluster(name)}", weight: {10_000 * (name == first)}}}\n'
        for name in names
    ]


def _clusters(settings: EnvoySettings) -> list[str]:
    """Each place alone; and each with the other behind it, which answers what the first one fails."""
    first, second = settings.places.both
    wanted = {first.name: [first], second.name: [second]}
    wanted |= {f"{first.name}_or_other": [first, second], f"{second.name}_or_other": [second, first]}
    return [
        _CLUSTER.format(
            cluster=settings.cluster(name),
            endpoints=_endpoints(*((place.host, place.port) for place in places)),
            serves_as=settings.places.serves_as,
        )
        for name, places in wanted.items()
    ]


def _endpoints(*addresses: tuple[str, int]) -> str:
    rows = []
    for priority, (host, port) in enumerate(addresses):
        address = f'{{socket_address: {{address: "{host}", port_value: {port}}}}}'
        rows.append(f"{{priority: {priority}, lb_endpoints: [{{endpoint: {{address: {address}}}}}]}}")
    return f"endpoints: [{', '.join(rows)}]"
