{{- define "service-library.autoscaler" -}}
{{- $scaling := .Values.autoscaling -}}
{{- $floor := max (int $scaling.minReplicas) (int .Values.replicas) -}}
{{- if gt $floor (int $scaling.maxReplicas) -}}
{{- fail (printf "%s: at least %d pods are asked for, and at most %d" .Chart.Name $floor (int $scaling.maxReplicas)) -}}
{{- end -}}
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  {{- include "service-library.metadata" (dict "root" . "name" (printf "%s-hpa" (include "service-library.name" .))) | nindent 2 }}
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: {{ include "service-library.name" . }}
  minReplicas: {{ $floor }}
  maxReplicas: {{ $scaling.maxReplicas }}
  metrics:
    - type: Resource
      resource:
        name: cpu
        target:
          type: Utilization
          averageUtilization: {{ $scaling.targetCPUUtilizationPercentage }}
    {{- with $scaling.perPod }}
    - type: Pods
      pods:
        metric:
          name: {{ .metric }}
        target:
          type: AverageValue
          averageValue: {{ .target | quote }}
    {{- end }}
  behavior:
    {{- toYaml $scaling.behavior | nindent 4 }}
{{- end -}}

{{- define "service-library.disruption-budget" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  {{- include "service-library.metadata" (dict "root" . "name" (include "service-library.name" .)) | nindent 2 }}
spec:
  maxUnavailable: {{ .Values.disruptionBudget.maxUnavailable }}
  # A pod that is broken anyway must not keep a node from being drained.
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      app: {{ include "service-library.name" . }}
{{- end -}}
