{{- define "service-library.notes" -}}
{{- $name := include "service-library.name" . -}}
{{- $image := include "service-library.image" . | trimAll "\"" -}}
{{- if .Values.canary.enabled -}}
{{ $name }}: a canary of {{ .Values.canary.replicas }} pods runs {{ $image }} behind the Service of the stable release.

  compare   Prometheus, by pod=~"{{ $name }}-canary-.*"
  take away helm uninstall {{ .Release.Name }} --namespace {{ .Release.Namespace }}
{{- else -}}
{{ $name }} runs {{ $image }} in {{ .Release.Namespace }} ({{ .Values.environment }}).

  rollout   kubectl --namespace {{ .Release.Namespace }} rollout status deployment/{{ $name }}
  check     helm test {{ .Release.Name }} --namespace {{ .Release.Namespace }}
  try       kubectl --namespace {{ .Release.Namespace }} port-forward service/{{ $name }} 8080:{{ .Values.service.port }}
  go back   helm rollback {{ .Release.Name }} --namespace {{ .Release.Namespace }}

Not in this chart, and needed before it: namespace, secrets, stores, network policies, migrations (kubectl apply -k k8s/helm/shared/...).
{{- end }}
{{- end -}}
