import { describe, expect, it } from "vitest";

import { mapOf, only, problemsOf, read, show, warningsOf } from "./support.ts";

const host = (name: string, ip: string, more = {}) => ({ name, ip, ...more });

describe("hosts", () => {
  it("are read from hosts and from groups with an ip", () => {
    const { hosts } = read(
      mapOf(
        { hosts: [host("h1", "198.18.0.1"), host("h2", "198.18.0.2", { assignment: { rack: "1" } })] },
        {
          groups: [{ groups: [host("h3", "198.18.0.3")] }, { hosts: [host("h4", "198.18.0.4")], groups: [] }],
        },
      ),
    );

    expect(hosts).toEqual([
      {
        name: "h1",
        ip: "198.18.0.1",
        tags: {},
        agentPort: 9604,
        entry: 0,
        path: [0],
        place: "topologies[0].map[0].hosts[0]",
      },
      {
        name: "h2",
        ip: "198.18.0.2",
        tags: { rack: "1" },
        agentPort: 9604,
        entry: 0,
        path: [0],
        place: "topologies[0].map[0].hosts[1]",
      },
      {
        name: "h3",
        ip: "198.18.0.3",
        tags: {},
        agentPort: 9604,
        entry: 0,
        path: [1, 0],
        place: "topologies[0].map[1].groups[0].groups[0]",
      },
      {
        name: "h4",
        ip: "198.18.0.4",
        tags: {},
        agentPort: 9604,
        entry: 0,
        path: [1, 1],
        place: "topologies[0].map[1].groups[1].hosts[0]",
      },
    ]);
  });

  it("of a map's only group stand at its root", () => {
    const { hosts } = read(mapOf({ groups: [host("h1", "198.18.0.1")] }));

    expect(hosts.map(({ path }) => path)).toEqual([[]]);
  });

  it("directly in the map, as the original writes them, stand in one group for all", () => {
    const document = mapOf(host("h1", "198.18.0.1"), host("h2", "198.18.0.2"));
    const topology = read(document);

    expect(show(only(topology).root)).toEqual(["- 10.0.0.0/8"]);
    expect(topology.hosts.map(({ name, path, place }) => [name, path, place])).toEqual([
      ["h1", [], "topologies[0].map[0]"],
      ["h2", [], "topologies[0].map[1]"],
    ]);
    expect(warningsOf(document)).toEqual([
      "topologies[0].map: the map lists hosts instead of groups: read as one group that holds them all",
    ]);
  });

  it.for([["."], [".."], ["of 1,025 characters", "h".repeat(1025)]] as const)(
    "are refused under the name %s, under which no path leads to them",
    ([what, name = what]) => {
      const problems = problemsOf(mapOf({ hosts: [host(name, "198.18.0.1")] }));

      expect(problems).toHaveLength(1);
      expect(problems[0]).toContain("topologies[0].map[0].hosts[0].name: ");
      expect(problems[0]).toContain("cannot stand in a path");
    },
  );

  it("need a name and an ip", () => {
    expect(
      problemsOf(
        mapOf({ groups: [host("", "198.18.0.1"), { name: "h2" }, { ip: "198.18.0.3", name: 3 }, "h4"] }),
      ),
    ).toEqual([
      "topologies[0].map[0].groups[0].name: a host needs a name (the node's name in Kubernetes)",
      "topologies[0].map[0].groups[1].ip: a host needs its ip (the node's address)",
      "topologies[0].map[0].groups[2].name: expected a text, found the number 3",
      'topologies[0].map[0].groups[3]: expected an object, found the text "h4"',
    ]);
  });

  it.for([
    ["198.18.0.256", '"198.18.0.256" is not an IPv4 address: write it as a.b.c.d'],
    ["fd00::1", '"fd00::1" is an IPv6 address: only IPv4 is supported'],
    [5, "expected a text, found the number 5"],
    ["", "a host needs its ip (the node's address)"],
  ] as const)("refuse ip %j", ([ip, problem]) => {
    expect(problemsOf(mapOf({ hosts: [{ name: "h", ip }] }))).toEqual([
      `topologies[0].map[0].hosts[0].ip: ${problem}`,
    ]);
  });

  it("and groups are not mixed in one list, nor in one group", () => {
    const problems = problemsOf(
      mapOf(
        { groups: [{ name: "g" }, host("h1", "198.18.0.1")] },
        { hosts: [host("h2", "198.18.0.2")], groups: [{ name: "g" }] },
      ),
    );

    expect(problems).toEqual([
      'topologies[0].map[0].groups[1].ip: a list holds groups or hosts, not both: its first element has no "ip", so all ' +
        "are groups and take none; give the first one its ip, or move the hosts into a group of their own",
      'topologies[0].map[1]: only one of "hosts" and "groups" may be given: move the hosts into a group of their own',
    ]);
  });

  it("hold no groups and no hosts", () => {
    expect(
      problemsOf(
        mapOf({
          hosts: [
            host("h", "198.18.0.1", { groups: [{}], hosts: [{}] }),
            host("i", "198.18.0.2", { groups: [] }),
          ],
        }),
      ),
    ).toEqual([
      "topologies[0].map[0].hosts[0].groups: a host holds no groups: it is an entry with an ip",
      "topologies[0].map[0].hosts[0].hosts: a host holds no hosts: it is an entry with an ip",
    ]);
  });

  it("are warned of when they say what only a group can", () => {
    const odd = host("h", "198.18.0.1", { routing: "x", dummy: true, cidr: "10.0.0.0/8" });

    expect(
      warningsOf(mapOf({ hosts: [odd, host("i", "198.18.0.2", { routing: "", dummy: false, cidr: null })] })),
    ).toEqual([
      'topologies[0].map[0].hosts[0].routing: "routing" belongs to a group; on a host it is ignored',
      'topologies[0].map[0].hosts[0].dummy: "dummy" belongs to a group; on a host it is ignored',
      'topologies[0].map[0].hosts[0].cidr: "cidr" belongs to a group; on a host it is ignored',
    ]);
  });

  it("are refused in a dummy group and in all that is in it", () => {
    expect(
      problemsOf(
        mapOf(
          { dummy: true, hosts: [host("h1", "198.18.0.1")] },
          { dummy: true, groups: [{ hosts: [host("h2", "198.18.0.2")] }, {}] },
        ),
      ),
    ).toEqual([
      "topologies[0].map[0].hosts[0]: a dummy group takes no hosts: remove its hosts, or the flag",
      "topologies[0].map[1].groups[0].hosts[0]: a dummy group takes no hosts: remove its hosts, or the flag",
    ]);
  });

  it("that share a name or an address are warned of", () => {
    const hosts = [
      host("a", "198.18.0.1"),
      host("a", "198.18.0.2"),
      host("b", "198.18.0.1"),
      host("a", "198.18.0.1"),
      host("c", "198.18.0.3"),
    ];
    const document = mapOf({ hosts });

    expect(read(document).hosts).toHaveLength(5);
    expect(warningsOf(document)).toEqual([
      'topologies[0].map[0].hosts[1]: host "a" has another ip at topologies[0].map[0].hosts[0]',
      'topologies[0].map[0].hosts[2]: ip 198.18.0.1 is also that of host "a" at topologies[0].map[0].hosts[0]',
      'topologies[0].map[0].hosts[3]: host "a" 198.18.0.1 is listed twice in one topology',
    ]);
  });

  it("may stand in several topologies, but with one assignment", () => {
    const entry = (name: string, assignment: object) => ({
      networks: [name],
      map: [{ hosts: [host("h", "198.18.0.1", { assignment })] }],
    });
    const document = {
      networks: [1, 2, 3, 4].map((index) => ({ name: `n${index}`, cidr: `${index}.0.0.0/8` })),
      topologies: [
        entry("n1", { a: "1" }),
        entry("n2", { a: "1" }),
        entry("n3", { a: "2" }),
        entry("n4", {}),
      ],
    };

    expect(warningsOf(document)).toEqual([
      'topologies[2].map[0].hosts[0]: host "h" has another assignment at topologies[0].map[0].hosts[0]',
      'topologies[3].map[0].hosts[0]: host "h" has another assignment at topologies[0].map[0].hosts[0]',
    ]);
  });

  it("whose own address lies in a network are warned of", () => {
    const networks = [5, 3, 1, 4, 2].map((index) => ({ name: `n${index}`, cidr: `10.${index}.0.0/16` }));
    const ips = ["10.0.255.255", "10.1.0.0", "10.2.3.4", "10.5.255.255", "10.6.0.0", "9.0.0.0"];
    const document = {
      networks,
      topologies: [
        { networks: networks.map(({ name }) => name), map: [{ hosts: ips.map((ip) => host(ip, ip)) }] },
      ],
    };

    expect(warningsOf(document)).toEqual([
      'topologies[0].map[0].hosts[1]: ip 10.1.0.0 of host "10.1.0.0" lies in network "n1" 10.1.0.0/16, which is for pods',
      'topologies[0].map[0].hosts[2]: ip 10.2.3.4 of host "10.2.3.4" lies in network "n2" 10.2.0.0/16, which is for pods',
      'topologies[0].map[0].hosts[3]: ip 10.5.255.255 of host "10.5.255.255" lies in network "n5" 10.5.0.0/16, which is for pods',
    ]);
  });
});
