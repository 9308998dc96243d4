import fc from "fast-check";
import { describe, expect, it } from "vitest";

import type { TlsObjects, TlsPair, TrustedAuthorities } from "../../src/ports/tls-objects.ts";
import { installCertificates } from "../../src/services/install-certificates.ts";

const never = new AbortController().signal;
const pem = (name: string): string => `-----BEGIN CERTIFICATE-----\n${name}\n-----END CERTIFICATE-----`;

/** A cluster in memory. `before`: called ahead of each call; it may throw, as a run that is ended there does. */
class MemoryTlsObjects implements TlsObjects {
  pair: TlsPair | undefined;
  trusted: TrustedAuthorities | undefined;
  #version = 0;

  /** As one run sees it. */
  seenBy(before: () => Promise<void>): TlsObjects {
    return {
      hasPair: async () => {
        await before();
        return this.pair !== undefined;
      },
      createPair: async (pair) => {
        await before();
        const isFree = this.pair === undefined;
        this.pair ??= pair;
        return isFree;
      },
      authorities: async () => {
        await before();
        return this.trusted;
      },
      putAuthorities: async (text, seen) => {
        await before();
        if (seen?.version !== this.trusted?.version) {
          return false;
        }
        this.trusted = { text, version: String((this.#version += 1)) };
        return true;
      },
    };
  }

  hasPair(signal: AbortSignal): Promise<boolean> {
    return this.#plain.hasPair(signal);
  }
  createPair(pair: TlsPair, signal: AbortSignal): Promise<boolean> {
    return this.#plain.createPair(pair, signal);
  }
  authorities(signal: AbortSignal): Promise<TrustedAuthorities | undefined> {
    return this.#plain.authorities(signal);
  }
  putAuthorities(text: string, seen: TrustedAuthorities | undefined, signal: AbortSignal): Promise<boolean> {
    return this.#plain.putAuthorities(text, seen, signal);
  }
  readonly #plain = this.seenBy(() => Promise.resolve());
}

function maker(): () => Promise<TlsPair> {
  let made = 0;
  return () => {
    made += 1;
    return Promise.resolve({ ca: `${pem(`ca${made}`)}\n`, cert: `cert-${made}`, key: `key-${made}` });
  };
}

describe("installCertificates", () => {
  it("makes a pair where there is none, trusts its authority, and changes nothing afterwards", async () => {
    const cluster = new MemoryTlsObjects();
    const make = maker();

    expect(await installCertificates(cluster, make, never)).toBe("made");
    const { pair, trusted } = cluster;
    expect(trusted?.text).toBe(pair?.ca);

    expect(await installCertificates(cluster, make, never)).toBe("kept");
    expect([cluster.pair, cluster.trusted]).toEqual([pair, trusted]);
  });

  it("touches nothing of a pair that somebody else put in, and says when its authority is not known", async () => {
    const cluster = new MemoryTlsObjects();
    const theirs = { ca: pem("theirs"), cert: "theirs", key: "theirs" };
    cluster.pair = theirs;

    await expect(installCertificates(cluster, maker(), never)).rejects.toMatchObject({
      kind: "conflict",
      code: "AUTHORITY_MISSING",
    });
    expect([cluster.pair, cluster.trusted]).toEqual([theirs, undefined]);
  });

  it("goes on to trust the three authorities of before, the newest first, and forgets what is no certificate", async () => {
    const cluster = new MemoryTlsObjects();
    const text = ["a", "b", "c", "d"].map(pem).join("\nsome words\n");
    cluster.trusted = { text, version: "0" };

    await installCertificates(cluster, maker(), never);

    expect(cluster.trusted.text).toBe(`${["ca1", "a", "b", "c"].map(pem).join("\n")}\n`);
  });

  it("gives up when others write again and again", async () => {
    const cluster = new MemoryTlsObjects();
    const contested: TlsObjects = {
      hasPair: () => Promise.resolve(false),
      authorities: () => Promise.resolve(undefined),
      putAuthorities: () => Promise.resolve(false),
      createPair: (pair, signal) => cluster.createPair(pair, signal),
    };

    await expect(installCertificates(contested, maker(), never)).rejects.toMatchObject({
      kind: "transient",
      code: "AUTHORITY_CONTESTED",
    });
    expect(cluster.pair).toBeUndefined();
  });

  it("ends with a pair that is trusted, however runs overlap and wherever they are ended", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        fc.array(fc.option(fc.nat({ max: 6 })), { minLength: 1, maxLength: 3 }),
        async (scheduler, ends) => {
          const cluster = new MemoryTlsObjects();
          const make = maker();
          const runs = ends.map(async (end) => {
            let calls = 0;
            const objects = cluster.seenBy(async () => {
              await scheduler.schedule(Promise.resolve());
              calls += 1;
              if (end !== null && calls > end) {
                throw new Error("ended here");
              }
            });
            return await installCertificates(objects, make, never).catch(() => undefined);
          });
          await scheduler.waitFor(Promise.all(runs));

          await installCertificates(cluster, make, never);

          expect(cluster.trusted?.text).toContain(cluster.pair?.ca.trim() ?? "no pair");
        },
      ),
    );
  });
});
