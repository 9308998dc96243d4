/** When every object of the fixture was made. */
export const CREATED = "2026-01-01T00:00:00Z";

/** A record of who wrote which fields, as `managedFields` holds it. */
function writer(manager: string, subresource: string | undefined, fields: object): object {
  return {
    manager,
    operation: "Update",
    apiVersion: "v1",
    time: CREATED,
    fieldsType: "FieldsV1",
    fieldsV1: fields,
    ...(subresource === undefined ? {} : { subresource }),
  };
}

/** `{"f:name": {…}}` for each name. */
function fieldSet(names: readonly string[], inside: object = {}): object {
  return Object.fromEntries(names.map((name) => [`f:${name}`, inside]));
}

const CONDITION_FIELDS = {
  ".": {},
  ...fieldSet(["lastHeartbeatTime", "lastTransitionTime", "message", "reason", "status", "type"]),
};

/** Who wrote which fields of a Node. */
export const NODE_FIELDS = [
  writer("kubelet", undefined, {
    "f:metadata": {
      "f:annotations": {
        ".": {},
        ...fieldSet(["volumes.kubernetes.io/controller-managed-attach-detach"]),
      },
      "f:labels": {
        ".": {},
        ...fieldSet(["beta.kubernetes.io/arch", "kubernetes.io/hostname", "kubernetes.io/os"]),
      },
    },
    "f:spec": fieldSet(["providerID"]),
  }),
  writer("kubelet", "status", {
    "f:status": {
      "f:conditions": Object.fromEntries(
        ["DiskPressure", "MemoryPressure", "PIDPressure", "Ready"].map((type) => [
          `k:{"type":"${type}"}`,
          CONDITION_FIELDS,
        ]),
      ),
      ...fieldSet(["images", "nodeInfo", "allocatable", "capacity"]),
    },
  }),
];

/** The same of a Pod. */
export const POD_FIELDS = [
  writer("kube-controller-manager", undefined, {
    "f:metadata": {
      "f:generateName": {},
      "f:labels": { ".": {}, ...fieldSet(["romana.io/segment", "app"]) },
      "f:ownerReferences": { ".": {}, 'k:{"uid":"9a6f4f0e-3f0b-4f53-8a0f-2b2cf0f7a111"}': {} },
    },
    "f:spec": {
      "f:containers": {
        'k:{"name":"main"}': {
          ".": {},
          ...fieldSet(["env", "image", "imagePullPolicy", "name", "ports", "resources", "volumeMounts"]),
        },
      },
      ...fieldSet(["dnsPolicy", "enableServiceLinks", "restartPolicy", "schedulerName", "securityContext"]),
    },
  }),
  writer("kubelet", "status", {
    "f:status": {
      "f:conditions": Object.fromEntries(
        ["ContainersReady", "Initialized", "Ready"].map((type) => [`k:{"type":"${type}"}`, CONDITION_FIELDS]),
      ),
      ...fieldSet(["containerStatuses", "hostIP", "phase", "podIP", "podIPs", "startTime"]),
    },
  }),
];
