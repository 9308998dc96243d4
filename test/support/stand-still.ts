import { readdirSync, readFileSync } from "node:fs";

import { until } from "./moto-lab.ts";

/** Resolves when every thread of the process stands still, some time after it was sent `SIGSTOP`: until then one that runs may go on and answer. */
export async function standsStill(pid: number): Promise<void> {
  await until(`process ${pid} stands still`, () => threadsOf(pid).every((state) => state === "T"), 10_000, 1);
}

/** A letter for each thread: proc(5), the field behind the name in brackets, which may hold anything. */
function threadsOf(pid: number): readonly string[] {
  return readdirSync(`/proc/${pid}/task`).map(
    (thread) => /^.*\) (\w)/s.exec(readFileSync(`/proc/${pid}/task/${thread}/stat`, "utf8"))?.[1] ?? "",
  );
}
