# The server of a registry: the command line without TFX, and what it takes to serve. docs/deployment.md is about it.
#
#   docker build -f containers/server.Dockerfile -t pedigree:server .
ARG BASE=python:3.13-slim-trixie@sha256:ffb752e139c0a19692a43af8d8523b274222dd68eebad5d583b45c2201c6e30a

# hadolint ignore=DL3006
FROM ${BASE} AS build
RUN python3 -m venv /opt/pedigree
ENV PATH=/opt/pedigree/bin:$PATH PIP_DISABLE_PIP_VERSION_CHECK=1
COPY requirements/image-tools.txt requirements/image-server.txt /build/
# How pip reaches a private index is a secret of the build: nothing of it stays. Without these secrets it goes to PyPI.
# hadolint ignore=DL3042
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    --mount=type=secret,id=ca.crt,target=/run/secrets/ca.crt \
    --mount=type=cache,target=/var/cache/pip \
    export PIP_CACHE_DIR=/var/cache/pip && \
    pip install --require-hashes --no-deps -r /build/image-tools.txt && \
    pip install --require-hashes --no-build-isolation -r /build/image-server.txt && \
    cp /build/image-server.txt /opt/pedigree/lock.txt
COPY . /build/project
RUN pip install --no-cache-dir --no-index --no-deps --no-build-isolation /build/project

# hadolint ignore=DL3006
FROM ${BASE}
LABEL org.opencontainers.image.title="Pedigree's server" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/pedigree /opt/pedigree
# A new volume of Docker's gets the owner of the folder on which it is mounted.
RUN groupadd --gid 10001 pedigree && useradd --uid 10001 --gid 10001 --create-home pedigree && \
    install -d -m 0700 -o 10001 -g 10001 /var/lib/pedigree
ENV PATH=/opt/pedigree/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
EXPOSE 8321
# A number, because a cluster that refuses root cannot look up names.
USER 10001:10001
WORKDIR /home/pedigree
# A deployment brings its own command; run by itself, the image says whether it is sound.
CMD ["python", "-m", "tfx_pedigree.self_check", "/opt/pedigree/lock.txt"]
