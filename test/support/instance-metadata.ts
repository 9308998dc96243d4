import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";

const MAC = "02:29:96:8f:6a:2d";
const TOKEN = "TOKEN==";
const ROLE = "control-plane";

/** What an instance may ask about itself (IMDSv2), on a port of 127.0.0.1: region, VPC, and the credentials of its role. */
export class InstanceMetadataServer {
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(region: string, vpcId: string): Promise<InstanceMetadataServer> {
    const credentials = {
      Code: "Success",
      Type: "AWS-HMAC",
      AccessKeyId: "test",
      SecretAccessKey: "test",
      Token: "test",
      LastUpdated: new Date().toISOString(),
      Expiration: new Date(Date.now() + 6 * 3_600_000).toISOString(),
    };
    const answers = new Map([
      ["/latest/meta-data/placement/region", region],
      ["/latest/meta-data/mac", MAC],
      [`/latest/meta-data/network/interfaces/macs/${MAC}/vpc-id`, vpcId],
      ["/latest/meta-data/iam/security-credentials/", ROLE],
      [`/latest/meta-data/iam/security-credentials/${ROLE}`, JSON.stringify(credentials)],
    ]);
    const server = createServer((request, response) => {
      if (request.method === "PUT" && request.url === "/latest/api/token") {
        response.end(TOKEN);
      } else if (request.headers["x-aws-ec2-metadata-token"] !== TOKEN) {
        response.writeHead(401).end();
      } else {
        const text = answers.get(request.url ?? "");
        response.writeHead(text === undefined ? 404 : 200).end(text);
      }
    });
    await new Promise<void>((resolve) => {
      server.listen(0, "127.0.0.1", resolve);
    });
    return new InstanceMetadataServer(server);
  }

  /** For `AWS_EC2_METADATA_SERVICE_ENDPOINT`. */
  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }
}
