# Builds ec2sweep in a container: where there is no compiler for it, and as a
# Lambda image. Both need BuildKit, or podman 4.
#
#   docker build --target zips --output dist .
#       dist/ec2sweep-arm64.zip and dist/ec2sweep-x86_64.zip
#   docker build --platform linux/arm64 --tag ec2sweep .
#       an image for Lambda; here it answers on port 8080 (docs/gateway.md)
#
# Proxies are the build arguments HTTP_PROXY, HTTPS_PROXY and NO_PROXY.

# The first builds for both processors, on that of the machine.
ARG BUILD_IMAGE=docker.io/library/debian:bookworm-slim
ARG LAMBDA_IMAGE=public.ecr.aws/lambda/provided:al2023

FROM --platform=$BUILDPLATFORM ${BUILD_IMAGE} AS build
WORKDIR /src
# The libraries stay in a layer of their own, so that a change of the program
# alone does not build them again.
COPY scripts scripts
COPY third_party third_party
RUN scripts/container.sh libraries
COPY . .
RUN scripts/container.sh zips /out

FROM scratch AS zips
COPY --from=build /out/*.zip /

FROM ${LAMBDA_IMAGE} AS image
ARG TARGETARCH
COPY --from=build /out/${TARGETARCH}/bootstrap /var/runtime/bootstrap
CMD ["bootstrap"]
