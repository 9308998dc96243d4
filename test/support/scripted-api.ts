import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";

/** One request as the server got it. */
export interface ScriptedRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly isWatch: boolean;
  readonly headers: IncomingMessage["headers"];
  /** How many requests of the same sort (lists or watches) there were before it. */
  readonly index: number;
}

export type Script = (request: ScriptedRequest, answer: ServerResponse) => void | Promise<void>;

/** An HTTP server that says what a test wants an API server to say, lists and watches apart. */
export class ScriptedApi {
  readonly requests: ScriptedRequest[] = [];
  /** Lists that are being answered now, and the most that there ever were. */
  listsNow = 0;
  mostLists = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #sawRequest: () => void = () => undefined;

  private constructor(list: Script, watch: Script) {
    this.#server = createServer((message, answer) => void this.#answer(message, answer, list, watch));
    this.#server.on("connection", (socket) => {
      this.#sockets.add(socket);
      socket.once("close", () => this.#sockets.delete(socket));
    });
  }

  static async start({
    list,
    watch,
  }: {
    readonly list: Script;
    readonly watch: Script;
  }): Promise<ScriptedApi> {
    const api = new ScriptedApi(list, watch);
    api.#server.listen(0, "127.0.0.1");
    await once(api.#server, "listening");
    return api;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get lists(): readonly ScriptedRequest[] {
    return this.requests.filter(({ isWatch }) => !isWatch);
  }

  get watches(): readonly ScriptedRequest[] {
    return this.requests.filter(({ isWatch }) => isWatch);
  }

  /** Resolves when so many lists and watches were asked for. */
  async asked({
    lists = 0,
    watches = 0,
  }: {
    readonly lists?: number;
    readonly watches?: number;
  }): Promise<void> {
    while (this.lists.length < lists || this.watches.length < watches) {
      await new Promise<void>((resolve) => {
        this.#sawRequest = resolve;
      });
    }
  }

  async stop(): Promise<void> {
    this.#server.close();
    this.#sockets.forEach((socket) => socket.destroy());
    await once(this.#server, "close");
  }

  async #answer(
    message: IncomingMessage,
    answer: ServerResponse,
    list: Script,
    watch: Script,
  ): Promise<void> {
    const url = new URL(message.url ?? "", "http://server");
    const isWatch = url.searchParams.get("watch") === "true";
    const request = {
      method: message.method ?? "",
      path: url.pathname,
      query: url.searchParams,
      isWatch,
      headers: message.headers,
      index: this.requests.filter((other) => other.isWatch === isWatch).length,
    };
    this.requests.push(request);
    if (!isWatch) {
      this.listsNow += 1;
      this.mostLists = Math.max(this.mostLists, this.listsNow);
      answer.once("close", () => {
        this.listsNow -= 1;
      });
    }
    this.#sawRequest();
    await (isWatch ? watch : list)(request, answer);
  }
}

/** A namespace as the API server writes it. */
export function rawNamespace(name: string, version: number, uid = `uid-of-${name}`): object {
  return { metadata: { name, uid, resourceVersion: String(version) } };
}

/** Answers with a list of these objects; `more` is the token for the next page. */
export function sendList(answer: ServerResponse, version: number, items: readonly object[], more = ""): void {
  const metadata = { resourceVersion: String(version), ...(more === "" ? {} : { continue: more }) };
  sendJson(answer, 200, { kind: "List", metadata, items });
}

/** Answers with a Status, as the API server does when it refuses. */
export function sendStatus(
  answer: ServerResponse,
  code: number,
  message: string,
  metadata: object = {},
): void {
  sendJson(answer, code, { kind: "Status", status: "Failure", code, message, metadata });
}

export function sendJson(answer: ServerResponse, code: number, body: unknown): void {
  answer.writeHead(code, { "content-type": "application/json" });
  answer.end(JSON.stringify(body));
}

/** One line of a watch. */
export function eventLine(type: string, object: object): string {
  return `${JSON.stringify({ type, object })}\n`;
}

/** What a watch says when its version is too old: an answer of success, and an event. */
export const GONE_LINE = eventLine("ERROR", {
  kind: "Status",
  code: 410,
  reason: "Expired",
  message: "too old resource version",
});
