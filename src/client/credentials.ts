/** What a client proves itself with, and whom it believes. All are contents, not paths. Never logged, never part of an error. */
export interface Credentials {
  /** Sent as `Authorization: Bearer`. */
  readonly token?: string;
  /** PEM: the authorities that the server's certificate may come from; absent: those of the system. */
  readonly ca?: string;
  /** The name that the server's certificate has to have; absent: that of the address which is asked. */
  readonly serverName?: string;
  /** PEM: the client's certificate (chain) and its key; both or neither. */
  readonly cert?: string;
  readonly key?: string;
}
