# Worker, limiter and commands in one image. Built from the repository's root: docker build -t stillwatch .
FROM python:3.11-slim-bookworm AS build
WORKDIR /build
COPY deploy/image.lock deploy/image-build.lock ./
# The tools that build the wheel stay in an environment of their own, and this stage stays behind.
RUN python -m venv --without-pip /opt/stillwatch \
    && python -m venv tools \
    && python -m pip --python /opt/stillwatch/bin/python install \
        --no-cache-dir --disable-pip-version-check --require-hashes --only-binary :all: -r image.lock \
    && tools/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r image-build.lock
COPY pyproject.toml README.md LICENSE ./
COPY stream_app stream_app
RUN tools/bin/python -m hatchling build -t wheel \
    && python -m pip --python /opt/stillwatch/bin/python install \
        --no-cache-dir --disable-pip-version-check --no-deps --no-index dist/*.whl \
    && /opt/stillwatch/bin/python -m compileall -q /opt/stillwatch/lib

FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="Stillwatch" \
      org.opencontainers.image.licenses="Apache-2.0"
# Nothing is installed in a running container. Volumes that are mounted at the last two begin with their owner.
RUN python -m pip uninstall --quiet --yes --root-user-action ignore pip \
    && install --directory --owner 10001 --group 10001 \
        /var/lib/stillwatch /etc/stillwatch/signing /etc/stillwatch/trusted
COPY --from=build /opt/stillwatch /opt/stillwatch
ENV PATH=/opt/stillwatch/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    STILLWATCH_DATA_DIR=/var/lib/stillwatch
# A number, so that Kubernetes sees that it is not root.
USER 10001:10001
WORKDIR /var/lib/stillwatch
EXPOSE 6066 8088 8090
# Alive, not ready: a worker that waits for its broker is not to be killed. The limiter's port is given in compose.yaml.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=6 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ.get('STILLWATCH_WEB_PORT', '6066') + '/health', timeout=2)"]
ENTRYPOINT ["stillwatch"]
CMD ["worker"]
