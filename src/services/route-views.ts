import type { HealthView, PlanView, RouteStatusView, StatusView } from "../core/views/route-views.ts";

/**
 * What the REST API asks of the part that keeps the routes. The reading calls answer from memory and never wait for the cloud, but for
 * `plan`, which looks at it. Failures are `NetworkError`s (`transient` when the cloud or the store does not answer).
 */
export interface RoutesView {
  /** What a pass would do now. Changes nothing. */
  plan(signal: AbortSignal): Promise<PlanView>;
  routes(): RouteStatusView;
  health(): HealthView;
  status(): StatusView;
  /** Spreads the routes over all gateways that are eligible now, as if none had ever moved; answers what it did (under dry-run: would do). */
  rebalance(signal: AbortSignal): Promise<PlanView>;
  /** Makes one full pass now and waits for it; answers what it did (under dry-run: would do). */
  reconcile(signal: AbortSignal): Promise<PlanView>;
  /** What keeps this controller from serving, one phrase each; empty when it is ready. Answers at once. */
  notReady(): readonly string[];
}
