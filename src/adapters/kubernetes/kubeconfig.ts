import { readFileSync } from "node:fs";
import type { RequestOptions } from "node:https";
import { dirname, isAbsolute, join } from "node:path";

// Not the package's entry: that loads a class for each of the API's 700 types, 86 MB and a second (docs/adr/0021-own-list-and-watch.md).
import {
  newClusters,
  newContexts,
  newUsers,
  type Cluster,
  type User,
} from "@kubernetes/client-node/dist/config_types.js";
import { ExecAuth } from "@kubernetes/client-node/dist/exec_auth.js";
import { parse } from "yaml";
import { z } from "zod";

import { NetworkError } from "../../core/errors.ts";
import { unconfigured, type Credentials, type LoadCredentials, type TlsOptions } from "./credentials.ts";

const Exec = z.looseObject({ command: z.string().min(1) });
const Kubeconfig = z.looseObject({
  clusters: z.array(z.unknown()),
  contexts: z.array(z.unknown()),
  users: z
    .array(
      z.looseObject({
        name: z.string().optional(),
        user: z.looseObject({ tokenFile: z.string().optional(), exec: Exec.nullish() }).nullish(),
      }),
    )
    .default([]),
  "current-context": z.string().min(1),
});

interface Chosen {
  readonly cluster: Cluster;
  readonly user: User;
  /** A field that the library does not read. */
  readonly tokenFile: string | undefined;
}

/**
 * The current context of a kubeconfig file: token, token file, client certificate, user and password, or an exec plugin (`aws eks get-token`). The file and what it names
 * are read anew each time. Throws `CLUSTER_UNCONFIGURED` when it cannot be read or asks for what is not supported.
 */
export function kubeconfigCredentials(path: string): LoadCredentials {
  choose(path);
  let exec = new ExecAuth();
  return async (anew) => {
    if (anew) {
      // It remembers a token until the time that the plugin told.
      exec = new ExecAuth();
    }
    const chosen = choose(path);
    const { cluster, user } = chosen;
    const at = (file: string | undefined): string | undefined => resolve(path, file);
    const ca = pem(at(cluster.caFile), cluster.caData);
    const made = user.exec === undefined || user.exec === null ? {} : await askPlugin(exec, user);
    const cert = made.cert ?? pem(at(user.certFile), user.certData);
    const key = made.key ?? pem(at(user.keyFile), user.keyData);
    const tls: TlsOptions = {
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key }),
      ...(cluster.tlsServerName === undefined ? {} : { servername: cluster.tlsServerName }),
      ...(cluster.skipTLSVerify ? { rejectUnauthorized: false } : {}),
    };
    return { server: cluster.server, tls, headers: headersOf(path, chosen, made.authorization) };
  };
}

function choose(path: string): Chosen {
  try {
    const config = Kubeconfig.parse(parse(readFileSync(path, "utf8")));
    const lenient = { onInvalidEntry: "filter" } as const;
    const name = config["current-context"];
    const context = newContexts(config.contexts, lenient).find((one) => one.name === name);
    const cluster = newClusters(config.clusters, lenient).find((one) => one.name === context?.cluster);
    const user = newUsers(config.users, lenient).find((one) => one.name === context?.user);
    if (context === undefined || cluster === undefined) {
      throw unconfigured(
        `cannot use ${path}: its current context "${name}" names no cluster of the file; choose another context`,
      );
    }
    const { server, proxyUrl } = cluster;
    if (!/^https?:\/\//.test(server) || proxyUrl !== undefined || user?.authProvider) {
      throw unconfigured(
        `cannot use ${path}: a server that is no URL, \`proxy-url\` and \`auth-provider\` are not supported; use an exec plugin or a token`,
      );
    }
    const tokenFile = config.users.find((one) => one.name === user?.name)?.user?.tokenFile;
    return { cluster, user: user ?? { name: "" }, tokenFile };
  } catch (error) {
    if (error instanceof NetworkError) {
      throw error;
    }
    const { code, name } = error as NodeJS.ErrnoException;
    // Not as the cause: a parser quotes what it read, and that may be a token.
    // oxlint-disable-next-line preserve-caught-error
    throw unconfigured(
      `cannot use ${path} as a kubeconfig file: ${code ?? name}; name a file with clusters, contexts and a current-context`,
    );
  }
}

interface Made {
  readonly cert?: string;
  readonly key?: string;
  readonly authorization?: string;
}

async function askPlugin(exec: ExecAuth, user: User): Promise<Made> {
  const options: RequestOptions = { headers: {} };
  await exec.applyAuthentication(user, options);
  const { authorization, cert, key } = z
    .object({
      cert: z.string().optional(),
      key: z.string().optional(),
      headers: z.object({ Authorization: z.string().optional() }),
    })
    .transform(({ headers, ...tls }) => ({ ...tls, authorization: headers.Authorization }))
    .parse(options);
  return {
    ...(authorization === undefined ? {} : { authorization }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
  };
}

function headersOf(
  path: string,
  { user, tokenFile }: Chosen,
  authorization: string | undefined,
): Credentials["headers"] {
  const file = resolve(path, tokenFile);
  const token = file === undefined ? user.token : readFileSync(file, "utf8");
  const basic = user.username === undefined ? undefined : `${user.username}:${user.password ?? ""}`;
  const header =
    authorization ??
    (token === undefined ? undefined : `Bearer ${token.trim()}`) ??
    (basic === undefined ? undefined : `Basic ${Buffer.from(basic).toString("base64")}`);
  return {
    ...(header === undefined ? {} : { authorization: header }),
    ...(user.impersonateUser === undefined ? {} : { "impersonate-user": user.impersonateUser }),
  };
}

/** PEM out of a file, or of base64. */
function pem(file: string | undefined, data: string | undefined): string | undefined {
  if (file !== undefined) {
    return readFileSync(file, "utf8");
  }
  return data === undefined ? undefined : Buffer.from(data, "base64").toString("utf8");
}

/** Paths in the file count from its folder. */
function resolve(kubeconfig: string, file: string | undefined): string | undefined {
  return file === undefined || file === "" || isAbsolute(file)
    ? file || undefined
    : join(dirname(kubeconfig), file);
}
