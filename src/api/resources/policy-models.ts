import type { PolicyModel } from "../../core/policy/model.ts";
import type { Policy } from "../../core/policy/policy.ts";
import { translateRomanaPolicy } from "../../core/policy/translate-romana-policy.ts";
import { answerPieces } from "../answers.ts";
import type { Resource } from "../resource.ts";
import { PolicyModelList } from "./policies.schemas.ts";

/** What the API asks of the parts that keep policies, to show their models. */
export interface ModelledPolicies {
  /** Romana's own documents, sorted by key. */
  readonly policies: { list(): readonly Policy[] };
  /** What the cluster brings, sorted by key. */
  readonly clusterPolicies: { list(): readonly PolicyModel[] };
}

/** `/policy-models`: what all policies come to, whoever wrote them. */
export const policyModelsResource: Resource<ModelledPolicies> = (
  app,
  { policies, clusterPolicies },
  done,
) => {
  app.get(
    "/policy-models",
    {
      schema: {
        summary: "The models of all policies: Romana's documents, NetworkPolicies and isolated namespaces",
        tags: ["policies"],
        response: { 200: PolicyModelList },
      },
    },
    (_request, reply) => answerPieces(reply, jsonOf(policies.list(), clusterPolicies.list())),
  );

  done();
};

/** Romana's first, then the cluster's, as the pieces of one JSON list. */
function* jsonOf(policies: readonly Policy[], models: readonly PolicyModel[]): Iterable<string> {
  let before = "[";
  for (const policy of policies) {
    yield before + JSON.stringify(translateRomanaPolicy(policy));
    before = ",";
  }
  for (const model of models) {
    yield before + JSON.stringify(model);
    before = ",";
  }
  yield before === "[" ? "[]" : "]";
}
