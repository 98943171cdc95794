# The server as an image: docs/docker.md. test/operations/docker.test.ts reads this file and takes its steps without Docker.

# The Node of package.json. Both can be set to mirrors: --build-arg NODE_IMAGE=… --build-arg NPM_CONFIG_REGISTRY=…
ARG NODE_IMAGE=node:24.21.0-bookworm-slim

FROM ${NODE_IMAGE} AS build
ARG NPM_CONFIG_REGISTRY
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --workspaces=false --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY src src
RUN npm run build

# Without the development tools.
FROM ${NODE_IMAGE} AS dependencies
ARG NPM_CONFIG_REGISTRY
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --workspaces=false --no-audit --no-fund

FROM ${NODE_IMAGE}
LABEL org.opencontainers.image.title="Hufu" org.opencontainers.image.licenses="MIT"
# The port is open to the network of the container; publish it on 127.0.0.1 or put a proxy in front.
ENV NODE_ENV=production HUFU_HOST=0.0.0.0 HUFU_PORT=5001 HUFU_DATABASE_URL=sqlite:/data/hufu.db
WORKDIR /app
COPY --from=dependencies /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY package.json LICENSE ./
# The command for "docker exec", and a folder that the user below owns: a new volume takes its owner from it.
RUN chmod 755 dist/main.js && ln -s /app/dist/main.js /usr/local/bin/hufu && install -d -m 700 -o 1000 -g 1000 /data
VOLUME ["/data"]
# The user "node" of the base image, as a number: Kubernetes can tell that it is not root.
USER 1000:1000
EXPOSE 5001
STOPSIGNAL SIGTERM
# /livez and not /readyz: a database that is away is no reason to restart its servers. The port opens after the database has answered.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.HUFU_PORT}/livez`).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
# Node is process 1 and hears SIGTERM itself.
ENTRYPOINT ["node", "/app/dist/main.js"]
CMD ["serve"]
