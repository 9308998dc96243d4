import type {
  FastifyPluginCallback,
  FastifyPluginOptions,
  FastifyTypeProvider,
  RawServerDefault,
} from "fastify";
import type { z } from "zod";

/** Gives requests the types of their zod schemas. Answers have none: they go out as text (`answer`), and tests hold them to their schemas. */
export interface RequestTypes extends FastifyTypeProvider {
  validator: this["schema"] extends z.ZodType ? z.output<this["schema"]> : unknown;
  serializer: unknown;
}

/** The routes of one noun; `Options` are what stands behind it. */
export type Resource<Options extends FastifyPluginOptions = FastifyPluginOptions> = FastifyPluginCallback<
  Options,
  RawServerDefault,
  RequestTypes
>;
