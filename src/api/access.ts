import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";

import { decideAccess, defaultAccess, formatRole, type Access, type Caller } from "../core/access/access.ts";
import { NetworkError } from "../core/errors.ts";
import type { Logger } from "../ports/logger.ts";

declare module "fastify" {
  interface FastifyContextConfig {
    /** Who may use it. Absent: a GET is for readers, everything else for admins. */
    readonly access?: Access;
    /**
     * The host that a request concerns, for routes with `access: "agent"`: an agent may ask when it is its own. `undefined` when it concerns none, so
     * that the handler refuses it (nothing of that name, no host given). Called when the request has been validated.
     */
    readonly concernsHost?: (request: FastifyRequest) => string | undefined;
  }
  interface FastifyRequest {
    /** Who asks. On an open route nobody looks: there it is nobody, who may read. */
    caller: Caller;
  }
}

/** The caller of an open route, and of whatever is served before anybody asked who calls. */
export const nobody: Caller = { user: "", role: "reader", host: "" };

/** Whom the route of a request is for. What no route serves is for readers: strangers learn nothing of it. */
export function accessOf(request: FastifyRequest): Access {
  if (request.is404) {
    return "reader";
  }
  return request.routeOptions.config.access ?? defaultAccess(request.method);
}

/**
 * Refuses (403 `ACCESS_DENIED`) what an agent asks about another host than its own, and logs every change that was asked for, with who asked and how it
 * ended. Changes that agents make all day (addresses of their pods) are logged at `debug` when they were allowed.
 */
export function guardHosts(app: FastifyInstance, log: Logger): void {
  app.addHook("preHandler", (request, _reply, done) => {
    const { caller } = request;
    if (decideAccess(caller, accessOf(request)) !== "own-host") {
      done();
      return;
    }
    const { concernsHost } = request.routeOptions.config;
    if (concernsHost === undefined) {
      done(denied(caller, request));
      return;
    }
    const host = concernsHost(request);
    done(host === undefined || host === caller.host ? undefined : denied(caller, request));
  });
  app.addHook("onResponse", (request, reply, done) => {
    if (request.method !== "GET" && request.method !== "HEAD" && request.caller !== nobody) {
      record(log, request, reply);
    }
    done();
  });
}

/** The error for a caller who is known and may not. */
export function denied(caller: Caller, request: FastifyRequest): NetworkError {
  const wanted = accessOf(request);
  const role = formatRole(caller);
  const reason =
    wanted === "agent" && caller.role === "agent"
      ? `it may ask that for its own host alone, which is "${caller.host}"`
      : `that is for ${wanted === "agent" ? "admins, and for agents about their own host" : "admins"}`;
  return new NetworkError(
    "invalid",
    "ACCESS_DENIED",
    `"${caller.user}" (${role}) may not ${request.method} ${request.routeOptions.url ?? ""}: ${reason}; use the credentials of an admin`,
    { user: caller.user, role },
  );
}

function record(log: Logger, request: FastifyRequest, reply: FastifyReply): void {
  const { caller, routeOptions } = request;
  const fields = {
    user: caller.user,
    role: formatRole(caller),
    method: request.method,
    route: routeOptions.url,
    ...(request.params === undefined || Object.keys(request.params as object).length === 0
      ? {}
      : { params: request.params }),
    status: reply.statusCode,
  };
  if (routeOptions.config.access === "agent" && reply.statusCode < 400) {
    log.debug(fields, "change asked for");
  } else {
    log.info(fields, "change asked for");
  }
}
