import { describe, expect, it } from "vitest";

import { classifyError, type AttemptOutcome } from "../../../src/adapters/aws/classify-error.ts";
import { NetworkError } from "../../../src/core/errors.ts";

const CREATE = {
  action: "CreateRoute",
  asked: "create route 100.64.0.0/20 via eni-1 in rtb-1",
  details: { routeTableId: "rtb-1", cidr: "100.64.0.0/20", eniId: "eni-1" },
};
const MODIFY = {
  action: "ModifyNetworkInterfaceAttribute",
  asked: "turn the source/destination check of eni-1 off",
  details: { eniId: "eni-1" },
};

/** An error as the SDK builds it from an answer of EC2. */
function ec2Error(name: string, status = 400, message = `text of ${name}`): Error {
  return Object.assign(new Error(message), {
    name,
    $fault: status >= 500 ? "server" : "client",
    $metadata: { httpStatusCode: status, requestId: "req-1" },
  });
}

function socketError(code: string, message = `connect ${code} 10.0.0.1:443`): Error {
  return Object.assign(new Error(message), { code, $metadata: { attempts: 1 } });
}

/** An answer that the SDK could not parse; its advice stands on a second line. */
function parseError(status: number): Error {
  return Object.assign(
    new Error(
      "XML parse error: mismatched tags <html> and </title>.\n  Deserialization error: to see the raw response …",
    ),
    { $metadata: { httpStatusCode: status } },
  );
}

function classified(
  error: unknown,
  call = CREATE as typeof CREATE | typeof MODIFY,
  outcome?: AttemptOutcome,
): NetworkError {
  const result = classifyError(error, call, outcome);
  if (!(result instanceof NetworkError)) {
    throw new TypeError(`not classified: ${String(result)}`);
  }
  return result;
}

describe("classifyError", () => {
  it.for([
    ["RouteAlreadyExists", "conflict", "ROUTE_EXISTS"],
    ["RouteLimitExceeded", "exhausted", "ROUTE_LIMIT_EXCEEDED"],
    ["InvalidRoute.NotFound", "not-found", "ROUTE_NOT_FOUND"],
    ["InvalidRouteTableID.NotFound", "not-found", "ROUTE_TABLE_NOT_FOUND"],
    ["InvalidRouteTableId.Malformed", "not-found", "ROUTE_TABLE_NOT_FOUND"],
    ["InvalidNetworkInterfaceID.NotFound", "not-found", "INTERFACE_NOT_FOUND"],
    ["InvalidNetworkInterfaceId.Malformed", "not-found", "INTERFACE_NOT_FOUND"],
    ["InvalidVpcID.NotFound", "not-found", "VPC_NOT_FOUND"],
    ["InvalidInstanceID", "invalid", "ROUTE_REFUSED"],
    ["InvalidParameterValue", "invalid", "ROUTE_REFUSED"],
    ["DependencyViolation", "conflict", "CLOUD_CONFLICT"],
    ["IncorrectState", "conflict", "CLOUD_CONFLICT"],
    ["UnauthorizedOperation", "invalid", "CLOUD_UNAUTHORIZED"],
    ["OptInRequired", "invalid", "CLOUD_UNAUTHORIZED"],
    ["AuthFailure", "invalid", "CLOUD_UNAUTHENTICATED"],
    ["ExpiredToken", "invalid", "CLOUD_UNAUTHENTICATED"],
    ["RequestExpired", "invalid", "CLOUD_UNAUTHENTICATED"],
    ["SignatureDoesNotMatch", "invalid", "CLOUD_UNAUTHENTICATED"],
    ["SomethingNew", "invalid", "CLOUD_REFUSED"],
  ] as const)("makes of %s: %s %s", ([name, kind, code]) => {
    const cause = ec2Error(name);

    const error = classified(cause);

    expect(error).toMatchObject({ kind, code, cause });
    expect(error.details).toMatchObject({
      ...CREATE.details,
      action: "CreateRoute",
      ec2Code: name,
      status: 400,
      requestId: "req-1",
      outcomeUnknown: false,
    });
    expect(error.message).toContain(
      "cannot create route 100.64.0.0/20 via eni-1 in rtb-1: EC2 CreateRoute answered ",
    );
    expect(error.message).toContain(name);
  });

  it.for(["RequestLimitExceeded", "Throttling", "ThrottlingException", "EC2ThrottledException"])(
    "makes of %s CLOUD_THROTTLED, which changed nothing",
    (name) => {
      expect(classified(ec2Error(name, 503))).toMatchObject({
        kind: "transient",
        code: "CLOUD_THROTTLED",
        details: { outcomeUnknown: false },
      });
    },
  );

  it("takes HTTP 429 for throttling whatever its code", () => {
    expect(classified(ec2Error("Unknown", 429)).code).toBe("CLOUD_THROTTLED");
  });

  it.for([
    ["InternalError, 500", ec2Error("InternalError", 500)],
    ["Unavailable, 503", ec2Error("Unavailable", 503)],
    ["an unknown code with 500", ec2Error("Strange", 500)],
    ["an empty 503", ec2Error("Unknown", 503, "Unknown")],
    ["HTML with 500", parseError(500)],
    ["a 200 that cannot be parsed", parseError(200)],
    [
      "a 200 cut off",
      Object.assign(socketError("ECONNRESET", "aborted"), { $metadata: { httpStatusCode: 200 } }),
    ],
    ["a connection reset", socketError("ECONNRESET", "socket hang up")],
    ["a broken pipe", socketError("EPIPE")],
    ["the handler's time-out", Object.assign(socketError("ETIMEDOUT"), { name: "TimeoutError" })],
  ] as const)("makes of %s CLOUD_UNAVAILABLE, which may have taken effect", ([, cause]) => {
    expect(classified(cause)).toMatchObject({
      kind: "transient",
      code: "CLOUD_UNAVAILABLE",
      cause,
      details: { outcomeUnknown: true },
    });
  });

  it.for(["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "ENETUNREACH", "EHOSTUNREACH"])(
    "makes of %s CLOUD_UNAVAILABLE, which was never sent",
    (code) => {
      expect(classified(socketError(code))).toMatchObject({
        code: "CLOUD_UNAVAILABLE",
        details: { outcomeUnknown: false },
      });
    },
  );

  it("tells our own time-out by its length", () => {
    const error = classified(Object.assign(new Error("Request aborted"), { name: "AbortError" }), CREATE, {
      timedOutAfterMs: 2000,
    });

    expect(error).toMatchObject({ code: "CLOUD_UNAVAILABLE", details: { outcomeUnknown: true } });
    expect(error.message).toContain("gave no answer within 2000 ms");
  });

  it("says that there are no credentials, and where they come from", () => {
    const cause = Object.assign(new Error("Could not load credentials from any providers"), {
      name: "CredentialsProviderError",
    });

    const error = classified(cause);

    expect(error).toMatchObject({
      kind: "invalid",
      code: "CLOUD_UNAUTHENTICATED",
      details: { outcomeUnknown: false },
    });
    expect(error.message).toContain(
      "there are no credentials (Could not load credentials from any providers)",
    );
    expect(error.message).toContain("instance role");
  });

  it("reads EC2's words for a replace of nothing, which has the code of a bad parameter", () => {
    const cause = ec2Error(
      "InvalidParameterValue",
      400,
      "There is no route defined for '100.64.0.0/20' in the route table. Use CreateRoute instead.",
    );

    expect(classified(cause)).toMatchObject({ kind: "not-found", code: "ROUTE_NOT_FOUND" });
  });

  it("does not call a bad parameter of another action a refused route", () => {
    expect(classified(ec2Error("InvalidParameterValue"), MODIFY).code).toBe("CLOUD_REFUSED");
  });

  it("names principal, action and resource of a refusal, and leaves out the encoded message", () => {
    const resource = "arn:aws:ec2:us-west-2:111122223333:route-table/rtb-1";
    const user = "arn:aws:sts::111122223333:assumed-role/romana/i-1";
    const encoded = "4GIOHlTkIaWHQD0Q0m6XSnuUMCm-abcdefgh".repeat(20);
    const cause = ec2Error(
      "UnauthorizedOperation",
      403,
      `You are not authorized to perform this operation. User: ${user} is not authorized to perform: ec2:CreateRoute on resource: ${resource} ` +
        `because no identity-based policy allows the ec2:CreateRoute action. Encoded authorization failure message: ${encoded}`,
    );

    const error = classified(cause);

    expect(error.message).toContain(`ec2:CreateRoute on ${resource} to ${user} is not allowed`);
    expect(error.message).toContain("iam/controller.json");
    expect(error.message).not.toContain("4GIOHlTkIaWHQ");
    expect(error.details).toMatchObject({
      deniedAction: "ec2:CreateRoute",
      deniedResource: resource,
      principal: user,
      hasEncodedMessage: true,
    });
    expect(JSON.stringify(error.details)).not.toContain("4GIOHlTkIaWHQ");
    expect(error.cause).toBe(cause);
  });

  it("names the call where a refusal gives nothing but its code", () => {
    const error = classified(
      ec2Error("UnauthorizedOperation", 403, "You are not authorized to perform this operation."),
    );

    expect(error.message).toContain(
      "create route 100.64.0.0/20 via eni-1 in rtb-1: EC2 CreateRoute answered UnauthorizedOperation",
    );
  });

  it("keeps the doubt of an earlier attempt on whatever comes after it", () => {
    const error = classified(ec2Error("RouteAlreadyExists"), CREATE, { earlierOutcomeUnknown: true });

    expect(error).toMatchObject({ code: "ROUTE_EXISTS", details: { outcomeUnknown: true } });
    expect(error.message).toContain("that attempt may have taken effect");
  });

  it("keeps messages short whatever the server says", () => {
    const error = classified(ec2Error("InternalError", 500, "x".repeat(5000)));

    expect(error.message.length).toBeLessThan(600);
  });

  it.for([new TypeError("undefined is not a function"), new RangeError("bad"), undefined, null, "text"])(
    "gives back %s, which is a bug, as it is",
    (bug) => {
      expect(classifyError(bug, CREATE)).toBe(bug);
    },
  );

  it("gives back what is classified already", () => {
    const error = new NetworkError("transient", "CLOUD_UNREADABLE", "an answer without a list");

    expect(classifyError(error, CREATE)).toBe(error);
  });
});
