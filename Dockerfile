# syntax=docker/dockerfile:1
#
# birdkeep, and nothing beside it but the C library and the certificates of authorities: no shell, no package manager.
#
#   docker build -t birdkeep .
#
# Both bases are pinned by digest. Another one, as of a mirror: --build-arg RUST_IMAGE=… --build-arg RUNTIME_IMAGE=…
ARG RUST_IMAGE=docker.io/library/rust:1.95.0-slim-bookworm@sha256:d7482085ff5b415f84dba5647ae71606650bdef00db7aeb69f4b3d170c3e4082
ARG RUNTIME_IMAGE=gcr.io/distroless/cc-debian12:nonroot@sha256:9dac0a79194e45a7da0158a9c6da57b217585af0786db3845d1f0ec1a0dd182f

FROM ${RUST_IMAGE} AS build
WORKDIR /src
COPY Cargo.toml Cargo.lock build.rs ./
COPY .sqlx .sqlx
COPY migrations migrations
COPY src src
# The archive is made in a folder of its own below the volume. Everybody may write to the volume, as to /tmp, so that any
# user will do: the archive itself belongs to whoever makes it, and to nobody else.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target,sharing=locked \
    SQLX_OFFLINE=true cargo build --release --locked --bin birdkeep \
    && install -D -s -m 755 target/release/birdkeep /image/usr/bin/birdkeep \
    && install -d -m 1777 /image/data

FROM ${RUNTIME_IMAGE}
COPY --from=build /image /
# SQLite's own scratch files, which have no name: there is no other place that can be written to.
ENV BIRDKEEP_ARCHIVE__DIR=/data/archive \
    SQLITE_TMPDIR=/data
VOLUME /data
USER 65532:65532
EXPOSE 8460
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 CMD ["/usr/bin/birdkeep", "health"]
ENTRYPOINT ["/usr/bin/birdkeep"]
