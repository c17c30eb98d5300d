# Meltano with every tap and the loader. Dependencies come first, since they change least; a change
# of code rebuilds the wheels and the last three layers.
FROM python:3.11-slim AS dependencies
COPY orchestrate/image/requirements.lock /build/requirements.lock
RUN pip install --no-cache-dir "$(grep -o '^uv==[0-9.]*' /build/requirements.lock)" \
 && uv venv --python python3 /opt/venv \
 && VIRTUAL_ENV=/opt/venv uv pip sync --no-cache --require-hashes --compile-bytecode /build/requirements.lock

FROM python:3.11-slim AS wheels
COPY orchestrate/image/build.lock /build/build.lock
RUN pip install --no-cache-dir --require-hashes --requirement /build/build.lock
COPY libs /build/libs
COPY taps /build/taps
COPY loaders /build/loaders
COPY orchestrate /build/orchestrate
RUN pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels \
    /build/libs/* /build/taps/* /build/loaders/* /build/orchestrate

FROM python:3.11-slim
RUN apt-get update \
 && apt-get install --yes --no-install-recommends tini \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin tributary
COPY --from=dependencies /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 VIRTUAL_ENV=/opt/venv
RUN --mount=type=bind,from=wheels,source=/wheels,target=/wheels \
    uv pip install --no-cache --no-deps --compile-bytecode /wheels/*.whl
WORKDIR /project
COPY sandbox/sandbox/seed/internal sandbox/sandbox/seed/internal
COPY manifests manifests
COPY plugins plugins
COPY meltano.yml ./
USER 10001:10001
# tini reaps what a plugin leaves behind, and ends a command that has no handler yet when SIGTERM
# comes; `orchestrate pod` hands the signal on to Meltano, and Meltano to tap and loader.
ENTRYPOINT ["tini", "--"]
CMD ["meltano", "--version"]
