import type { SeededRandom } from "../../src/adapters/simulation/seeded-random.ts";

/** The words that selectors are made of. */
export interface Vocabulary {
  /** Keys of labels that pods carry. */
  readonly podKeys: readonly string[];
  /** Values that a pod's label has, whatever its key. */
  readonly podValues: readonly string[];
  readonly namespaceKeys: readonly string[];
  readonly namespaceValues: readonly string[];
  /** Names of ports that containers have. */
  readonly portNames: readonly string[];
}

type Shape = (words: Words) => object;

/** The spec of a NetworkPolicy of each shape that the API knows. */
export const POLICY_SHAPES: Readonly<Record<string, Shape>> = {
  "deny all ingress": () => ({ podSelector: {}, policyTypes: ["Ingress"] }),
  "deny all": () => ({ podSelector: {}, policyTypes: ["Ingress", "Egress"] }),
  "allow all ingress": () => ({ podSelector: {}, policyTypes: ["Ingress"], ingress: [{}] }),
  "allow all egress": (words) => ({
    podSelector: words.labels(),
    policyTypes: ["Egress"],
    egress: [{}],
  }),
  "pods by labels": (words) => ({
    podSelector: words.labels(),
    policyTypes: ["Ingress"],
    ingress: [{ from: [{ podSelector: words.labels() }], ports: [words.tcp()] }],
  }),
  "all pods of the namespace": (words) => ({
    podSelector: words.labels(),
    policyTypes: ["Ingress"],
    ingress: [{ from: [{ podSelector: {} }] }],
  }),
  In: (words) => words.guarded(words.oneOf("In")),
  NotIn: (words) => words.guarded(words.oneOf("NotIn")),
  Exists: (words) => words.guarded(words.present("Exists")),
  DoesNotExist: (words) => words.guarded(words.present("DoesNotExist")),
  "labels and expressions": (words) => ({
    podSelector: {
      ...words.labels(),
      matchExpressions: [
        ...words.oneOf("NotIn").matchExpressions,
        ...words.present("Exists").matchExpressions,
      ],
    },
    policyTypes: ["Ingress"],
    ingress: [{ from: [{ podSelector: words.oneOf("In") }], ports: [words.tcp(), words.tcp()] }],
  }),
  "namespaces by labels": (words) => ({
    podSelector: words.labels(),
    policyTypes: ["Ingress"],
    ingress: [{ from: [{ namespaceSelector: words.namespaceLabels() }], ports: [words.tcp()] }],
  }),
  "all namespaces": (words) => ({
    podSelector: words.labels(),
    policyTypes: ["Ingress"],
    ingress: [{ from: [{ namespaceSelector: {} }] }],
  }),
  "pods of other namespaces": (words) => ({
    podSelector: words.labels(),
    policyTypes: ["Ingress"],
    ingress: [
      {
        from: [{ namespaceSelector: words.namespaceOneOf(), podSelector: words.labels() }],
        ports: [words.tcp()],
      },
    ],
  }),
  "several peers, several rules": (words) => ({
    podSelector: words.labels(),
    policyTypes: ["Ingress"],
    ingress: [
      {
        from: [
          { podSelector: words.labels() },
          { namespaceSelector: words.namespaceLabels() },
          { ipBlock: { cidr: words.block(24) } },
        ],
        ports: [words.tcp(), { protocol: "UDP", port: words.port() }],
      },
      { from: [{ namespaceSelector: words.namespaceOneOf(), podSelector: words.present("Exists") }] },
    ],
  }),
  "address block with exceptions": (words) => {
    const net = words.integer(200);
    return {
      podSelector: words.labels(),
      policyTypes: ["Ingress"],
      ingress: [
        {
          from: [
            {
              ipBlock: {
                cidr: `172.${16 + (net % 16)}.0.0/16`,
                except: [`172.${16 + (net % 16)}.${net}.0/24`, `172.${16 + (net % 16)}.255.255/32`],
              },
            },
          ],
          ports: [words.tcp()],
        },
      ],
    };
  },
  "egress but for the metadata service": (words) => ({
    podSelector: words.labels(),
    policyTypes: ["Egress"],
    egress: [{ to: [{ ipBlock: { cidr: "0.0.0.0/0", except: ["169.254.169.254/32"] } }] }],
  }),
  "egress to DNS": () => ({
    podSelector: {},
    policyTypes: ["Egress"],
    egress: [
      {
        to: [
          {
            namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "kube-system" } },
            podSelector: { matchLabels: { "k8s-app": "kube-dns" } },
          },
        ],
        ports: [
          { protocol: "UDP", port: 53 },
          { protocol: "TCP", port: 53 },
        ],
      },
    ],
  }),
  "named port": (words) => ({
    podSelector: words.labels(),
    policyTypes: ["Ingress"],
    ingress: [
      {
        from: [{ podSelector: words.oneOf("In") }],
        ports: [{ protocol: "TCP", port: words.portName() }],
      },
    ],
  }),
  "named port, egress": (words) => ({
    podSelector: words.labels(),
    policyTypes: ["Egress"],
    egress: [{ to: [{ podSelector: words.labels() }], ports: [{ port: words.portName() }] }],
  }),
  "range of ports": (words) => {
    const port = words.port();
    return {
      podSelector: words.labels(),
      policyTypes: ["Ingress"],
      ingress: [
        {
          from: [{ podSelector: words.labels() }],
          ports: [{ protocol: "TCP", port, endPort: port + 1 + words.integer(1000) }],
        },
      ],
    };
  },
  SCTP: (words) => ({
    podSelector: words.labels(),
    policyTypes: ["Ingress"],
    ingress: [{ from: [{ podSelector: words.labels() }], ports: [{ protocol: "SCTP", port: words.port() }] }],
  }),
  "a protocol without port": (words) => ({
    podSelector: words.labels(),
    policyTypes: ["Ingress"],
    ingress: [{ ports: [{ protocol: "UDP" }] }],
  }),
  "both directions": (words) => ({
    podSelector: words.oneOf("In"),
    policyTypes: ["Ingress", "Egress"],
    ingress: [{ from: [{ podSelector: words.labels() }], ports: [words.tcp()] }],
    egress: [
      { to: [{ podSelector: words.labels() }], ports: [words.tcp()] },
      { to: [{ ipBlock: { cidr: words.block(20) } }] },
    ],
  }),
  "a selector that nothing has": () => ({
    podSelector: { matchLabels: { "nobody.example/has-this": "yes" } },
    policyTypes: ["Ingress"],
    ingress: [{ from: [{ podSelector: { matchLabels: { "nobody.example/has-this": "no" } } }] }],
  }),
};

/** Selectors, ports and blocks at random, out of a vocabulary. */
export class Words {
  readonly #random: SeededRandom;
  readonly #vocabulary: Vocabulary;

  constructor(random: SeededRandom, vocabulary: Vocabulary) {
    this.#random = random;
    this.#vocabulary = vocabulary;
  }

  integer(below: number): number {
    return this.#random.integer(below);
  }

  labels(): { readonly matchLabels: Readonly<Record<string, string>> } {
    const { podKeys, podValues } = this.#vocabulary;
    return { matchLabels: { [this.#one(podKeys)]: this.#one(podValues) } };
  }

  oneOf(operator: "In" | "NotIn"): { readonly matchExpressions: readonly object[] } {
    const { podKeys, podValues } = this.#vocabulary;
    return { matchExpressions: [{ key: this.#one(podKeys), operator, values: this.#some(podValues) }] };
  }

  present(operator: "Exists" | "DoesNotExist"): { readonly matchExpressions: readonly object[] } {
    return { matchExpressions: [{ key: this.#one(this.#vocabulary.podKeys), operator }] };
  }

  namespaceLabels(): object {
    const { namespaceKeys, namespaceValues } = this.#vocabulary;
    return { matchLabels: { [this.#one(namespaceKeys)]: this.#one(namespaceValues) } };
  }

  namespaceOneOf(): object {
    const { namespaceKeys, namespaceValues } = this.#vocabulary;
    return {
      matchExpressions: [
        { key: this.#one(namespaceKeys), operator: "In", values: this.#some(namespaceValues) },
      ],
    };
  }

  /** An ingress policy whose pods and peers are chosen by the same kind of selector. */
  guarded(podSelector: object): object {
    return {
      podSelector,
      policyTypes: ["Ingress"],
      ingress: [{ from: [{ podSelector: this.labels() }, { podSelector }], ports: [this.tcp()] }],
    };
  }

  port(): number {
    return 1024 + this.integer(30_000);
  }

  tcp(): object {
    return { protocol: "TCP", port: this.port() };
  }

  portName(): string {
    return this.#one(this.#vocabulary.portNames);
  }

  /** A block of 10/8 of that prefix length, its host bits zero. */
  block(length: number): string {
    const address = (0x0a00_0000 + ((this.integer(2 ** (length - 8)) << (32 - length)) >>> 0)) >>> 0;
    return `${[24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join(".")}/${length}`;
  }

  #one(items: readonly string[]): string {
    return this.#random.pick(items) ?? "";
  }

  /** Two or three different ones. */
  #some(items: readonly string[]): readonly string[] {
    const count = 2 + this.integer(2);
    return [...new Set(Array.from({ length: count }, () => this.#one(items)))];
  }
}
