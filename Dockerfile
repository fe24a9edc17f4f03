# The base image, by its tag. To pin what it is today: docker buildx imagetools inspect python:3.13-slim prints its digest,
# for --build-arg PYTHON_IMAGE=python:3.13-slim@sha256:… (with compose: PYTHON_IMAGE in .env).
ARG PYTHON_IMAGE=python:3.13-slim

# Stage 1 makes one folder, /opt/webhookd: a venv with the locked dependencies and this release's wheel. Whatever pip takes from
# elsewhere, the build back end too, has its hash in a lock file.
FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
COPY requirements-otel.lock requirements-build.lock ./
RUN python -m venv /opt/build \
    && /opt/build/bin/pip install --require-hashes -r requirements-build.lock \
    && python -m venv /opt/webhookd \
    && /opt/webhookd/bin/pip install --require-hashes -r requirements-otel.lock
COPY pyproject.toml README.md ./
COPY migrations migrations
COPY webhookd webhookd
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --no-index --wheel-dir /dist . \
    && /opt/webhookd/bin/pip install --no-deps --no-index /dist/*.whl \
    && /opt/webhookd/bin/webhookd --version

# Stage 2 is Python, an init and that folder. It runs as a user that owns its data and nothing else.
FROM ${PYTHON_IMAGE}
# tini reaps what functions leave behind: orphans come to process 1, and would stay zombies there.
# hadolint ignore=DL3008 # a version of Debian's would bind the file to one state of the base image
RUN apt-get update \
    && apt-get install --yes --no-install-recommends tini \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --system --gid 10001 webhookd \
    && useradd --system --uid 10001 --gid 10001 --create-home --home-dir /var/lib/webhookd webhookd \
    && chmod 700 /var/lib/webhookd
COPY --from=build /opt/webhookd /opt/webhookd
ENV PATH=/opt/webhookd/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    WEBHOOKD_DATA_DIR=/var/lib/webhookd \
    WEBHOOKD_HOST=0.0.0.0 \
    WEBHOOKD_LOG_FORMAT=json
USER 10001:10001
WORKDIR /var/lib/webhookd
VOLUME /var/lib/webhookd
EXPOSE 8080
# For `up` and `api`, at WEBHOOKD_HOST and WEBHOOKD_PORT. A container that runs only a worker has no port: switch this off there.
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --start-interval=2s --retries=3 \
    CMD ["python", "-m", "webhookd.healthcheck"]
# -s: it reaps below another init (docker run --init), too.
ENTRYPOINT ["/usr/bin/tini", "-s", "--", "webhookd"]
CMD ["up"]
