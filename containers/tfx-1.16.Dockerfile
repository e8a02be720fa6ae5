# The image in which each task of a compiled pipeline runs, on the TFX 1.16 line. docs/containers.md is about it.
#
#   docker build -f containers/tfx-1.16.Dockerfile -t pedigree:tfx-1.16 .
#
# Any image with this line's Python, its headers and its venv module is a base; the digest says which one it was.
ARG BASE=python:3.10-slim-bookworm@sha256:9643927a6fc74bd81b0f1bbb5cce3cb4a491f46b4c5dbee770f28e575f180015

# hadolint ignore=DL3006
FROM ${BASE} AS build
ARG LOCK=image-1.16.txt
# pyfarmhash has no wheel. The compiler, of whatever version the base's Debian has, stays behind in this stage.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends g++ && rm -rf /var/lib/apt/lists/* && \
    python3 -m venv /opt/pedigree
ENV PATH=/opt/pedigree/bin:$PATH PIP_DISABLE_PIP_VERSION_CHECK=1
COPY requirements/image-tools.txt requirements/${LOCK} /build/
# How pip reaches a private index is a secret of the build: nothing of it stays. Without these secrets it goes to PyPI.
# hadolint ignore=DL3042
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    --mount=type=secret,id=ca.crt,target=/run/secrets/ca.crt \
    --mount=type=cache,target=/var/cache/pip \
    export PIP_CACHE_DIR=/var/cache/pip && \
    pip install --require-hashes --no-deps -r /build/image-tools.txt && \
    pip install --require-hashes --no-build-isolation -r "/build/${LOCK}" && \
    cp "/build/${LOCK}" /opt/pedigree/lock.txt
COPY . /build/project
# Removed are headers that only compilers read, and the tests of the large packages: a fifth of all.
RUN pip install --no-cache-dir --no-index --no-deps --no-build-isolation /build/project && \
    find /opt/pedigree/lib -depth -type d -regextype posix-extended \
    -regex '.*/site-packages/((tensorflow|pyarrow)/include|(numpy|pandas|pyarrow|scipy|sklearn|sympy)(/.+)?/tests)' \
    -exec rm -rf {} +

# hadolint ignore=DL3006
FROM ${BASE}
LABEL org.opencontainers.image.title="Pedigree on TFX 1.16" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/pedigree /opt/pedigree
RUN groupadd --gid 10001 pedigree && useradd --uid 10001 --gid 10001 --create-home pedigree
ENV PATH=/opt/pedigree/bin:$PATH \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
# A number, because a cluster that refuses root cannot look up names.
USER 10001:10001
WORKDIR /home/pedigree
# A compiled pipeline brings its own command for each task; run by itself, the image says whether it is sound.
CMD ["python", "-m", "tfx_pedigree.self_check", "/opt/pedigree/lock.txt"]
