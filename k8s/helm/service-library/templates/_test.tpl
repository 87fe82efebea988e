{{/*
`helm test`: the service's own health check, sent through its Service as a client would. The image has no shell and needs none:
the Service's address comes from the environment that Kubernetes gives a pod (service links). The namespace denies what no policy
allows, so the test brings the two policies that it needs, and takes them away again.
*/}}
{{- define "service-library.test" -}}
{{- if not .Values.canary.enabled -}}
{{- $name := include "service-library.name" . -}}
apiVersion: v1
kind: Pod
metadata:
  name: {{ $name }}-test
  namespace: {{ .Release.Namespace }}
  labels:
    app: {{ $name }}-test
    app.kubernetes.io/name: {{ $name }}-test
    app.kubernetes.io/component: test
    app.kubernetes.io/part-of: adplatform
  annotations:
    {{- include "service-library.test-hook" "2" | nindent 4 }}
spec:
  restartPolicy: Never
  enableServiceLinks: true
  {{- include "service-library.pod-hardening" . | nindent 2 }}
  containers:
    - name: healthcheck
      image: {{ include "service-library.image" . }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args: [healthcheck]
      env:
        - name: HTTP_ADDR
          value: "$({{ $name | upper | replace "-" "_" }}_SERVICE_HOST):{{ .Values.service.port }}"
      resources:
        requests: {cpu: 10m, memory: 16Mi, ephemeral-storage: 16Mi}
        limits: {cpu: 100m, memory: 64Mi, ephemeral-storage: 16Mi}
      securityContext:
        {{- include "service-library.container-hardening" . | nindent 8 }}
---
{{ include "service-library.test-policy" (dict "root" . "of" (printf "%s-test" $name) "direction" "egress" "peer" $name) }}
---
{{ include "service-library.test-policy" (dict "root" . "of" $name "direction" "ingress" "peer" (printf "%s-test" $name)) }}
{{- end }}
{{- end -}}

{{/* The policies have weight 1, so they stand before the pod asks. */}}
{{- define "service-library.test-hook" -}}
helm.sh/hook: test
helm.sh/hook-weight: {{ . | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end -}}

{{- define "service-library.test-policy" -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ include "service-library.name" .root }}-test-{{ .direction }}
  namespace: {{ .root.Release.Namespace }}
  annotations:
    {{- include "service-library.test-hook" "1" | nindent 4 }}
spec:
  podSelector:
    matchLabels:
      app: {{ .of }}
  policyTypes: [{{ title .direction }}]
  {{ .direction }}:
    - {{ eq .direction "egress" | ternary "to" "from" }}:
        - podSelector:
            matchLabels:
              app: {{ .peer }}
      ports:
        - {protocol: TCP, port: 8080}
{{- end -}}
