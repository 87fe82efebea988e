{{/* All objects of a service. A canary brings a Deployment and its settings file, and shares the rest with the stable release. */}}
{{- define "service-library.objects" -}}
{{- if and .Values.canary.enabled (eq .Release.Name .Chart.Name) -}}
{{- fail (printf "a canary is a release of its own: helm install %s-canary, not %s" .Chart.Name .Release.Name) -}}
{{- end -}}
{{ include "service-library.config" . }}
---
{{ include "service-library.deployment" . }}
{{- if not .Values.canary.enabled }}
---
{{ include "service-library.account" . }}
---
{{ include "service-library.service" . }}
---
{{ include "service-library.disruption-budget" . }}
{{- if .Values.autoscaling.enabled }}
---
{{ include "service-library.autoscaler" . }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "service-library.account" -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  {{- include "service-library.metadata" (dict "root" . "name" (include "service-library.name" .)) | nindent 2 }}
automountServiceAccountToken: false
{{- end -}}

{{- define "service-library.service" -}}
apiVersion: v1
kind: Service
metadata:
  {{- include "service-library.metadata" (dict "root" . "name" (include "service-library.name" .)) | nindent 2 }}
spec:
  type: {{ .Values.service.type }}
  selector:
    app: {{ include "service-library.name" . }}
  ports:
    - name: http
      port: {{ .Values.service.port }}
      targetPort: {{ .Values.service.targetPort }}
      appProtocol: http
    - name: metrics
      port: 9090
      targetPort: metrics
{{- end -}}
