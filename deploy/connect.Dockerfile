# Kafka Connect as Debezium ships it, with two things beside: the converter that the connectors name, which is of another
# generation than the image's own, and the JMX exporter, by which Prometheus asks it.
#
#   docker build -f deploy/connect.Dockerfile -t throughline-connect .
#
# Versions and checksums of both are those of the local stack, in stack/.

FROM python:3.11.13-slim-bookworm AS fetched
RUN apt-get update \
    && apt-get install -y --no-install-recommends default-jre-headless maven \
    && rm -rf /var/lib/apt/lists/*
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
WORKDIR /opt/throughline
COPY deploy/requirements.lock deploy/
RUN pip install --require-hashes -r deploy/requirements.lock
COPY stack stack
RUN python -m stack.fetch converter jmx-exporter /jars

FROM quay.io/debezium/connect:3.6.0.Final
# Each folder in /kafka/connect is a plugin.
COPY --from=fetched /jars/converter /kafka/connect/converter
COPY --from=fetched /jars/jmx-exporter/jmx_prometheus_javaagent-1.0.1.jar /opt/throughline/jmx-exporter.jar
COPY deploy/prometheus/connect.rules.yaml /opt/throughline/connect.rules.yaml
EXPOSE 9404
