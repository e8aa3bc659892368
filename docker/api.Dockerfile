# Both are arguments, so that a build can name digests: python:3.11-slim-bookworm@sha256:…
ARG PYTHON_IMAGE=python:3.11-slim-bookworm
ARG BUILD_IMAGE=python:3.11-bookworm

FROM ${BUILD_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /src
# the environment has no pip of its own: this stage's installs into it, wheels with known hashes only
RUN python -m venv --without-pip /opt/reelgraph
COPY requirements/api.txt requirements/
COPY docker/slim /usr/local/bin/
# without bytecode, a quarter of the size: a start takes three seconds of CPU more
RUN python -m pip --python /opt/reelgraph install --no-compile --no-deps --require-hashes --only-binary :all: --requirement requirements/api.txt \
 && slim /opt/reelgraph
COPY pyproject.toml README.md LICENSE ./
COPY shared shared
COPY tasks tasks
COPY services services
# the page is built on the machine that builds the image: make page
RUN test -f services/web/static/index.html \
 && python -m pip --python /opt/reelgraph install --no-compile --no-index --no-deps --no-build-isolation . \
 && python -m pip --python /opt/reelgraph uninstall --yes hatchling pathspec pluggy trove-classifiers

FROM ${PYTHON_IMAGE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="reelgraph api" \
      org.opencontainers.image.description="HTTP API and page" \
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
ENV PATH=/opt/reelgraph/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/tmp \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    REELGRAPH_DATA_DIR=/data \
    REELGRAPH_FRAMES_DIR=/frames \
    REELGRAPH_WEIGHTS_DIR=/weights \
    REELGRAPH_LOG_JSON=true
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=4 \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
ENTRYPOINT ["tini", "--"]
CMD ["gunicorn", "services.api:create_app()", "--bind", "0.0.0.0:8000", "--config", "python:services.api.wsgi_server", "--workers", "2", "--threads", "96", "--timeout", "60", "--graceful-timeout", "60", "--keep-alive", "75", "--worker-tmp-dir", "/dev/shm", "--no-control-socket"]
