import { randomInt } from "node:crypto";
import { createServer, type Server } from "node:net";

/** Below those that the kernel gives to outgoing connections (32768 and up): a port stays free between our looking and a program's listening, and while that is started again. */
const FIRST = 20_000;
const SLICE = 1_000;
const SLICES = 12;

/** Each of the test processes that run at once has ports of its own. */
const slice = FIRST + SLICE * (Number(process.env["VITEST_POOL_ID"] ?? 0) % SLICES);
/** Where this process goes on looking. It begins anywhere, for others may run these tests on this machine too. */
let next = randomInt(SLICE);

/** So many ports of 127.0.0.1 that nobody listens on, for programs that have to be told theirs. None is given twice before all others were. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const ports: number[] = [];
  for (let looks = 0; ports.length < count; looks += 1) {
    if (looks === SLICE) {
      throw new Error(
        `only ${ports.length} of ${count} ports are free from ${slice} to ${slice + SLICE - 1}`,
      );
    }
    const port = slice + next;
    next = (next + 1) % SLICE;
    if (await isFree(port)) {
      ports.push(port);
    }
  }
  return ports;
}

function isFree(port: number): Promise<boolean> {
  const server: Server = createServer();
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EADDRINUSE") {
        resolve(false);
      } else {
        reject(error);
      }
    });
    server.listen(port, "127.0.0.1", () => {
      server.close(() => resolve(true));
    });
  });
}
