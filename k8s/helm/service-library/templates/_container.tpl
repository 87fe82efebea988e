{{/* The service's own container. */}}
{{- define "service-library.container" -}}
name: {{ include "service-library.name" . }}
image: {{ include "service-library.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
ports:
  - name: http
    containerPort: 8080
  - name: metrics
    containerPort: 9090
env:
  {{- include "service-library.environment" . | nindent 2 }}
resources:
  {{- toYaml .Values.resources | nindent 2 }}
startupProbe:
  {{- include "service-library.probe" .Values.probes.live | nindent 2 }}
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 30
livenessProbe:
  {{- include "service-library.probe" .Values.probes.live | nindent 2 }}
  periodSeconds: 10
  timeoutSeconds: 5
readinessProbe:
  {{- include "service-library.probe" .Values.probes.ready | nindent 2 }}
  periodSeconds: 3
  timeoutSeconds: 2
lifecycle:
  # Load balancers notice a pod that leaves a moment after it was told to.
  preStop:
    sleep:
      seconds: 5
securityContext:
  {{- include "service-library.container-hardening" . | nindent 2 }}
volumeMounts:
  - name: config-volume
    mountPath: /app/config
    readOnly: true
  - name: trust
    mountPath: /app/trust
    readOnly: true
  {{- with .Values.volumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* On the port that traffic takes. */}}
{{- define "service-library.probe" -}}
httpGet:
  path: {{ . }}
  port: http
{{- end -}}
