{{- define "service-library.deployment" -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  {{- include "service-library.metadata" (dict "root" . "name" (include "service-library.workload" .)) | nindent 2 }}
spec:
  {{- if .Values.canary.enabled }}
  replicas: {{ .Values.canary.replicas }}
  {{- else if not .Values.autoscaling.enabled }}
  replicas: {{ .Values.replicas | default .Values.replicaCount }}
  {{- end }}
  revisionHistoryLimit: 5
  progressDeadlineSeconds: 300
  strategy:
    type: RollingUpdate
    rollingUpdate:
      {{- toYaml .Values.strategy | nindent 6 }}
  selector:
    matchLabels:
      {{- include "service-library.selector" . | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "service-library.pod-labels" . | nindent 8 }}
      annotations:
        # A change of the settings file rolls the pods; those in the environment do so by themselves.
        checksum/config: {{ include "service-library.file" . | sha256sum }}
        {{- with .Values.podAnnotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
      serviceAccountName: {{ include "service-library.name" . }}
      enableServiceLinks: false
      {{- include "service-library.pod-hardening" . | nindent 6 }}
      priorityClassName: {{ .Values.priorityClassName }}
      # The wait before SIGTERM (5 s), SHUTDOWN_GRACE_SECONDS (30 s), and room.
      terminationGracePeriodSeconds: 45
      {{- include "service-library.placement" . | nindent 6 }}
      containers:
        - {{ include "service-library.container" . | nindent 10 | trim }}
      volumes:
        {{- include "service-library.volumes" . | nindent 8 }}
{{- end -}}
