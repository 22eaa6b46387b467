# A proxy. Build it from the top folder: docker build -f deploy/docker/proxy.Dockerfile -t tfleet-proxy .
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS dependencies
# The dependencies first: they are fetched anew only when one of these files changes.
WORKDIR /build
RUN python -m venv --without-pip /opt/tfleet \
    && pip install --no-cache-dir --root-user-action=ignore 'setuptools>=77'
COPY pyproject.toml constraints.txt deploy/docker/requirements.py ./
# The client's, too: for `docker compose exec proxy tfleet status`, and drain and prune.
RUN python requirements.py proxy client jobs > requirements.txt \
    && pip --python /opt/tfleet/bin/python install --no-cache-dir --root-user-action=ignore \
        -c constraints.txt -r requirements.txt

FROM dependencies AS code
COPY . .
# A proxy has no use for the model.
RUN rm -r worker/models \
    && pip wheel --no-cache-dir --no-deps --no-build-isolation -w dist . \
    && pip --python /opt/tfleet/bin/python install --no-cache-dir --root-user-action=ignore \
        --no-index --no-deps --root /code dist/*.whl

FROM ${PYTHON_IMAGE}
COPY --from=dependencies /opt/tfleet /opt/tfleet
COPY --from=code /code /
# Nothing is written to: the root file system may be read-only.
ENV PATH=/opt/tfleet/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    TFLEET_HOST=0.0.0.0 \
    TFLEET_PORT=12480
EXPOSE 12480
USER 10001:10001
WORKDIR /tmp
# Ready is when it has a worker to send to.
HEALTHCHECK --interval=5s --timeout=5s --start-period=120s --retries=3 \
    CMD ["python", "-m", "tfleet.deploy.docker.healthcheck"]
ENTRYPOINT ["tfleet", "proxy"]

ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="tfleet proxy" \
    org.opencontainers.image.description="Passes images on to live tfleet workers, or says where they are" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.version="$VERSION" \
    org.opencontainers.image.revision="$REVISION"
