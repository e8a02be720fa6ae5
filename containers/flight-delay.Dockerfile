# The reference pipeline on top of Pedigree's image: what configs/kubeflow.yaml and configs/vertex.yaml call the image.
# Code of your own goes on top in the same way.
#
#   docker build -f containers/flight-delay.Dockerfile --build-arg BASE=pedigree:tfx-1.16 -t flight-delay:1 .
ARG BASE=pedigree:tfx-1.16

# hadolint ignore=DL3006
FROM ${BASE}
LABEL org.opencontainers.image.title="Flight delays, a pipeline with Pedigree"
# `settings.code` in the config names this place.
COPY pipelines/flight_delay /opt/flight-delay/pipelines/flight_delay
ENV PYTHONPATH=/opt/flight-delay
USER 10001:10001
