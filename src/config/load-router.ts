import {
  contradictions,
  defaultReserve,
  ec2Config,
  healthConfig,
  resolveAll,
  securityConfig,
  type Ec2Config,
  type HealthConfig,
  type LoadOptions,
  type SecurityConfig,
} from "./load.ts";
import { routerOptions, STANDBY_INTERVAL_MS, type RouterValues } from "./router-options.ts";

/** Everything that `romana vpc-router` can be told, parsed and consistent. */
export type RouterConfig = Pick<
  RouterValues,
  | "routeSpec"
  | "listen"
  | "allowEmpty"
  | "store"
  | "dryRun"
  | "logLevel"
  | "maxInFlight"
  | "region"
  | "vpc"
  | "routeTables"
  | "takeOver"
  | "routeQuota"
  | "ignoreRoutes"
> & {
  readonly routeReserve: number;
  /** Between two full passes; 0: never by itself. */
  readonly intervalMs: number;
  readonly probe: { readonly kind: RouterValues["health"]; readonly port: number };
  readonly health: HealthConfig;
  readonly ec2: Ec2Config;
  readonly security: SecurityConfig;
};

/** The configuration of `romana vpc-router`, from the same places as the controller's. Throws `CONFIG_INVALID` with every problem. */
export function loadRouterConfig(options: LoadOptions): RouterConfig {
  const values = resolveAll(routerOptions, options, (given) => [
    ...contradictions({ ...given, probeIntervalStandby: standbyOf(given) }),
    ...(given.routeSpec === undefined && given.listen?.length === 0
      ? [
          "nothing says where the list of routes comes from: give --route-spec FILE, or --listen ADDRESS:PORT to have it posted",
        ]
      : []),
  ]);
  const { routeQuota } = values;
  return {
    routeSpec: values.routeSpec,
    listen: values.listen,
    allowEmpty: values.allowEmpty,
    store: values.store,
    dryRun: values.dryRun,
    logLevel: values.logLevel,
    maxInFlight: values.maxInFlight,
    region: values.region,
    vpc: values.vpc,
    routeTables: values.routeTables,
    takeOver: values.takeOver,
    routeQuota,
    routeReserve: values.routeReserve ?? defaultReserve(routeQuota),
    ignoreRoutes: values.ignoreRoutes,
    intervalMs: values.recheck,
    probe: { kind: values.health, port: values.tcpPort },
    health: healthConfig({
      ...values,
      probeIntervalStandby: standbyOf(values) ?? STANDBY_INTERVAL_MS,
    }),
    ec2: ec2Config(values),
    security: securityConfig(values),
  };
}

function standbyOf({ probeInterval, probeIntervalStandby }: Partial<RouterValues>): number | undefined {
  return probeIntervalStandby ?? (probeInterval && Math.max(probeInterval, STANDBY_INTERVAL_MS));
}
