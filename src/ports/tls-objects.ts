/** Where the controller's certificate and the authority that agents trust are kept in a cluster. PEM texts throughout. */
export interface TlsObjects {
  /** Whether there is a pair; nothing of it is read. */
  hasPair(signal: AbortSignal): Promise<boolean>;
  /** Puts the pair in. False when there is one already, which stays as it is. */
  createPair(pair: TlsPair, signal: AbortSignal): Promise<boolean>;
  /** What agents trust; `undefined` when that was never said. */
  authorities(signal: AbortSignal): Promise<TrustedAuthorities | undefined>;
  /** Says what agents trust, in place of what was read as `before`. False when somebody else wrote in the meantime. */
  putAuthorities(text: string, before: TrustedAuthorities | undefined, signal: AbortSignal): Promise<boolean>;
}

export interface TlsPair {
  readonly ca: string;
  readonly cert: string;
  /** Secret. */
  readonly key: string;
}

export interface TrustedAuthorities {
  /** One certificate after the other. */
  readonly text: string;
  readonly version: string;
}
