{{- define "romana.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "romana.serviceIP" -}}
{{ .Values.controller.serviceIP | default (ternary "100.64.0.99" "10.96.0.99" (eq .Values.platform "kops")) }}
{{- end }}

{{- define "romana.etcdServiceIP" -}}
{{ .Values.etcd.serviceIP | default (ternary "100.64.0.88" "10.96.0.88" (eq .Values.platform "kops")) }}
{{- end }}

{{- define "romana.labels" -}}
app.kubernetes.io/name: romana
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{/* Only control-plane nodes, by either label. */}}
{{- define "romana.controlPlaneAffinity" -}}
nodeAffinity:
  requiredDuringSchedulingIgnoredDuringExecution:
    nodeSelectorTerms:
      - matchExpressions:
          - key: node-role.kubernetes.io/control-plane
            operator: Exists
      - matchExpressions:
          - key: node-role.kubernetes.io/master
            operator: Exists
{{- end }}
