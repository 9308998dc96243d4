import type { ErrorKind } from "../../core/errors.ts";

/** What a failure means to the caller, and the way out that its message ends with. */
export interface Verdict {
  readonly kind: ErrorKind;
  readonly code: string;
  readonly wayOut: string;
}

/** EC2 will never take this route. */
export const ROUTE_REFUSED: Verdict = {
  kind: "invalid",
  code: "ROUTE_REFUSED",
  wayOut:
    "such a route is never accepted; choose a network outside the VPC's CIDRs and an interface of the same VPC",
};
const INTERFACE_NOT_FOUND: Verdict = {
  kind: "not-found",
  code: "INTERFACE_NOT_FOUND",
  wayOut: "the interface is gone, with its instance most likely; read the VPC again",
};
const ROUTE_TABLE_NOT_FOUND: Verdict = {
  kind: "not-found",
  code: "ROUTE_TABLE_NOT_FOUND",
  wayOut: "the table is gone; read the VPC again",
};
/** There is no such route. */
export const ROUTE_NOT_FOUND: Verdict = {
  kind: "not-found",
  code: "ROUTE_NOT_FOUND",
  wayOut: "the route is gone; read the table again",
};
/** IAM says no. */
export const UNAUTHORIZED: Verdict = {
  kind: "invalid",
  code: "CLOUD_UNAUTHORIZED",
  wayOut:
    "attach the policy iam/controller.json to this role and check its VPC, cluster tag and region (docs/iam.md)",
};
const UNAUTHENTICATED: Verdict = {
  kind: "invalid",
  code: "CLOUD_UNAUTHENTICATED",
  wayOut:
    "check the credentials (environment, profile, service account role or instance role; docs/aws.md) and this machine's clock",
};
/** The account's bucket for this action is empty. */
export const THROTTLED: Verdict = {
  kind: "transient",
  code: "CLOUD_THROTTLED",
  wayOut: "it is tried again later; if it stays, other programs use up the account's call budget",
};
/** No usable answer, or the answer that it failed on EC2's side. */
export const UNAVAILABLE: Verdict = {
  kind: "transient",
  code: "CLOUD_UNAVAILABLE",
  wayOut:
    "it is tried again later; if it stays, check the network, the endpoint and the state of AWS in this region",
};
const CONFLICT: Verdict = {
  kind: "conflict",
  code: "CLOUD_CONFLICT",
  wayOut: "another change of the same object is under way, or something depends on it; read it again",
};
/** A refusal that has no row of its own. */
export const REFUSED: Verdict = {
  kind: "invalid",
  code: "CLOUD_REFUSED",
  wayOut: "EC2 will not do this as asked; its own code says why (docs/aws.md)",
};

/**
 * EC2's error codes (EC2 API reference, "Error codes"); codes with a dot are matched whole. `InvalidParameterValue` and
 * `OperationNotPermitted` mean different things by action and text: see `classifyError`.
 */
export const VERDICTS: Readonly<Record<string, Verdict>> = {
  RouteAlreadyExists: {
    kind: "conflict",
    code: "ROUTE_EXISTS",
    wayOut: "the table already has a route on that destination; read the table again",
  },
  RouteLimitExceeded: {
    kind: "exhausted",
    code: "ROUTE_LIMIT_EXCEEDED",
    wayOut:
      'the table is full; plan coarser routes, or raise the quota "Routes per route table" of the account',
  },
  "InvalidRoute.NotFound": ROUTE_NOT_FOUND,
  "InvalidRouteTableID.NotFound": ROUTE_TABLE_NOT_FOUND,
  "InvalidRouteTableId.Malformed": ROUTE_TABLE_NOT_FOUND,
  "InvalidNetworkInterfaceID.NotFound": INTERFACE_NOT_FOUND,
  "InvalidNetworkInterfaceId.Malformed": INTERFACE_NOT_FOUND,
  "InvalidRoute.InvalidState": ROUTE_REFUSED,
  "InvalidRoute.Malformed": ROUTE_REFUSED,
  RouteNotSupported: ROUTE_REFUSED,
  InvalidInstanceID: ROUTE_REFUSED,
  "InvalidVpcID.NotFound": {
    kind: "not-found",
    code: "VPC_NOT_FOUND",
    wayOut: "there is no such VPC in this region and account; give the right one with --vpc and --region",
  },
  DependencyViolation: CONFLICT,
  IncorrectState: CONFLICT,
  IncorrectInstanceState: CONFLICT,
  InvalidState: CONFLICT,
  ConcurrentTagAccess: CONFLICT,
  UnauthorizedOperation: UNAUTHORIZED,
  AccessDenied: UNAUTHORIZED,
  AccessDeniedException: UNAUTHORIZED,
  Blocked: UNAUTHORIZED,
  OptInRequired: UNAUTHORIZED,
  PendingVerification: UNAUTHORIZED,
  AuthFailure: UNAUTHENTICATED,
  ExpiredToken: UNAUTHENTICATED,
  ExpiredTokenException: UNAUTHENTICATED,
  IncompleteSignature: UNAUTHENTICATED,
  InvalidClientTokenId: UNAUTHENTICATED,
  InvalidIdentityToken: UNAUTHENTICATED,
  MissingAuthenticationToken: UNAUTHENTICATED,
  RequestExpired: UNAUTHENTICATED,
  SignatureDoesNotMatch: UNAUTHENTICATED,
  TokenRefreshRequired: UNAUTHENTICATED,
  UnrecognizedClientException: UNAUTHENTICATED,
  CredentialsProviderError: UNAUTHENTICATED,
  TokenProviderError: UNAUTHENTICATED,
  RequestLimitExceeded: THROTTLED,
  RequestThrottled: THROTTLED,
  Throttling: THROTTLED,
  ThrottlingException: THROTTLED,
  ThrottledException: THROTTLED,
  EC2ThrottledException: THROTTLED,
  TooManyRequestsException: THROTTLED,
  BandwidthLimitExceeded: THROTTLED,
  InternalError: UNAVAILABLE,
  InternalFailure: UNAVAILABLE,
  ServiceUnavailable: UNAVAILABLE,
  Unavailable: UNAVAILABLE,
};
