{{/* The container's environment. Plain values stand in the pod template, so that a change rolls the pods. */}}
{{- define "service-library.environment" -}}
- name: CONFIG_FILE
  value: /app/config/{{ include "service-library.name" . }}.toml
- name: ENVIRONMENT
  value: {{ .Values.environment | quote }}
{{/* Whose spans they are, by the names that logs have. What a value names stands before it. */}}
- name: POD_NAME
  valueFrom:
    fieldRef: {fieldPath: metadata.name}
- name: OTEL_RESOURCE_ATTRIBUTES
  value: k8s.namespace.name={{ .Release.Namespace }},k8s.pod.name=$(POD_NAME)
{{- range $name, $value := .Values.settings }}
- name: {{ $name }}
  value: {{ tpl $value $ | quote }}
{{- end }}
{{- range $name, $secret := .Values.secrets }}
- name: {{ $name }}
  valueFrom:
    secretKeyRef:
      {{- toYaml $secret | nindent 6 }}
{{- end }}
{{- end -}}

{{/* The settings file: what is this service's alone. */}}
{{- define "service-library.file" -}}
{{- range $name, $value := .Values.file -}}
{{ $name }} = {{ toJson $value }}
{{ end -}}
{{- end -}}

{{- define "service-library.config" -}}
apiVersion: v1
kind: ConfigMap
metadata:
  {{- include "service-library.metadata" (dict "root" . "name" (printf "%s-config" (include "service-library.workload" .))) | nindent 2 }}
data:
  {{ include "service-library.name" . }}.toml: |
    # Settings of {{ include "service-library.name" . }} alone; the environment wins.
    {{- include "service-library.file" . | trim | nindent 4 }}
{{- end -}}
