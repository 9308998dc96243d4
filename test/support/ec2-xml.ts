import type { OutgoingHttpHeaders } from "node:http";

/** An HTTP answer on its way to the client. */
export interface Answer {
  readonly status: number;
  readonly headers: OutgoingHttpHeaders;
  readonly body: Buffer;
}

/** The same answer with another body, and its length. */
export function withBody(answer: Answer, text: string | Buffer): Answer {
  const body = Buffer.from(text as string);
  return { ...answer, headers: { ...answer.headers, "content-length": body.length }, body };
}

/** An error as EC2 writes it (EC2 API reference, "Error responses"). */
export function errorAnswer(status: number, code: string, message: string): Answer {
  const text =
    `<?xml version="1.0" encoding="UTF-8"?>\n<Response><Errors><Error><Code>${escape(code)}</Code>` +
    `<Message>${escape(message)}</Message></Error></Errors><RequestID>7a62c49f-347e-4fc4-9331-6e8e00000000</RequestID></Response>`;
  return withBody(
    { status, headers: { "content-type": "text/xml;charset=UTF-8" }, body: Buffer.alloc(0) },
    text,
  );
}

/** What a load balancer in front of EC2 would answer. */
export function htmlAnswer(status: number): Answer {
  const text = `<html><head><title>${status}</title></head><body><h1>${status}</h1><br></body></html>`;
  return withBody({ status, headers: { "content-type": "text/html" }, body: Buffer.alloc(0) }, text);
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

/** The items of all route sets of a DescribeRouteTables answer. Route items hold no lists, so the first end tag is theirs. */
export function routeItems(xml: string): readonly string[] {
  return [...xml.matchAll(/<routeSet>.*?<\/routeSet>/gs)].flatMap(([set]) =>
    [...set.matchAll(/<item>.*?<\/item>/gs)].map(([item]) => item),
  );
}

/** The texts of all elements of that name. */
export function textsIn(xml: string, element: string): readonly string[] {
  return [...xml.matchAll(new RegExp(`<${element}>([^<]*)</${element}>`, "g"))].flatMap(
    ([, text]) => text ?? [],
  );
}

/** The text of the first element of that name. */
export function textIn(xml: string, element: string): string | undefined {
  return textsIn(xml, element)[0];
}
