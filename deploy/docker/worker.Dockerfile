# A worker. Build it from the top folder: docker build -f deploy/docker/worker.Dockerfile -t tfleet-worker .
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS dependencies
# The dependencies first: TensorFlow is fetched anew only when one of these files changes. Its C++ headers
# are for those who compile operations.
WORKDIR /build
RUN python -m venv --without-pip /opt/tfleet \
    && pip install --no-cache-dir --root-user-action=ignore 'setuptools>=77'
COPY pyproject.toml constraints.txt deploy/docker/requirements.py ./
# worker-gpu brings CUDA; docker is for `--advertise-wan docker`, url for models from URLs.
ARG EXTRA=worker
RUN python requirements.py "$EXTRA" docker jobs url > requirements.txt \
    && pip --python /opt/tfleet/bin/python install --no-cache-dir --root-user-action=ignore \
        -c constraints.txt -r requirements.txt \
    && rm -rf /opt/tfleet/lib/python3*/site-packages/tensorflow/include

FROM dependencies AS code
COPY . .
RUN pip wheel --no-cache-dir --no-deps --no-build-isolation -w dist . \
    && pip --python /opt/tfleet/bin/python install --no-cache-dir --root-user-action=ignore \
        --no-index --no-deps --root /code dist/*.whl

FROM ${PYTHON_IMAGE}
COPY --from=dependencies /opt/tfleet /opt/tfleet
COPY --from=code /code /
# Nothing but /tmp is written to, and that little: the root file system may be read-only.
ENV PATH=/opt/tfleet/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    XDG_CACHE_HOME=/tmp/cache \
    TFLEET_HOST=0.0.0.0 \
    TFLEET_PORT=8000
EXPOSE 8000
USER 10001:10001
WORKDIR /tmp
# Loading a large model may take its time; until it is loaded, failures don't count.
HEALTHCHECK --interval=5s --timeout=5s --start-period=120s --retries=3 \
    CMD ["python", "-m", "tfleet.deploy.docker.healthcheck"]
ENTRYPOINT ["tfleet", "worker"]

ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="tfleet worker" \
    org.opencontainers.image.description="A TensorFlow model behind HTTP, registered in Consul" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.version="$VERSION" \
    org.opencontainers.image.revision="$REVISION"
