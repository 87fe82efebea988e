{{/* What lets a pod pass the Pod Security level "restricted". None of them talks to the API server. */}}
{{- define "service-library.pod-hardening" -}}
automountServiceAccountToken: false
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- end -}}

{{- define "service-library.container-hardening" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* Over zones, then over hosts; and what the values ask for. */}}
{{- define "service-library.placement" -}}
topologySpreadConstraints:
  {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - topologyKey: {{ . }}
    maxSkew: 1
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        app: {{ include "service-library.name" $ }}
    matchLabelKeys: [pod-template-hash]
  {{- end }}
{{- range $field := list "nodeSelector" "affinity" "tolerations" }}
{{- with index $.Values $field }}
{{ $field }}:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "service-library.volumes" -}}
- name: config-volume
  configMap:
    name: {{ include "service-library.workload" . }}-config
- name: trust
  projected:
    sources:
      {{- range $store, $secret := .Values.trust }}
      - secret:
          name: {{ $secret }}
          optional: true
          items:
            - {key: ca.crt, path: {{ $store }}.crt}
      {{- end }}
{{- with .Values.volumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}
