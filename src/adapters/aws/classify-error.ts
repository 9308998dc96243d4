import { NetworkError, type ErrorDetails } from "../../core/errors.ts";
import {
  ROUTE_REFUSED,
  ROUTE_NOT_FOUND,
  UNAUTHORIZED,
  THROTTLED,
  UNAVAILABLE,
  REFUSED,
  VERDICTS,
  type Verdict,
} from "./ec2-error-codes.ts";

/** What was asked of EC2, for messages and details. */
export interface AskedCall {
  /** The EC2 action, for example `CreateRoute`. */
  readonly action: string;
  /** What the call is for, as it follows "cannot": `create route 100.64.0.0/16 via eni-1 in rtb-1`. */
  readonly asked: string;
  /** Ids of the objects of the call (`routeTableId`, `cidr`, `eniId` …). */
  readonly details: ErrorDetails;
}

/** How the attempt went, as far as its error does not say it. */
export interface AttemptOutcome {
  /** Our own time-out ended it, after this many milliseconds. */
  readonly timedOutAfterMs?: number;
  /** An earlier attempt of the same call may have taken effect. */
  readonly earlierOutcomeUnknown?: boolean;
}

/** The fields that SDK, HTTP and socket errors have in common; any of them may be missing. */
interface Symptoms {
  readonly name: string;
  readonly message: string;
  readonly socketCode: string | undefined;
  readonly status: number | undefined;
  readonly requestId: string | undefined;
  readonly fault: string | undefined;
}

/** Socket errors that say that the request never left: nothing can have been changed by it. */
const NEVER_SENT = new Set([
  "ECONNREFUSED",
  "ENOTFOUND",
  "EAI_AGAIN",
  "ENETUNREACH",
  "EHOSTUNREACH",
  "EADDRNOTAVAIL",
]);

/**
 * Turns what the SDK threw for one attempt into the port's error; the table is in `ports/cloud.ts`. The original is the `cause`. Something
 * that is no failure of a call (a bug) comes back as it is.
 *
 *     what the SDK throws                                         becomes
 *     ----------------------------------------------------------  -------------------------------
 *     an EC2 error code of the table above                        its row
 *     InvalidParameterValue, "There is no route defined"          ROUTE_NOT_FOUND
 *     InvalidParameterValue on a route, other text                ROUTE_REFUSED
 *     our time-out, a socket's error, any 5xx, an unreadable 5xx  CLOUD_UNAVAILABLE
 *     an unreadable or cut 200                                    CLOUD_UNAVAILABLE
 *     HTTP 429                                                    CLOUD_THROTTLED
 *     any other 4xx                                               CLOUD_REFUSED
 */
export function classifyError(error: unknown, call: AskedCall, outcome: AttemptOutcome = {}): unknown {
  if (error instanceof NetworkError) {
    return error;
  }
  const symptoms = symptomsOf(error);
  const verdict = outcome.timedOutAfterMs === undefined ? verdictOf(symptoms, call.action) : UNAVAILABLE;
  if (verdict === undefined) {
    return error;
  }
  const obstacle =
    outcome.timedOutAfterMs === undefined
      ? obstacleOf(symptoms, verdict)
      : `gave no answer within ${outcome.timedOutAfterMs} ms`;
  const outcomeUnknown =
    isOutcomeUnknown(symptoms, verdict, outcome) || outcome.earlierOutcomeUnknown === true;
  const doubt =
    outcome.earlierOutcomeUnknown === true
      ? " (the answer to an earlier attempt of this call was lost: that attempt may have taken effect)"
      : "";
  return new NetworkError(
    verdict.kind,
    verdict.code,
    `cannot ${call.asked}: EC2 ${call.action} ${obstacle}${doubt}; ${verdict.wayOut}`,
    {
      ...call.details,
      action: call.action,
      ec2Code: symptoms.name,
      status: symptoms.status,
      requestId: symptoms.requestId,
      outcomeUnknown,
      ...(verdict === UNAUTHORIZED ? refusalOf(symptoms.message) : {}),
    },
    error,
  );
}

function symptomsOf(error: unknown): Symptoms {
  const fields = error as {
    name?: unknown;
    message?: unknown;
    code?: unknown;
    $fault?: unknown;
    $metadata?: { httpStatusCode?: unknown; requestId?: unknown };
    $response?: { statusCode?: unknown };
  } | null;
  const status = fields?.$metadata?.httpStatusCode ?? fields?.$response?.statusCode;
  return {
    name: textOf(fields?.name) ?? "Error",
    message: textOf(fields?.message) ?? "",
    socketCode: textOf(fields?.code),
    status: typeof status === "number" ? status : undefined,
    requestId: textOf(fields?.$metadata?.requestId),
    fault: textOf(fields?.$fault),
  };
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

function verdictOf(symptoms: Symptoms, action: string): Verdict | undefined {
  const { name, message, status, socketCode, fault } = symptoms;
  const known = Object.hasOwn(VERDICTS, name) ? VERDICTS[name] : undefined;
  if (known !== undefined) {
    return known;
  }
  if (name.startsWith("InvalidParameter") || name === "OperationNotPermitted") {
    // ReplaceRoute says "There is no route defined for '10.0.0.0/8' in the route table. Use CreateRoute instead."
    if (/no route defined/i.test(message)) {
      return ROUTE_NOT_FOUND;
    }
    return action.endsWith("Route") ? ROUTE_REFUSED : REFUSED;
  }
  if (status === 429) {
    return THROTTLED;
  }
  // A 500 with an HTML body, or a cut 200, reaches us as a parse error with the answer's status.
  if (status !== undefined && (status >= 500 || (status < 300 && fault === undefined))) {
    return UNAVAILABLE;
  }
  if (status !== undefined && status >= 300) {
    return REFUSED;
  }
  if (socketCode !== undefined || name === "TimeoutError" || name === "AbortError") {
    return UNAVAILABLE;
  }
  return undefined;
}

function obstacleOf(symptoms: Symptoms, verdict: Verdict): string {
  const { name, status, socketCode, message, fault } = symptoms;
  if (verdict === UNAUTHORIZED) {
    const { deniedAction, deniedResource, principal } = refusalOf(message);
    const who = principal === undefined ? "" : ` to ${principal}`;
    const what =
      deniedAction === undefined ? "" : `: ${deniedAction} on ${deniedResource ?? "*"}${who} is not allowed`;
    return `answered ${name}${what}`;
  }
  if (name === "CredentialsProviderError" || name === "TokenProviderError") {
    return `was not sent, there are no credentials (${shorten(message)})`;
  }
  if (fault === undefined && status !== undefined) {
    return `answered HTTP ${status} with a body that cannot be read (${shorten(message)})`;
  }
  if (fault === undefined && socketCode !== undefined) {
    return `could not be reached or did not answer (${socketCode}: ${shorten(message)})`;
  }
  return name === "Unknown" ? `answered HTTP ${status ?? "?"}` : `answered ${name} (${shorten(message)})`;
}

/** Whether this attempt may have changed something although it failed. */
function isOutcomeUnknown(symptoms: Symptoms, verdict: Verdict, outcome: AttemptOutcome): boolean {
  if (outcome.timedOutAfterMs !== undefined) {
    return true;
  }
  return verdict === UNAVAILABLE && !NEVER_SENT.has(symptoms.socketCode ?? "");
}

/**
 * The parts of EC2's refusal: "You are not authorized to perform this operation. User: ARN is not authorized to perform: ec2:CreateRoute on
 * resource: ARN because … Encoded authorization failure message: …". The encoded part stays in the cause only: it is a kilobyte that
 * nobody can read without `aws sts decode-authorization-message`.
 */
function refusalOf(message: string): {
  readonly deniedAction: string | undefined;
  readonly deniedResource: string | undefined;
  readonly principal: string | undefined;
  readonly hasEncodedMessage: boolean;
} {
  return {
    principal: /\bUser: (\S+)/.exec(message)?.[1],
    deniedAction: /\bperform:? (ec2:\w+)/.exec(message)?.[1],
    deniedResource: /\bon resource: (\S+)/.exec(message)?.[1],
    hasEncodedMessage: /Encoded authorization failure message/i.test(message),
  };
}

/** The first line, at most 200 characters: the SDK adds advice for its own developers on further lines. */
function shorten(message: string): string {
  const line = message.split("\n", 1)[0] ?? "";
  return line.length > 200 ? `${line.slice(0, 199)}…` : line;
}
