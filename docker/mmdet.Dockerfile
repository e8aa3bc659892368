# mmdet as the second detection engine: the gpu worker's environment with older packages over it, as `make mmdet` does.
# WORKER_IMAGE is an argument, so that a build can name a digest.
ARG WORKER_IMAGE=reelgraph/worker-gpu:0.1.0

FROM ${WORKER_IMAGE} AS build
# hadolint ignore=DL3002
USER 0
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
COPY requirements/mmdet.txt requirements/
# hadolint ignore=DL3008,SC2005
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates python3-pip python3-venv \
 && /usr/bin/python3 -m venv --without-pip /opt/mmdet \
 && echo "$(/opt/reelgraph/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" >"$(/opt/mmdet/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/below.pth" \
 && /usr/bin/python3 -m pip --python /opt/mmdet install --no-deps --require-hashes --only-binary :all: --requirement requirements/mmdet.txt \
 && sed '1s|.*|#!/opt/mmdet/bin/python|' /opt/reelgraph/bin/reelgraph >/opt/mmdet/bin/reelgraph \
 && chmod 755 /opt/mmdet/bin/reelgraph

FROM ${WORKER_IMAGE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="reelgraph mmdet" \
      org.opencontainers.image.description="Worker of the gpu profile with mmdet's detectors" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/mmdet /opt/mmdet
ENV PATH=/opt/mmdet/bin:/opt/reelgraph/bin:/usr/local/bin:/usr/bin:/bin
USER 10001:10001
HEALTHCHECK --interval=30s --timeout=5s --start-period=900s --retries=4 CMD ["reelgraph-alive"]
ENTRYPOINT ["tini", "--", "reelgraph-start"]
CMD ["reelgraph", "worker", "--groups", "detect"]
