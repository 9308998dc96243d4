import type { EC2Client } from "@aws-sdk/client-ec2";

/** An answer on its way through the SDK; its body is what the HTTP handler gives, in Node a stream. */
interface HttpAnswer {
  body?: unknown;
}

/** Elements of DescribeInstances that nobody here reads (`schema.ts`), with all that is in them; who reads a new field takes it out of here (a test
 * holds the two apart). None of them stands inside one of its own name. */
export const UNREAD: readonly string[] = [
  "amiLaunchIndex",
  "architecture",
  "attachTime",
  "attachmentId",
  "blockDeviceMapping",
  "bootMode",
  "capacityReservationSpecification",
  "clientToken",
  "cpuOptions",
  "currentInstanceBootMode",
  "description",
  "ebsOptimized",
  "enaSupport",
  "enclaveOptions",
  "groupSet",
  "hibernationOptions",
  "hypervisor",
  "iamInstanceProfile",
  "imageId",
  "instanceType",
  "interfaceType",
  "ipv6AddressesSet",
  "keyName",
  "launchTime",
  "macAddress",
  "maintenanceOptions",
  "metadataOptions",
  "monitoring",
  "networkPerformanceOptions",
  "operator",
  "ownerId",
  "platformDetails",
  "privateDnsName",
  "privateDnsNameOptions",
  "productCodes",
  "reason",
  "requesterId",
  "reservationId",
  "rootDeviceName",
  "rootDeviceType",
  "usageOperation",
  "usageOperationUpdateTime",
  "virtualizationType",
];
const UNREAD_ELEMENTS = new RegExp(String.raw`<(${UNREAD.join("|")})>.*?</\1>`, "gs");

/**
 * Makes the SDK read long answers with less garbage, which is what the memory of a long-running process is made of, and in less time, for which the event loop
 * stands still. The SDK's parser puts every text together character by character, the indentation too, and makes objects of fields that nobody reads: 1,000
 * instances leave 335 MB of garbage behind. EC2 cannot be asked for fewer fields, so what is not read is taken out before it is parsed. And the SDK copies each
 * answer for a logger that nobody set: that step is removed.
 */
export function readLean(client: EC2Client): void {
  client.middlewareStack.remove("loggerMiddleware");
  client.middlewareStack.add(
    (next) => async (args) => {
      const result = await next(args);
      const response = result.response as HttpAnswer;
      if (isByteStream(response.body)) {
        response.body = Buffer.from(leanXml(await textOf(response.body)));
      }
      return result;
    },
    // Next to the HTTP handler, so that whoever reads the body reads this one.
    { step: "deserialize", priority: "low", name: "leanAnswers" },
  );
}

/**
 * The XML without the white space between two elements that holds a line break; other text, of white space alone too, stays as it is. An answer of
 * DescribeInstances loses the elements that are not read.
 */
export function leanXml(xml: string): string {
  const compact = xml.replaceAll(/>[ \t\r]*\n[ \t\r\n]*</g, "><");
  return compact.includes("<DescribeInstancesResponse") ? compact.replaceAll(UNREAD_ELEMENTS, "") : compact;
}

function isByteStream(body: unknown): body is AsyncIterable<Uint8Array> {
  return typeof body === "object" && body !== null && Symbol.asyncIterator in body;
}

async function textOf(body: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) {
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}
