import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";

/** `requests` go from the client to the server, `answers` the other way. */
export type Direction = "requests" | "answers";

interface Connection {
  readonly client: Socket;
  readonly server: Socket;
}

/**
 * A wire that can be broken: what connects to `port` of `host` is passed on to another port, until the test cuts it, makes it silent or loses
 * what is on it.
 */
export class Relay {
  /** Bytes of answers that were passed on so far, all connections together. */
  answered = 0;
  /** Connections that were ever made. */
  opened = 0;
  /** How often connections were cut, by `cut` or `cutAfter`. */
  cuts = 0;
  readonly host: string;
  readonly #target: number;
  readonly #connections = new Set<Connection>();
  readonly #held = new Set<Direction>();
  #listener: Server | undefined;
  #port = 0;
  #losing = false;
  #cutAt = Number.POSITIVE_INFINITY;

  private constructor(target: number, host: string) {
    this.#target = target;
    this.host = host;
  }

  /** Passes on to `target`, a port of 127.0.0.1. */
  static async start(target: number, host = "127.0.0.1"): Promise<Relay> {
    const relay = new Relay(target, host);
    await relay.accept();
    return relay;
  }

  get port(): number {
    return this.#port;
  }

  /** How many connections stand. */
  get connections(): number {
    return this.#connections.size;
  }

  /** Ends all connections that stand. New ones are passed on as before, and what was lost or limited is no more. */
  cut(): void {
    this.cuts += 1;
    this.#losing = false;
    this.#cutAt = Number.POSITIVE_INFINITY;
    for (const { client, server } of this.#connections) {
      client.resetAndDestroy();
      server.resetAndDestroy();
    }
    this.#connections.clear();
  }

  /** Cuts as `cut` does, once, as soon as this many more bytes of answers were passed on. */
  cutAfter(bytes: number): void {
    this.#cutAt = this.answered + bytes;
  }

  /** From now on answers are thrown away, until `cut`. */
  loseAnswers(): void {
    this.#losing = true;
  }

  /** Stops one direction, or both; nothing is lost, and nobody is told. New connections are held too. */
  hold(...directions: readonly Direction[]): void {
    directions.forEach((direction) => this.#held.add(direction));
    for (const connection of this.#connections) {
      directions.forEach((direction) => source(connection, direction).pause());
    }
  }

  /** What was held flows again. */
  release(): void {
    const held = [...this.#held];
    this.#held.clear();
    for (const connection of this.#connections) {
      held.forEach((direction) => source(connection, direction).resume());
    }
  }

  /** Refuses new connections; those that stand are left alone. */
  async refuse(): Promise<void> {
    const listener = this.#listener;
    this.#listener = undefined;
    if (listener !== undefined) {
      // Not awaited to the end: that would wait for the connections that stand.
      listener.close();
    }
    await new Promise<void>((resolve) => void setImmediate(resolve));
  }

  /** Takes new connections again, on the same port. */
  async accept(): Promise<void> {
    if (this.#listener !== undefined) {
      return;
    }
    const listener = createServer({ allowHalfOpen: false }, (client) => this.#connect(client));
    await new Promise<void>((resolve, reject) => {
      listener.once("error", reject);
      listener.listen(this.#port, this.host, () => resolve());
    });
    this.#listener = listener;
    this.#port = (listener.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    await this.refuse();
    this.cut();
  }

  #connect(client: Socket): void {
    this.opened += 1;
    const server = connect(this.#target, "127.0.0.1");
    const connection = { client, server };
    this.#connections.add(connection);
    client.setNoDelay(true);
    server.setNoDelay(true);
    this.#pass(connection, "requests");
    this.#pass(connection, "answers");
    for (const socket of [client, server]) {
      // Either end may be gone at any time: `close` follows and takes the other end down.
      socket.on("error", () => undefined);
      socket.once("close", () => {
        client.destroy();
        server.destroy();
        this.#connections.delete(connection);
      });
    }
  }

  #pass(connection: Connection, direction: Direction): void {
    const from = source(connection, direction);
    const to = direction === "requests" ? connection.server : connection.client;
    from.on("data", (chunk: Buffer) => {
      if (direction === "answers") {
        if (this.#losing) {
          return;
        }
        this.answered += chunk.length;
      }
      if (!to.write(chunk)) {
        from.pause();
        to.once("drain", () => {
          if (!this.#held.has(direction)) {
            from.resume();
          }
        });
      }
      if (this.answered >= this.#cutAt) {
        // What was written may still reach the client, as on a real wire.
        this.cut();
      }
    });
    if (this.#held.has(direction)) {
      from.pause();
    }
  }
}

function source({ client, server }: Connection, direction: Direction): Socket {
  return direction === "requests" ? client : server;
}
