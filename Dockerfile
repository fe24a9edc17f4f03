# Stage 1 makes one folder, /opt/webhookd: a venv with the locked dependencies and this release's wheel.
FROM python:3.12-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
COPY requirements-otel.lock ./
RUN python -m venv /opt/webhookd \
    && /opt/webhookd/bin/pip install --require-hashes -r requirements-otel.lock
COPY pyproject.toml README.md ./
COPY migrations migrations
COPY webhookd webhookd
RUN python -m pip wheel --no-deps --wheel-dir /dist . \
    && /opt/webhookd/bin/pip install --no-deps /dist/*.whl \
    && /opt/webhookd/bin/webhookd --version

# Stage 2 is Python and that folder. It runs as a user that owns its data and nothing else.
FROM python:3.12-slim
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/webhookd webhookd
COPY --from=build /opt/webhookd /opt/webhookd
ENV PATH=/opt/webhookd/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    WEBHOOKD_DATA_DIR=/var/lib/webhookd \
    WEBHOOKD_HOST=0.0.0.0 \
    WEBHOOKD_LOG_FORMAT=json
USER 10001
WORKDIR /var/lib/webhookd
VOLUME /var/lib/webhookd
EXPOSE 8080
# For `up` and `api`; a container that runs only a worker has no port, so switch this off there.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as u; u.build_opener(u.ProxyHandler({})).open('http://127.0.0.1:' + os.environ.get('WEBHOOKD_PORT', '8080') + '/healthz', timeout=4)"]
ENTRYPOINT ["webhookd"]
CMD ["up"]
