/** A moment (milliseconds since 1970) as Kubernetes' MicroTime: it refuses a time with fewer digits than six after the point. */
export function formatMicroTime(ms: number): string {
  return new Date(ms).toISOString().replace("Z", "000Z");
}

/** Milliseconds since 1970 of a time of Kubernetes; 0 for an absent or unreadable one. */
export function parseTime(time: string): number {
  const ms = Date.parse(time);
  return Number.isNaN(ms) ? 0 : ms;
}
