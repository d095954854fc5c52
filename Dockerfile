# One image for every process of the product: `serve` (the default), `worker`, `migrate`, `doctor`.
# The libraries are installed in a stage of their own, by hash, from wheels: nothing is compiled here.
# (dkimpy is the one published as source only; it is plain Python.)
FROM python:3.11.15-slim-trixie AS libraries
WORKDIR /build
COPY requirements.lock ./
RUN python -m venv --without-pip /opt/mts \
    && pip --python /opt/mts install --no-cache-dir --disable-pip-version-check --no-deps \
       --only-binary :all: --no-binary dkimpy --require-hashes --requirement requirements.lock

FROM python:3.11.15-slim-trixie
ARG VERSION=1.0.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="mts" \
      org.opencontainers.image.description="A multi-tenant SaaS API platform over Postgres row-level security" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
ENV PATH=/opt/mts/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONFAULTHANDLER=1 \
    PYTHONUNBUFFERED=1 \
    HOST=0.0.0.0 \
    PORT=8080
RUN groupadd --system --gid 10001 mts \
    && useradd --system --no-log-init --uid 10001 --gid mts --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin mts
WORKDIR /app
COPY --from=libraries /opt/mts /opt/mts
COPY LICENSE settings.py ./
COPY cli cli
COPY api api
COPY jobs jobs
COPY db db
COPY sql sql
COPY templates templates
COPY static static
RUN python -m compileall -q .
USER 10001:10001
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --start-interval=1s --retries=3 \
    CMD ["python", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ['PORT']), timeout=2); c.request('GET', '/livez'); sys.exit(c.getresponse().status != 200)"]
ENTRYPOINT ["python", "-m", "cli"]
CMD ["serve"]
