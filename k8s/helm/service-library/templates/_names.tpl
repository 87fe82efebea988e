{{/* Names are the chart's, never the release's: network policies, monitoring and routes of the cluster select by them. */}}
{{- define "service-library.name" -}}
{{- .Chart.Name -}}
{{- end -}}

{{/* A canary is a second release of the same chart: one more Deployment behind the same Service. */}}
{{- define "service-library.workload" -}}
{{- .Chart.Name -}}{{- if .Values.canary.enabled -}}-canary{{- end -}}
{{- end -}}

{{/* metadata of an object. Call: include "service-library.metadata" (dict "root" $ "name" NAME) */}}
{{- define "service-library.metadata" -}}
name: {{ .name }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "service-library.labels" .root | nindent 2 }}
{{- end -}}

{{- define "service-library.labels" -}}
{{ include "service-library.pod-labels" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{/* A canary's pods are the Service's pods too, and the network policies' and the budget's: all of these select by `app`. */}}
{{- define "service-library.pod-labels" -}}
{{ include "service-library.selector" . }}
app.kubernetes.io/name: {{ include "service-library.name" . }}
app.kubernetes.io/component: backend
app.kubernetes.io/part-of: adplatform
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | quote }}
{{- end -}}

{{/* Of a Deployment. The stable one's matches a canary's pods as well; controllers tell them apart by their owner. */}}
{{- define "service-library.selector" -}}
app: {{ include "service-library.name" . }}
{{- if .Values.canary.enabled }}
track: canary
{{- end }}
{{- end -}}

{{- define "service-library.image" -}}
{{- $image := .Values.image -}}
{{- $name := $image.repository -}}
{{- with $image.registry -}}{{- $name = printf "%s/%s" . $name -}}{{- end -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $name $image.digest | quote -}}
{{- else -}}
{{- printf "%s:%s" $name ($image.tag | default .Chart.AppVersion) | quote -}}
{{- end -}}
{{- end -}}
