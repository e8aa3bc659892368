# The driver comes from the host (NVIDIA container toolkit) and CUDA's libraries from torch's wheels; the base says to the
# toolkit what it needs, and brings CUDA's runtime. An argument, so that a build can name a digest, or a base of its own:
# any Debian or Ubuntu with Python 3.11 to 3.13.
ARG CUDA_IMAGE=nvidia/cuda:13.0.1-base-ubuntu24.04

FROM ${CUDA_IMAGE} AS python
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends python3 tini \
 && rm -rf /var/lib/apt/lists/* /var/cache/debconf/* \
 && groupadd --gid 10001 reelgraph \
 && useradd --uid 10001 --gid 10001 --home-dir /tmp --shell /usr/sbin/nologin --no-create-home reelgraph \
 && install --directory --owner 10001 --group 10001 --mode 0750 /data /data/storage /frames /weights /sockets

FROM python AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
# the environment has no pip of its own: this stage's installs into it: wheels with known hashes only, but for torch below
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends binutils ca-certificates python3-pip python3-venv \
 && rm -rf /var/lib/apt/lists/* /var/cache/debconf/* \
 && python3 -m venv --without-pip /opt/reelgraph
COPY requirements/cpu.txt requirements/server.txt requirements/gpu.txt requirements/torch.txt requirements/
COPY docker/slim /usr/local/bin/
RUN python3 -m pip --python /opt/reelgraph install --no-deps --require-hashes --only-binary :all: --requirement requirements/cpu.txt \
 && python3 -m pip --python /opt/reelgraph install --no-deps --require-hashes --only-binary :all: --requirement requirements/server.txt \
 && python3 -m pip --python /opt/reelgraph install --no-deps --require-hashes --only-binary :all: --requirement requirements/gpu.txt \
 && slim /opt/reelgraph
# which build of torch is right differs by machine, and so does its hash: neither it nor the CUDA libraries that it brings
# are checked against one here. TORCH_OPTIONS may name another index
ARG TORCH_OPTIONS=""
# hadolint ignore=DL3013,DL3042,SC2086
RUN python3 -m pip --python /opt/reelgraph install ${TORCH_OPTIONS} "$(grep ^torch== requirements/torch.txt)" \
 && python3 -m pip --python /opt/reelgraph install ${TORCH_OPTIONS} --no-deps "$(grep ^torchvision== requirements/torch.txt)" \
 && python3 -m pip --python /opt/reelgraph install --no-deps "$(grep ^openai-whisper== requirements/torch.txt)"
# more of requirements/ for a group that needs it
ARG EXTRA_REQUIREMENTS=""
COPY requirements/ requirements/
RUN for name in ${EXTRA_REQUIREMENTS}; do python3 -m pip --python /opt/reelgraph install --no-deps --require-hashes --only-binary :all: --requirement "requirements/${name}.txt" || exit 1; done
COPY pyproject.toml README.md LICENSE ./
COPY shared shared
COPY tasks tasks
COPY services services
RUN python3 -m pip --python /opt/reelgraph install --no-index --no-deps --no-build-isolation .

FROM python
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="reelgraph worker-gpu" \
      org.opencontainers.image.description="Worker of the gpu profile" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0"
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
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility,video REELGRAPH_PROFILE=gpu
HEALTHCHECK --interval=30s --timeout=5s --start-period=900s --retries=4 CMD ["reelgraph-alive"]
ENTRYPOINT ["tini", "--", "reelgraph-start"]
CMD ["reelgraph", "worker", "--groups", "light"]
