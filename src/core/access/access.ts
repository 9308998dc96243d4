/**
 * What a caller may do. A `reader` sees everything, an `agent` too, and it writes for its own host; an `admin` may do all.
 */
export type Role = "admin" | "reader" | "agent";

/** Who asks. `host` is the host that an agent speaks for, spelled as the host's name is; "" for the other roles. */
export interface Caller {
  readonly user: string;
  readonly role: Role;
  readonly host: string;
}

/** Whom a route is for. `agent`: an agent for its own host, an admin for any. */
export type Access = "open" | "reader" | "agent" | "admin";

/**
 * - `allowed`: go ahead.
 * - `own-host`: go ahead if what is asked concerns the caller's own host and no other.
 * - `unknown`: nobody knows who asks.
 * - `denied`: the caller is known and may not.
 */
export type AccessDecision = "allowed" | "own-host" | "unknown" | "denied";

/**
 *              | open     reader    agent      admin
 *     ---------+---------------------------------------
 *     nobody   | allowed  unknown   unknown    unknown
 *     reader   | allowed  allowed   denied     denied
 *     agent    | allowed  allowed   own-host   denied
 *     admin    | allowed  allowed   allowed    allowed
 */
const decisions: Readonly<Record<Role | "nobody", Readonly<Record<Access, AccessDecision>>>> = {
  nobody: { open: "allowed", reader: "unknown", agent: "unknown", admin: "unknown" },
  reader: { open: "allowed", reader: "allowed", agent: "denied", admin: "denied" },
  agent: { open: "allowed", reader: "allowed", agent: "own-host", admin: "denied" },
  admin: { open: "allowed", reader: "allowed", agent: "allowed", admin: "allowed" },
};

/** Whether a caller, or nobody (`undefined`), may use a route. */
export function decideAccess(caller: Caller | undefined, access: Access): AccessDecision {
  return decisions[caller?.role ?? "nobody"][access];
}

/** Whom a route is for that does not say it: reads are for readers, everything else for admins. */
export function defaultAccess(method: string): Access {
  return method === "GET" || method === "HEAD" ? "reader" : "admin";
}

/**
 * Reads `admin`, `reader` or `agent:HOST` for `user`; `undefined` for anything else. The host is taken letter by letter: no case is folded
 * and nothing is unescaped, so two names that differ are two hosts.
 */
export function readRole(user: string, text: string): Caller | undefined {
  if (text === "admin" || text === "reader") {
    return { user, role: text, host: "" };
  }
  const host = text.startsWith("agent:") ? text.slice("agent:".length) : "";
  return host === "" ? undefined : { user, role: "agent", host };
}

/** The role as it is written: `admin`, `reader`, `agent:HOST`. */
export function formatRole({ role, host }: Caller): string {
  return role === "agent" ? `agent:${host}` : role;
}

/** The parts of a certificate's subject that say whose it is. */
export interface CertificateSubject {
  /** Every value of O. */
  readonly organizations: readonly string[];
  /** Every value of CN. */
  readonly commonNames: readonly string[];
}

/**
 * The caller that a verified certificate stands for: O is `romana:admin`, `romana:reader` or `romana:agent`, CN the user, of an agent its
 * host. Answers a text that says why when it stands for nobody: no or several such O, an unknown role, no or several CN. Other values of O
 * mean nothing here.
 */
export function certificateCaller({ organizations, commonNames }: CertificateSubject): Caller | string {
  const roles = organizations
    .filter((name) => name.startsWith(PREFIX))
    .map((name) => name.slice(PREFIX.length));
  const [role, otherRole] = roles;
  const [name = "", otherName] = commonNames;
  if (role === undefined) {
    return `its subject has no O=${PREFIX}admin, ${PREFIX}reader or ${PREFIX}agent`;
  }
  if (otherRole !== undefined) {
    return `its subject has ${roles.length} values of O that begin with ${PREFIX}, and one alone can hold`;
  }
  if (name === "" || otherName !== undefined) {
    return `its subject has ${name === "" ? "no CN" : "several CN"}: one names the user, or the host of an agent`;
  }
  switch (role) {
    case "admin":
    case "reader":
      return { user: name, role, host: "" };
    case "agent":
      return { user: name, role, host: name };
    default:
      return "its subject's O names a role that does not exist";
  }
}

const PREFIX = "romana:";
