# prescale as a container: one binary, no shell needed, not root.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
# The commit, for `prescale --version` and the build metric.
ARG PRESCALE_COMMIT
RUN cargo build --release --locked --bin prescale

# bookworm-slim, because the binary is linked against its C library, and for the certificates.
FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /src/target/release/prescale /usr/local/bin/prescale
USER 65532:65532
EXPOSE 6000 8080
ENTRYPOINT ["/usr/local/bin/prescale"]
CMD ["serve"]
