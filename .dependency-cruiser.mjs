/** Folder -> the src folders and npm packages its files may import. Node built-ins are listed as the package "node". */
const allowed = {
  core: { src: ["core"], npm: [] },
  ports: { src: ["core", "ports"], npm: [] },
  services: { src: ["core", "ports", "services"], npm: [] },
  controllers: { src: ["core", "ports", "services", "controllers"], npm: [] },
  "adapters/aws": { src: ["core", "ports", "adapters/aws"], npm: ["@aws-sdk/.+", "@smithy/.+", "p-retry", "zod", "node"] },
  "adapters/etcd": { src: ["core", "ports", "adapters/etcd", "adapters/memory"], npm: ["etcd3", "cockatiel", "protobufjs", "zod", "node"] },
  "adapters/kubernetes": {
    src: ["core", "ports", "adapters/kubernetes"],
    npm: ["@kubernetes/client-node", "yaml", "zod", "node"],
  },
  "adapters/certificates": { src: ["core", "ports", "adapters/certificates"], npm: ["@peculiar/x509", "reflect-metadata", "node"] },
  "adapters/probe": { src: ["core", "ports", "adapters/probe"], npm: ["net-ping", "node"] },
  "adapters/sqlite": { src: ["core", "ports", "adapters/sqlite", "adapters/memory"], npm: ["zod", "node"] },
  "adapters/system": { src: ["core", "ports", "adapters/system"], npm: ["node"] },
  "adapters/memory": { src: ["core", "ports", "adapters/memory"], npm: [] },
  "adapters/simulation": { src: ["core", "ports", "adapters/simulation", "adapters/memory"], npm: [] },
  api: { src: ["core", "ports", "services", "api"], npm: ["fastify", "@fastify/.+", "fastify-type-provider-zod", "zod", "node"] },
  client: { src: ["core", "client"], npm: ["node"] },
  cli: {
    src: ["core", "client", "config", "cli"],
    npm: ["commander", "picocolors", "yaml", "zod", "node"],
  },
  config: { src: ["core", "config"], npm: ["zod", "yaml", "node"] },
  telemetry: { src: ["core", "ports", "services", "telemetry"], npm: ["pino", "prom-client"] },
  main: { src: ["."], npm: [".+", "node"] },
};

export const folders = Object.keys(allowed);

const folderRules = Object.entries(allowed).map(([folder, { src, npm }]) => ({
  name: `${folder}-imports`,
  comment: `src/${folder} may import src/{${src}} and npm {${npm}}`,
  severity: "error",
  from: { path: `^src/${folder}/` },
  to: {
    pathNot: [
      ...src.map((name) => (name === "." ? "^src/" : `^src/${name}/`)),
      ...npm.filter((name) => name !== "node").map((name) => `^node_modules/${name}/`),
    ],
    ...(npm.includes("node") ? { dependencyTypesNot: ["core"] } : {}),
  },
}));

export default {
  forbidden: [
    ...folderRules,
    { name: "main-is-a-leaf", severity: "error", from: { path: "^src/", pathNot: "^src/main/" }, to: { path: "^src/main/" } },
    { name: "no-cycles", severity: "error", from: {}, to: { circular: true } },
  ],
  options: {
    parser: "swc",
    tsPreCompilationDeps: true,
    doNotFollow: { path: "^node_modules" },
    enhancedResolveOptions: { extensions: [".ts", ".js"], exportsFields: ["exports"], conditionNames: ["import", "node", "default"] },
  },
};
