# The image that the OpenTelemetry Operator copies into pods. Build context: the repository.
#   docker build -f collector/kubernetes/autoinstrumentation.Dockerfile -t registry.example.org/redispan-autoinstrumentation:1 .
# redis itself is not installed on purpose: this folder comes first on the path and would shadow the program's own.
FROM python:3.13.9-slim AS glibc
COPY pyproject.toml README.md LICENSE /src/
COPY src /src/src
RUN pip install --no-cache-dir --target /autoinstrumentation "/src[otlp]"

FROM python:3.13.9-alpine AS musl
RUN apk add --no-cache build-base linux-headers
COPY pyproject.toml README.md LICENSE /src/
COPY src /src/src
RUN pip install --no-cache-dir --target /autoinstrumentation "/src[otlp]"

FROM busybox:1.37.0
COPY --from=glibc /autoinstrumentation /autoinstrumentation
COPY --from=musl /autoinstrumentation /autoinstrumentation-musl
RUN chmod -R go+r /autoinstrumentation /autoinstrumentation-musl
