# PostgreSQL with Patroni, as Debian has both: for compose.yaml (PostgreSQL alone) and k8s/components/data-plain/postgres.
#
#   docker build -f docker/postgres.Dockerfile -t adplatform/postgres:0.1.0 docker
#
# Debian's version, since that is what the tests run; its packages get security updates by building the image again.
ARG BASE_IMAGE=debian:12.12-slim
FROM ${BASE_IMAGE}
# A base that has the packages already is taken as it is, so that this builds without a network too.
# hadolint ignore=DL3008
RUN if ! command -v patroni >/dev/null; then \
        apt-get update \
        && apt-get install --no-install-recommends --yes postgresql-common \
        && sed -i 's/^#*create_main_cluster.*/create_main_cluster = false/' /etc/postgresql-common/createcluster.conf \
        && apt-get install --no-install-recommends --yes patroni postgresql \
        && rm -rf /var/lib/apt/lists/*; \
    fi
# The number that all of the platform runs as. A name is needed for it: initdb asks for one.
RUN set -eu; \
    groupmod --gid 65532 postgres; \
    usermod --uid 65532 --gid 65532 postgres; \
    rm -rf /var/lib/postgresql/* /var/run/postgresql/* /var/log/postgresql/*; \
    chown postgres:postgres /var/lib/postgresql /var/run/postgresql /var/log/postgresql
LABEL org.opencontainers.image.title="postgres" \
      org.opencontainers.image.description="PostgreSQL with Patroni" \
      org.opencontainers.image.licenses="PostgreSQL AND MIT" \
      org.opencontainers.image.vendor="adplatform"
USER 65532:65532
WORKDIR /var/lib/postgresql
EXPOSE 5432 8008
HEALTHCHECK NONE
CMD ["sh", "/etc/postgres/start.sh"]
